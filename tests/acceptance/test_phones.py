"""Phones in a whole lab: real adb, real Appium, real chromedriver, a real coordinator; only the phone is simulated."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.acceptance.lab import MINILM, TINY, Lab, finished, provide_models
from tests.integration.coordinator.lab import Submitter
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until
from tests.workbench import ROOT, SHORT

APPIUM = ROOT / ".cache" / "appium"
DEVICES = """
devices:
  - name: desk
"""
PHONE = 'os == "android"'
EASY = {"max_latency_seconds": 60, "min_decode_tokens_per_second": 0.1, "max_ttft_seconds": 60}


@pytest.fixture(scope="module")
def adb() -> Iterator[AdbServer]:
    with AdbServer() as server:
        yield server


@pytest.fixture(scope="module")
def lab(adb: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("phones")
    provide_models(directory / "data", TINY, MINILM)
    phones = {"FITMATRIX_AGENT_PHONES": "true", "FITMATRIX_AGENT_APPIUM": str(APPIUM)}
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


def device_of(qa: Submitter, serial: str = "SIM0001") -> Any:
    """The phone as the coordinator sees it; None while it does not know it."""
    name = f"android.{serial.lower()}-"
    devices = qa.get("/api/v1/devices")["items"]
    return next((one for one in devices if one["registration"]["id"].startswith(name)), None)


def in_state(qa: Submitter, state: str) -> bool:
    device = device_of(qa)
    return device is not None and device["state"] == state


def test_a_phone_that_is_plugged_in_takes_part_beside_the_desk(qa: Submitter, phone: SimulatedPhone) -> None:
    wait_until(lambda: in_state(qa, "idle"), 60, "the phone")
    job = qa.submit(
        variants=[MINILM, TINY], backends=["wasm"], devices="true", workload=SHORT, criteria=EASY, repeats=1
    )
    runs = finished(qa, job, 300)
    assert {run["verdict"] for run in runs} == {"fits"}, runs
    rows = {(run["variant"], run["browser"], run["emulated"]) for run in runs}
    assert rows == {
        (variant, browser, emulated)
        for variant in (MINILM, TINY)
        for browser, emulated in (("chromium", False), ("chrome", True), ("webview", True))
    }
    for run in runs:
        report = qa.run(run["id"])["attempt_list"][-1]["report"]
        files = next(one for one in qa.get("/api/v1/models")["items"] if one["variant"]["id"] == run["variant"])
        assert report["download"]["model_file_bytes"] >= files["total_bytes"]
        assert report["memory"]["peak_bytes"] > report["memory"]["baseline_bytes"] > 0
        assert {"screenshot.png", "console.json", "network.json"} <= {one["name"] for one in report["artifacts"]}
