"""A phone is plugged into a running agent: real adb, Appium and coordinator, and a simulated phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.lab import finished, provide_models
from tests.integration.coordinator.lab import RunningCoordinator, Submitter
from tests.phone.adb import AdbServer
from tests.phone.agent import PhoneAgent
from tests.phone.simulated import SimulatedPhone
from tests.phone_bench import provide_appium
from tests.waiting import wait_until

VARIANT = "llama-tiny.q8"
PHONES = 'os == "android"'


@pytest.fixture(scope="module", autouse=True)
def appium() -> None:
    provide_appium()


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[RunningCoordinator]:
    coordinator = RunningCoordinator(tmp_path / "data")
    provide_models(coordinator.data, VARIANT)
    coordinator.start()
    yield coordinator
    coordinator.stop()


@pytest.fixture
def qa(coordinator: RunningCoordinator) -> Iterator[Submitter]:
    submitter = Submitter(coordinator, PHONES)
    yield submitter
    submitter.close()


def phone_in(qa: Submitter, state: str) -> Any:
    """The phone's row once it is in this state, whatever the lab does with it in between."""

    def look() -> Any:
        rows = qa.get("/api/v1/devices")["items"]
        return next(
            (row for row in rows if row["registration"]["id"].startswith("android.") and row["state"] == state), None
        )

    return wait_until(look, 120, f"a phone that is {state}")


def measured(qa: Submitter) -> Any:
    job = qa.submit(variants=[VARIANT])
    runs = finished(qa, job, 240)
    assert {run["state"] for run in runs} == {"finished"}, [(run["browser"], run["state"]) for run in runs]
    return runs


def test_a_phone_is_measured_when_it_is_plugged_in_and_when_it_returns(
    coordinator: RunningCoordinator, qa: Submitter, tmp_path: Path
) -> None:
    with AdbServer() as server, SimulatedPhone(tmp_path / "phone") as phone:
        agent = PhoneAgent(coordinator.url, server, tmp_path / "agent")
        try:
            wait_until(lambda: qa.get("/api/v1/devices")["items"], 60, "the host's own device")
            phone.connect(server)
            phone_in(qa, "idle")
            measured(qa)
            phone.unplug()
            # At first it may be said of the command that was under way.
            wait_until(lambda: "plug it in" in phone_in(qa, "offline")["reason"], 60, "word of what to do")
            phone.plug()
            phone_in(qa, "idle")
            measured(qa)
        finally:
            assert agent.stop() == 0, agent.log.read_text()[-3000:]


def test_a_second_agent_with_the_same_phone_is_refused_it(
    coordinator: RunningCoordinator, qa: Submitter, tmp_path: Path
) -> None:
    with AdbServer() as server, SimulatedPhone(tmp_path / "phone") as phone:
        phone.connect(server)
        one = PhoneAgent(coordinator.url, server, tmp_path / "one")
        try:
            phone_in(qa, "idle")
            other = PhoneAgent(coordinator.url, server, tmp_path / "other")
            try:
                wait_until(lambda: "is not taken by the coordinator" in other.log.read_text(), 60, "a refusal")
            finally:
                assert other.stop() == 0
            assert phone_in(qa, "idle")
        finally:
            assert one.stop() == 0
