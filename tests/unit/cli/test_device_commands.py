"""`fitmatrix devices`, `devices show` and `devices probe` against a coordinator of canned answers."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.contract.views import Quarantine, RunCounts
from orchestrator.contract.vocabulary import DeviceState, JobState, Verdict
from tests.unit.cli import matrix_samples, samples
from tests.unit.cli.conftest import FakeCoordinator, fitmatrix
from tests.unit.domain.builders import device_probe


def test_a_device_is_shown_with_its_last_probe(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/devices/this-machine", samples.device(probes={"chromium": device_probe()}))
    text = fitmatrix("devices", "show", "this-machine", server=coordinator.url).stdout
    for words in (
        "● busy",
        "Some CPU, 2 CPUs",
        "intel gen-12lp",
        "largest buffer 2 GiB",
        "shader-f16",
        "8 GiB (navigator.deviceMemory",
        "200 MB/s from the agent's page server",
        "run r-probe",
    ):
        assert words in text, words


def test_a_device_that_was_never_probed_says_how_to(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/devices/this-machine", samples.device())
    assert "fitmatrix devices probe" in fitmatrix("devices", "show", "this-machine", server=coordinator.url).stdout
    coordinator.answer("GET /api/v1/devices", [samples.device()])
    assert "not probed" in fitmatrix("devices", server=coordinator.url).stdout


@pytest.fixture
def probing_job(coordinator: FakeCoordinator, monkeypatch: pytest.MonkeyPatch) -> FakeCoordinator:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    spec = samples.job_spec(name="probe", variants=["probe"], workload={})
    active = samples.job(
        spec=spec, state=JobState.ACTIVE, cells=0, settled_cells=0, left_out=[], runs=RunCounts(running=1)
    )
    ended = active.model_copy(update={"state": JobState.FINISHED, "runs": RunCounts(finished=1)})
    coordinator.answer("POST /api/v1/jobs", active, status=201)
    coordinator.answer("GET /api/v1/jobs/job-1", active, ended)
    coordinator.answer("GET /api/v1/runs", [samples.probing_run()])
    coordinator.answer("GET /api/v1/matrix", matrix_samples.matrix())
    other = samples.device(registration=samples.low_end_registration())
    coordinator.answer("GET /api/v1/devices", [samples.device(probes={"chromium": device_probe()}), other])
    return coordinator


def test_probing_waits_and_shows_what_was_found(probing_job: FakeCoordinator) -> None:
    result = fitmatrix("devices", "probe", "!emulated", server=probing_job.url)
    assert result.exit_code == 0
    ((_, _, _, body),) = [request for request in probing_job.requests if request[0] == "POST"]
    assert body == {"name": "probe", "variants": ["probe"], "devices": "!emulated"}
    assert "runs: 1 finished" in result.stdout
    assert "cells" not in result.stdout
    assert "intel gen-12lp" in result.stdout
    assert "low-end-a" not in result.stdout


def test_probing_as_json_gives_the_devices(probing_job: FakeCoordinator) -> None:
    result = fitmatrix("devices", "probe", "--format", "json", server=probing_job.url)
    (device,) = json.loads(result.stdout)["items"]
    assert device["probes"]["chromium"]["result"]["wasm"]["simd"] is True
    assert "runs: 1 finished" in result.stderr


def test_a_device_that_could_not_be_probed_is_exit_code_1(probing_job: FakeCoordinator) -> None:
    failed = samples.probing_run().model_copy(update={"verdict": Verdict.FAILS})
    probing_job.answer("GET /api/v1/runs", [failed])
    assert fitmatrix("devices", "probe", server=probing_job.url).exit_code == 1


def test_devices_that_are_all_offline_are_not_waited_for(probing_job: FakeCoordinator) -> None:
    probing_job.answer("GET /api/v1/devices", [samples.device(state=DeviceState.OFFLINE)])
    probing_job.answer("POST /api/v1/jobs/job-1/cancel", samples.job(state=JobState.CANCELLED))
    result = fitmatrix("devices", "probe", server=probing_job.url)
    assert result.exit_code == 1
    assert "the device is offline, nothing was probed" in " ".join(result.stderr.split())
    assert "fitmatrix agents list" in " ".join(result.stderr.split())
    assert ("POST", "/api/v1/jobs/job-1/cancel") in [request[:2] for request in probing_job.requests]


def test_probing_has_an_end(probing_job: FakeCoordinator) -> None:
    spec = samples.job_spec(name="probe", variants=["probe"], workload={})
    active = samples.job(spec=spec, state=JobState.ACTIVE, cells=0, settled_cells=0, runs=RunCounts(queued=1))
    probing_job.answer("GET /api/v1/jobs/job-1", active)
    probing_job.answer("POST /api/v1/jobs/job-1/cancel", active)
    result = fitmatrix("devices", "probe", "--timeout", "1", server=probing_job.url)
    assert result.exit_code == 1
    assert "did not get to it within 1 s, and it was cancelled" in " ".join(result.stderr.split())


def test_waiting_for_a_job_of_probes_shows_devices_not_an_empty_matrix(probing_job: FakeCoordinator) -> None:
    result = fitmatrix("job", "job-1", "--wait", server=probing_job.url)
    assert "intel gen-12lp" in result.stdout
    assert "No cells yet" not in result.stdout


def test_devices(coordinator: FakeCoordinator) -> None:
    offline = samples.device(
        registration=samples.low_end_registration(),
        state=DeviceState.OFFLINE,
        reason="its agent is silent",
        attempt=None,
    )
    coordinator.answer("GET /api/v1/devices", [samples.device(), offline])
    text = fitmatrix("devices", server=coordinator.url).stdout
    for words in (
        "● busy",
        "run-2 #1",
        "✘ offline",
        "its agent is silent",
        "⚙ emulated",
        "held to 512 MB",
        "no WebGPU",
    ):
        assert words in text, words


def test_devices_say_why_they_do_not_work_and_how_they_are(coordinator: FakeCoordinator) -> None:
    resting = samples.sick_device(
        registration=samples.registration(id="lab.moto"), state=DeviceState.RESTING, reason="Too hot.", quarantine=None
    )
    bare = samples.device(registration=samples.registration(id="lab.bare", browsers=[]), attempt=None)
    coordinator.answer("GET /api/v1/devices", [samples.sick_device(), resting, bare])
    text = " ".join(fitmatrix("devices", server=coordinator.url).stdout.split())
    for words in (
        "! quarantined",
        "◔ resting",
        "Too hot.",
        "battery 83 %, not charging",
        "41 °C, severe throttling",
        "12 GB free",
        "answers in 4.2 ms",
        "webview 156",
        "none",
    ):
        assert words in text, words


def test_a_device_in_quarantine_is_shown_with_everything(coordinator: FakeCoordinator) -> None:
    later = datetime.now(UTC) + timedelta(minutes=5, seconds=30)
    quarantine = Quarantine(
        since=datetime.now(UTC) - timedelta(hours=3, minutes=20), reason=samples.SICK_REASON, next_health_run_at=later
    )
    sick = samples.sick_device(quarantine=quarantine, probes={"webview": device_probe()})
    coordinator.answer("GET /api/v1/devices/lab.pixel", sick)
    text = fitmatrix("devices", "show", "lab.pixel", server=coordinator.url).stdout
    for words in (
        "! quarantined",
        "3 h 20 min ago",
        "the next one in 5 min",
        "3 in a row",
        "83 %, not charging",
        "no connection of its own",
        "3 d ahead of its host's",
        "chrome: chrome 156.0.1 (stable)",
        "Probe of webview 156",
        "fitmatrix runs --device lab.pixel",
    ):
        assert words in text, words
    assert text.count("adb lost the device") == 1


@pytest.mark.parametrize(
    ("due", "words"),
    [(None, "queued or running"), (datetime(2026, 1, 1, tzinfo=UTC), "as soon as the device's agent says")],
)
def test_a_health_run_that_is_due_says_what_it_waits_for(
    coordinator: FakeCoordinator, due: datetime | None, words: str
) -> None:
    quarantine = Quarantine(since=samples.NOW, reason=samples.SICK_REASON, next_health_run_at=due)
    coordinator.answer("GET /api/v1/devices/lab.pixel", samples.sick_device(quarantine=quarantine))
    assert words in fitmatrix("devices", "show", "lab.pixel", server=coordinator.url).stdout


def test_one_browser_can_be_probed_alone(probing_job: FakeCoordinator) -> None:
    fitmatrix("devices", "probe", "!emulated || probed", "--browser", "webview", server=probing_job.url)
    ((_, _, _, body),) = [request for request in probing_job.requests if request[0] == "POST"]
    assert body["devices"] == '(!emulated || probed) && browser.id == "webview"'


def test_only_the_probed_browsers_of_a_device_are_shown(probing_job: FakeCoordinator) -> None:
    pixel = samples.sick_device(probes={"webview": device_probe()})
    probed = samples.probing_run().model_copy(update={"device_id": "lab.pixel", "browser": "webview"})
    probing_job.answer("GET /api/v1/devices", [pixel])
    probing_job.answer("GET /api/v1/runs", [probed])
    text = fitmatrix("devices", "probe", server=probing_job.url).stdout
    assert "webview 156" in text
    assert "not probed" not in text
    assert "chrome 156" not in text
