"""The simulated devices' model: seeded draws, and reports that come out as the draws say."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.catalog import (
    EmbeddingValidation,
    LabelScore,
    LabelValidation,
    TextValidation,
    Validation,
    Variant,
)
from orchestrator.contract.device import AttemptRef, DeviceRegistration, Heartbeat
from orchestrator.contract.job import (
    Criteria,
    FeatureExtractionWorkload,
    ProbeWorkload,
    TextClassificationWorkload,
    TextGenerationWorkload,
    Timeouts,
    Workload,
)
from orchestrator.contract.vocabulary import Backend, FaultCode, Task, Verdict
from orchestrator.domain.judgement import judge
from tests.bench.fleet.device import Status, heartbeat_body, moment_bytes
from tests.bench.fleet.log import Ending
from tests.bench.fleet.model import SAMPLES, Draw, Model
from tests.bench.fleet.registrations import BROWSER, device_id, register
from tests.bench.fleet.reports import Reports, health, lost
from tests.unit.domain.builders import NOW, variant

BEGAN, ENDED = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC), datetime(2026, 5, 6, 7, 8, 10, 250_000, tzinfo=UTC)
FORCED = TextValidation(
    prompt="hello", max_tokens=8, reference_text="hello hello", reference_ids=[5, 6, 7], reference_source="a reference"
)
GENERATES = (Task.TEXT_GENERATION, TextGenerationWorkload(), FORCED)
EMBEDS = (
    Task.FEATURE_EXTRACTION,
    FeatureExtractionWorkload(),
    EmbeddingValidation(texts=["a"], reference=[[0.6, 0.8]]),
)
LABELS = (
    Task.TEXT_CLASSIFICATION,
    TextClassificationWorkload(),
    LabelValidation(
        texts=["good"], reference=[[LabelScore(label="POSITIVE", score=0.9), LabelScore(label="NEGATIVE", score=0.1)]]
    ),
)
FITS = {ending: Verdict(ending) for ending in (Ending.FITS, Ending.TOO_SLOW, Ending.WRONG_OUTPUT)}


def spec(of: Variant, workload: Workload) -> AttemptSpec:
    return AttemptSpec(
        run_id="r-7",
        number=3,
        device_id="lab-000.device-001",
        browser=BROWSER.id,
        variant=of,
        backend=Backend.WASM,
        workload=workload,
        timeouts=Timeouts(),
        page_build="0" * 64,
    )


def answer(
    of: Variant, workload: Workload, ending: Ending, sample: int = 0, model: Model | None = None
) -> AttemptReport:
    body = Reports(model or Model(), 1).body(spec(of, workload), Draw(1.0, ending, sample), BEGAN, ENDED)
    return AttemptReport.model_validate_json(body)


@pytest.mark.parametrize("ending", FITS)
@pytest.mark.parametrize(("task", "workload", "validation"), [GENERATES, EMBEDS, LABELS])
def test_the_coordinator_judges_a_report_as_the_model_meant_it(
    task: Task, workload: Workload, validation: Validation, ending: Ending
) -> None:
    of = variant(task=task, validation=validation)
    for sample in range(SAMPLES):
        report = answer(of, workload, ending, sample)
        assert judge(report, of, workload, Criteria()).verdict is FITS[ending]


def test_a_text_without_a_reference_is_judged_alike() -> None:
    of = variant(validation=TextValidation(prompt="hello", max_tokens=8))
    workload = TextGenerationWorkload()
    assert judge(answer(of, workload, Ending.FITS), of, workload, Criteria()).verdict is Verdict.FITS
    assert judge(answer(of, workload, Ending.WRONG_OUTPUT), of, workload, Criteria()).verdict is Verdict.WRONG_OUTPUT


def test_a_probe_has_a_result() -> None:
    of = variant(task=Task.PROBE, files=[], validation=None)
    assert judge(answer(of, ProbeWorkload(), Ending.FITS), of, ProbeWorkload(), Criteria()).verdict is Verdict.FITS


def test_faults_are_the_models_or_the_labs() -> None:
    of, workload = variant(), TextGenerationWorkload()
    memory, lab, fenced = (
        answer(of, workload, ending).fault for ending in (Ending.OUT_OF_MEMORY, Ending.LAB_FAULT, Ending.FENCED)
    )
    assert memory is not None
    assert lab is not None
    assert fenced is not None
    assert (memory.code, memory.is_infrastructure) == (FaultCode.OUT_OF_MEMORY, False)
    assert (lab.is_infrastructure, lab.transient) == (True, True)
    assert fenced.code is FaultCode.AGENT_STOPPED


def test_ids_and_moments_are_put_into_a_prepared_report() -> None:
    report = answer(variant(), TextGenerationWorkload(), Ending.FITS)
    assert (report.run_id, report.number, report.device_id) == ("r-7", 3, "lab-000.device-001")
    assert (report.started_at, report.finished_at) == (BEGAN, ENDED)
    assert report.page is not None
    assert report.page.attempt == "r-7.3"
    assert [moment.checked_at for moment in report.health] == [BEGAN, ENDED]
    dead = AttemptReport.model_validate_json(lost("r-8", 2, "lab-000.device-002", BEGAN, ENDED))
    assert (dead.run_id, dead.number, dead.device_id, dead.page) == ("r-8", 2, "lab-000.device-002", None)
    assert dead.fault is not None
    assert dead.fault.code is FaultCode.WORKER_LOST


def test_prepared_reports_of_one_kind_differ_by_noise_only() -> None:
    of, workload = variant(), TextGenerationWorkload()
    peaks = [answer(of, workload, Ending.FITS, sample).memory for sample in range(SAMPLES)]
    seen = {memory.above_baseline_bytes for memory in peaks if memory}
    assert len(seen) == SAMPLES
    assert all(abs(peak / Model().peak_bytes - 1) < 0.3 for peak in seen)
    still = [answer(of, workload, Ending.FITS, sample, Model(noise=0)).memory for sample in range(SAMPLES)]
    assert {memory.above_baseline_bytes for memory in still if memory} == {Model().peak_bytes}


def test_the_same_seed_gives_the_same_life() -> None:
    model = Model()
    life = [model.draw(1, "a", attempt) for attempt in range(20)]
    assert life == [model.draw(1, "a", attempt) for attempt in range(20)]
    assert life != [model.draw(2, "a", attempt) for attempt in range(20)]
    assert life != [model.draw(1, "b", attempt) for attempt in range(20)]


def test_draws_follow_the_model() -> None:
    model = Model(seconds=4.0, spread=0.25, endings={Ending.FITS: 3, Ending.LAB_FAULT: 1})
    draws = [model.draw(7, "a", attempt) for attempt in range(4_000)]
    assert median(draw.seconds for draw in draws) == pytest.approx(4.0, rel=0.03)
    shares = Counter(draw.ending for draw in draws)
    assert set(shares) == {Ending.FITS, Ending.LAB_FAULT}
    assert shares[Ending.LAB_FAULT] / len(draws) == pytest.approx(0.25, abs=0.03)
    assert {draw.sample for draw in draws} == set(range(SAMPLES))


def test_a_staggered_device_is_somewhere_in_its_first_attempt() -> None:
    model = Model(seconds=10.0, spread=0, staggered=True)
    firsts = [model.draw(7, f"device {number}", 0).seconds for number in range(2_000)]
    assert median(firsts) == pytest.approx(5.0, rel=0.1)
    assert max(firsts) < 10.0
    assert model.draw(7, "device", 1).seconds == pytest.approx(10.0)


@pytest.mark.parametrize("endings", [{Ending.FENCED: 1.0}, {}, {Ending.FITS: 0.0}])
def test_a_model_without_a_possible_ending_is_refused(endings: dict[Ending, float]) -> None:
    with pytest.raises(ValueError, match="endings are shares"):
        Model(endings=endings)


def test_devices_are_of_four_kinds_and_have_names_of_their_own() -> None:
    devices = [register("lab-000", number) for number in range(8)]
    assert len({device.id for device in devices}) == 8
    assert len({device.model for device in devices}) == 4
    assert devices[3].id == device_id("lab-000", 3)
    assert DeviceRegistration.model_validate_json(devices[0].model_dump_json()) == devices[0]


def test_a_heartbeat_is_one_of_the_contract() -> None:
    entry = register("lab-000", 0).id
    status = Status(entry, health(NOW).model_dump_json().encode(), moment_bytes(NOW).replace(b"+00:00", b"Z"))
    later = NOW + timedelta(minutes=3)
    attempt = AttemptRef(run_id="r-1", number=2)
    told = [status.body(moment_bytes(later), attempt), status.body(moment_bytes(later), None)]
    heartbeat = Heartbeat.model_validate_json(heartbeat_body(told))
    assert [one.attempt for one in heartbeat.devices] == [attempt, None]
    assert {one.id for one in heartbeat.devices} == {entry}
    assert [one.health and one.health.checked_at for one in heartbeat.devices] == [later, later]
