"""Which earlier results stand for new runs: only where everything that decides a result is the same."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.contract.device import Browser, DeviceRegistration, Emulation
from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import Backend, Verdict
from orchestrator.domain.cells import cell_key, freeze
from orchestrator.domain.expansion import expand
from orchestrator.domain.probing import PROBE
from orchestrator.domain.reuse import EarlierRun, Kinships, take_over
from tests.unit.domain.builders import BROWSER, GIB, NOW, device, device_record, run, variant

TALKER = variant()
CATALOG = {TALKER.id: TALKER, PROBE.id: PROBE}
HERE = device("lab.here")


def job(**changes: Any) -> JobSpec:
    values = {"name": "test", "variants": [TALKER.id], "backends": ["wasm"], "devices": 'id == "lab.here"'}
    return JobSpec.model_validate(values | changes)


def earlier(identifier: str, registration: DeviceRegistration, version: str = BROWSER.version, **of: Any) -> EarlierRun:
    """A finished run of a device as it was then."""
    digest = freeze(of.pop("variant", TALKER)).digest
    ended = NOW - timedelta(hours=of.pop("hours", 1))
    verdict = of.pop("verdict", Verdict.FITS)
    browser = registration.facts.browsers[0]
    done = run(identifier, variant_digest=digest, device_id=registration.id, **of)
    return EarlierRun(identifier, cell_key(done, registration, browser.label), version, verdict, ended)


def taken(runs: Sequence[EarlierRun], *others: DeviceRegistration, spec: JobSpec | None = None) -> list[str]:
    """Those that the job's one cell may take over, of the runs that are in the cells which are asked about."""
    spec = spec or job()
    devices = [device_record(one) for one in (HERE, *others)]
    (cell,) = expand(spec, CATALOG, devices).cells
    kinships = Kinships(spec, [cell], {cell.variant.id: freeze(cell.variant)}, devices)
    found = kinships.sort([one for one in runs if one.cell_key in kinships.cell_keys])
    return [one.id for one in kinships.of_cell(cell, found)]


def test_the_newest_come_first_from_any_device_that_is_set_up_the_same() -> None:
    twin = device("lab.twin")
    assert taken([earlier("old", HERE, hours=5), earlier("new", twin, hours=1)], twin) == ["new", "old"]


def test_a_device_that_is_no_longer_known_gives_nothing() -> None:
    assert taken([earlier("gone", device("lab.gone"))]) == []


@pytest.mark.parametrize(
    "other",
    [
        device("lab.other", model="Another machine"),
        device("lab.other", chrome_flags=["--fast"]),
        device("lab.other", emulation=Emulation(memory_bytes=GIB)),
        device("lab.other", browsers=[Browser(name="chromium", version="157.0.1")]),
        device("lab.other", browsers=[Browser(name="chromium", version="156.0.2")]),
        device("lab.other", browsers=[Browser(name="chromium", version="156.0.1", channel="beta")]),
    ],
)
def test_another_setup_gives_nothing(other: DeviceRegistration) -> None:
    version = other.facts.browsers[0].version
    assert taken([earlier("r", other, version)], other) == []


def test_another_build_of_the_same_browser_gives_nothing() -> None:
    """A cell is of a major version; a result is of a build."""
    assert taken([earlier("r", HERE, "156.0.0")]) == []


def test_flags_of_then_are_not_those_of_now() -> None:
    assert taken([earlier("r", device("lab.here", chrome_flags=["--fast"]))]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"criteria": {"min_decode_tokens_per_second": 6}},
        {"workload": {"text-generation": {"prompt_tokens": 511}}},
        {"workload": {"text-generation": {"repetitions": 6}}},
    ],
)
def test_another_spec_gives_nothing(changes: dict[str, Any]) -> None:
    assert taken([earlier("r", HERE)], spec=job(**changes)) == []
    assert taken([earlier("r", HERE)], spec=job(name="another name", priority=1)) == ["r"]


def test_other_files_or_another_backend_give_nothing() -> None:
    rebuilt = TALKER.model_copy(update={"quantization": "q7"})
    assert taken([earlier("r", HERE, variant=rebuilt), earlier("s", HERE, backend=Backend.WEBGPU)]) == []


def test_a_probe_takes_nothing_over() -> None:
    assert taken([earlier("r", HERE)], spec=job(variants=["probe"])) == []


def runs(*verdicts: Verdict) -> list[EarlierRun]:
    return [EarlierRun(f"r-{n}", "key", "1", verdict, NOW) for n, verdict in enumerate(verdicts)]


FITS, FAILS = Verdict.FITS, Verdict.FAILS


@pytest.mark.parametrize(
    ("repeats", "verdicts", "takes", "begins"),
    [
        (3, [FITS, FAILS], 2, 1),
        (2, [FITS, FITS, FITS], 2, 0),
        (1, [], 0, 1),
        ("auto", [], 0, 1),
        ("auto", [FITS], 1, 1),
        ("auto", [FITS] * 9, 5, 0),
        ("auto", [FAILS, FAILS, FITS], 2, 0),
    ],
)
def test_as_many_as_are_wanted_are_taken_and_the_rest_is_run(
    repeats: object, verdicts: list[Verdict], takes: int, begins: int
) -> None:
    taken, more = take_over(job(repeats=repeats), runs(*verdicts), most_auto=12)
    assert (len(taken), more) == (takes, begins)
    assert len({one.id for one in taken}) == takes


def test_what_never_settles_is_not_taken_for_ever() -> None:
    unsettled = runs(*[FITS, FITS, FITS, FAILS] * 9)
    taken, more = take_over(job(repeats="auto"), unsettled, most_auto=4)
    assert (len(taken), more) == (4, 0)
