"""Phones in a whole lab: real adb, real Appium, real chromedriver, a real coordinator; only the phone is simulated."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal

import psutil
import pytest
import yaml

from tests.acceptance.lab import GEMMA_BIN, MINILM, SMOLLM2, TINY, Lab, finished, provide_models
from tests.integration.coordinator.lab import Submitter
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.phone_bench import APPIUM_HOME, provide_appium
from tests.waiting import wait_until
from tests.workbench import ROOT, SHORT

DEVICES = """
devices:
  - name: desk
    chrome_flags: ["--enable-unsafe-webgpu"]
"""
DEMO = ROOT / "deploy" / "demo" / "job.yaml"
CELLS = [(MINILM, "wasm"), (MINILM, "webgpu"), (SMOLLM2, "wasm"), (TINY, "wasm"), (GEMMA_BIN, "webgpu")]
CHROME = 'os == "android" && browser.name == "chrome"'
LONG = {"text-generation": {"prompt_tokens": 16, "generated_tokens": 64, "warmups": 1, "repetitions": 60}}
"""Long enough for something to happen to the phone in the middle."""
EASY = {"max_latency_seconds": 60, "min_decode_tokens_per_second": 0.1, "max_ttft_seconds": 60}


@pytest.fixture(scope="module")
def adb() -> Iterator[AdbServer]:
    with AdbServer() as server:
        yield server


@pytest.fixture(scope="module")
def lab(adb: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    provide_appium()
    directory = tmp_path_factory.mktemp("phones")
    provide_models(directory / "data", MINILM, SMOLLM2, TINY, GEMMA_BIN)
    phones = {"FITMATRIX_AGENT_PHONES": "true", "FITMATRIX_AGENT_APPIUM": str(APPIUM_HOME)}
    lab = Lab(directory, DEVICES, adb.environment | phones)
    with ExitStack() as stack:
        stack.callback(lab.stop)
        lab.start()
        yield lab


@pytest.fixture(scope="module")
def qa(lab: Lab) -> Iterator[Submitter]:
    submitter = Submitter(lab.coordinator)
    yield submitter
    submitter.close()


@pytest.fixture(scope="module")
def phone(lab: Lab, adb: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPhone]:
    with SimulatedPhone(tmp_path_factory.mktemp("phone"), profile="low-end", serial="SIM0001") as phone:
        phone.connect(adb)
        yield phone


def device_of(qa: Submitter) -> Any:
    """The phone as the coordinator sees it; None while it does not know it."""
    devices = qa.get("/api/v1/devices")["items"]
    return next((one for one in devices if one["registration"]["id"].startswith("android.sim0001-")), None)


def wait_for(qa: Submitter, state: str, seconds: float = 90) -> Any:
    """The phone's row once it is in this state."""

    def look() -> Any:
        device = device_of(qa)
        return device if device is not None and device["state"] == state else None

    return wait_until(look, seconds, f"a phone that is {state}")


def begin_long_run(lab: Lab, qa: Submitter) -> str:
    """A job whose only run is being measured in the phone's Chrome by now; its id."""
    wait_for(qa, "idle")
    job = qa.submit(variants=[TINY], devices=CHROME, workload=LONG, criteria=EASY)
    wait_for_page(lab)
    return job


def wait_for_page(lab: Lab) -> None:
    """By the record that the phone's worker keeps of its attempt."""

    def is_measuring() -> bool:
        records = (lab.directory / "agent").rglob("android.*/scratch/attempt.json")
        return any('"phase":"measure"' in record.read_text() for record in records)

    wait_until(is_measuring, 90, "a page that measures")


def attempts_of(qa: Submitter, job: str) -> list[Any]:
    (run,) = qa.runs(job)
    attempts: list[Any] = qa.run(run["id"])["attempt_list"]
    return attempts


def codes_of(qa: Submitter, job: str) -> list[str | None]:
    return [attempt["fault"] and attempt["fault"]["code"] for attempt in attempts_of(qa, job)]


def test_the_demos_job_runs_on_a_phone_that_is_plugged_in_and_on_the_desk(qa: Submitter, phone: SimulatedPhone) -> None:
    wait_for(qa, "idle")
    before = phone.state()["settings"]
    job = qa.submit(**yaml.safe_load(DEMO.read_text()) | {"devices": "true", "repeats": 1})
    runs = finished(qa, job, 480)
    assert {run["state"] for run in runs} == {"finished"}, runs
    assert {(run["variant"], run["backend"], run["browser"], run["emulated"]) for run in runs} == {
        (variant, backend, browser, emulated)
        for variant, backend in CELLS
        for browser, emulated in (("chromium", False), ("chrome", True), ("webview", True))
    }
    on_phone = [run for run in runs if run["emulated"]]
    assert {run["fault"]["code"] for run in on_phone if run["backend"] == "webgpu"} == {"no-webgpu"}
    assert {run["fault"] for run in runs if run["backend"] == "wasm"} == {None}, runs
    assert {run["verdict"] for run in on_phone if run["variant"] == TINY} == {"fits"}
    sizes = {one["variant"]["id"]: one["total_bytes"] for one in qa.get("/api/v1/models")["items"]}
    for run in (run for run in runs if run["backend"] == "wasm"):
        report = qa.run(run["id"])["attempt_list"][-1]["report"]
        assert report["download"]["model_file_bytes"] >= sizes[run["variant"]]
        assert report["memory"]["peak_bytes"] > report["memory"]["baseline_bytes"] > 0
        assert {"screenshot.png", "console.json", "network.json"} <= {one["name"] for one in report["artifacts"]}
    cells = [cell for cell in qa.get("/api/v1/matrix")["cells"] if cell["device"].startswith("android.")]
    assert {(cell["variant"], cell["backend"], cell["browser"].split()[0]) for cell in cells} == {
        (variant, backend, browser) for variant, backend in CELLS for browser in ("chrome", "webview")
    }
    assert all(cell["emulated"] for cell in cells)
    assert phone.state()["settings"] == before
    assert phone.state()["reverse"] == {}


def test_a_phone_that_restarts_in_the_middle_is_waited_for(lab: Lab, qa: Submitter, phone: SimulatedPhone) -> None:
    job = begin_long_run(lab, qa)
    phone.reboot()
    (run,) = finished(qa, job, 180)
    assert (run["state"], run["verdict"]) == ("finished", "fits")
    assert codes_of(qa, job) == ["device-unreachable", None]
    detail = attempts_of(qa, job)[0]["fault"]["detail"]
    assert "restarted" in detail or "not connected" in detail


def test_a_shell_that_hangs_costs_an_attempt_and_no_more(lab: Lab, qa: Submitter, phone: SimulatedPhone) -> None:
    job = begin_long_run(lab, qa)
    phone.hang_shell()
    wait_for(qa, "offline", 180)
    phone.hang_shell(on=False)
    (run,) = finished(qa, job, 180)
    assert run["state"] == "finished"
    assert codes_of(qa, job) == ["device-unreachable", None]


def test_a_slow_line_slows_a_run_and_fails_none(qa: Submitter, phone: SimulatedPhone) -> None:
    wait_for(qa, "idle")
    phone.slow_adb(0.5)
    job = qa.submit(variants=[TINY], devices=CHROME, workload=SHORT, criteria=EASY)
    (run,) = finished(qa, job, 240)
    phone.slow_adb(0)
    assert (run["state"], run["verdict"]) == ("finished", "fits"), codes_of(qa, job)


def test_the_low_memory_killer_speaks_of_the_model(lab: Lab, qa: Submitter, phone: SimulatedPhone) -> None:
    job = begin_long_run(lab, qa)
    phone.lmkd_kill()
    (run,) = finished(qa, job, 120)
    assert (run["state"], run["verdict"], run["fault"]["code"]) == ("finished", "fails", "out-of-memory")
    assert run["fault"]["origin"] == "device"
    assert "sandboxed_process" in run["fault"]["detail"], run["fault"]


@pytest.mark.parametrize(
    ("trouble", "word"),
    [("fill_storage", "storage"), ("heat", "°C"), ("thermal", "thermal"), ("battery", "%")],
)
def test_a_phone_that_should_not_be_measured_rests(
    qa: Submitter, phone: SimulatedPhone, trouble: str, word: str
) -> None:
    wait_for(qa, "idle")
    _make_unwell(phone, trouble)
    device = wait_for(qa, "resting")
    assert word in device["reason"]
    job = qa.submit(variants=[TINY], devices=CHROME, workload=SHORT, criteria=EASY)
    assert qa.runs(job)[0]["state"] == "queued"
    _make_well(phone)
    (run,) = finished(qa, job, 120)
    assert (run["state"], codes_of(qa, job)) == ("finished", [None])


def _make_unwell(phone: SimulatedPhone, trouble: str) -> None:
    match trouble:
        case "fill_storage":
            phone.fill_storage()
        case "heat":
            phone.set_battery(temperature_c=45)
        case "thermal":
            phone.set_thermal(3)
        case "battery":
            phone.set_battery(level=10, charging=False)


def _make_well(phone: SimulatedPhone) -> None:
    phone.fill_storage(on=False)
    phone.set_battery(level=80, temperature_c=28, charging=True)
    phone.set_thermal(0)


def test_a_phone_that_heats_up_in_the_middle_marks_its_run(lab: Lab, qa: Submitter, phone: SimulatedPhone) -> None:
    job = begin_long_run(lab, qa)
    phone.set_thermal(3)
    (run,) = finished(qa, job, 180)
    phone.set_thermal(0)
    assert run["marks"] == ["throttled"]
    assert run["state"] == "finished"


@pytest.mark.parametrize(("state", "advice"), [("unauthorized", "allow"), ("offline", "cable")])
def test_a_phone_that_adb_sees_and_cannot_use_is_offline_with_what_to_do(
    qa: Submitter, phone: SimulatedPhone, state: Literal["unauthorized", "offline"], advice: str
) -> None:
    wait_for(qa, "idle")
    phone.set_state(state)
    try:
        wait_until(lambda: advice in device_of(qa)["reason"].lower(), 60, "a reason that says what to do")
        assert device_of(qa)["state"] == "offline"
        job = qa.submit(variants=[TINY], devices=CHROME, workload=SHORT, criteria=EASY)
        assert qa.runs(job)[0]["state"] == "queued"
    finally:
        phone.set_state("device")
    (run,) = finished(qa, job, 180)
    assert (run["state"], run["verdict"]) == ("finished", "fits")


def test_a_chrome_that_updated_itself_costs_attempts_until_it_can_be_driven(
    qa: Submitter, phone: SimulatedPhone
) -> None:
    wait_for(qa, "idle")
    current = device_of(qa)["registration"]["facts"]["browsers"][0]["version"]
    phone.install_chrome("151.0.7000.1")
    try:
        job = qa.submit(variants=[TINY], devices=CHROME, workload=SHORT, criteria=EASY)
        wait_until(partial(_has_failed_first, qa, job), 120, "an attempt with the other Chrome")
        assert codes_of(qa, job)[0] == "browser-start"
        assert f"no longer version {current}" in attempts_of(qa, job)[0]["fault"]["detail"]
    finally:
        phone.install_chrome(current)
    (run,) = finished(qa, job, 300)
    assert (run["state"], run["verdict"]) == ("finished", "fits"), codes_of(qa, job)


def test_a_bad_cable_quarantines_the_phone_until_a_health_run_passes(
    lab: Lab, qa: Submitter, phone: SimulatedPhone
) -> None:
    """Three attempts in a row that the lab spoils: the run waits until a health run has brought the phone back."""
    job = begin_long_run(lab, qa)
    for number in (1, 2, 3):
        wait_until(partial(_has_begun, qa, job, number), 120, f"attempt {number}")
        wait_for_page(lab)
        phone.unplug()
        wait_until(partial(_has_failed, qa, job, number), 120, f"the end of attempt {number}")
        phone.plug()
    assert set(codes_of(qa, job)[:3]) == {"device-unreachable"}
    device = wait_for(qa, "quarantined")
    assert "in a row" in device["quarantine"]["reason"]
    (run,) = finished(qa, job, 300)
    assert (run["state"], codes_of(qa, job)[-1]) == ("finished", None)
    assert device_of(qa)["quarantine"] is None
    health = [one for one in qa.get("/api/v1/runs?all=true")["items"] if one["purpose"] == "health"]
    assert [one["verdict"] for one in health] == ["fits"]


def _has_failed_first(qa: Submitter, job: str) -> bool:
    codes = codes_of(qa, job)
    return bool(codes) and codes[0] is not None


def _has_begun(qa: Submitter, job: str, number: int) -> bool:
    return len(attempts_of(qa, job)) == number


def _has_failed(qa: Submitter, job: str, number: int) -> bool:
    return codes_of(qa, job)[number - 1] is not None


def test_an_agent_that_ends_leaves_the_phone_as_it_was(lab: Lab, qa: Submitter, phone: SimulatedPhone) -> None:
    begin_long_run(lab, qa)
    assert lab.stop_agent() == 0
    state = phone.state()
    assert state["running"] == []
    assert state["reverse"] == {}
    assert state["settings"]["global"]["animator_duration_scale"] == "1.0"
    assert state["settings"]["system"]["screen_brightness_mode"] == "1"
    mine = str(lab.directory)
    assert [
        process
        for process in psutil.process_iter(["cmdline"])
        if mine in " ".join(process.info["cmdline"] or []) and "coordinator" not in process.info["cmdline"]
    ] == []
