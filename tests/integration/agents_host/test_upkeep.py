"""How a device is judged between attempts, and devices that come, go and change."""

import os
import signal

import pytest

from orchestrator.contract.vocabulary import FaultCode
from tests.integration.agents_host.lab import DEVICE, Lab, eventually

OTHER = "host-1.other"


def test_health_is_told_with_the_heartbeat(lab: Lab) -> None:
    lab.start()
    health = eventually(lambda: lab.coordinator.last_status().get("health"), "health")
    assert health["battery_level"] == 0.8


def test_an_unready_device_rests_until_it_is_well(lab: Lab) -> None:
    (lab.place() / "unready").write_text("The battery has 41.0 °C: let it cool.")
    lab.start_supervisor()
    assert lab.await_condition("resting") == "The battery has 41.0 °C: let it cool."
    (lab.place() / "unready").unlink()
    lab.await_condition("ready")


def test_an_unreachable_device_is_offline_until_it_answers(lab: Lab) -> None:
    lab.start()
    (lab.place() / "unreachable").write_text("It does not trust this host.")
    assert lab.await_condition("offline") == "It does not trust this host."
    (lab.place() / "unreachable").unlink()
    lab.await_condition("ready")


def test_what_an_attempt_left_is_put_back_by_the_next_worker(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="litter")
    lab.coordinator.report_of("run-1")
    lab.await_condition("quarantined")
    os.kill(lab.running("run-1")["pid"], signal.SIGKILL)
    lab.await_condition("offline")
    assert lab.await_condition("quarantined") == "A browser is left."


def test_a_quarantined_device_takes_nothing(lab: Lab) -> None:
    (lab.place() / "littered").write_text("A browser is left.")
    lab.start_supervisor()
    lab.await_condition("quarantined")
    lab.send("run-1")
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert (fault.code, fault.transient, fault.detail) == (FaultCode.DEVICE_NOT_READY, True, "A browser is left.")
    assert not (lab.place() / "run-1.1.running").exists()


def test_a_stopped_worker_process_is_replaced(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.worker_process._SILENT_SECONDS", 10.0)
    lab.start()
    lab.send("run-1", behaviour="wait")
    os.kill(lab.running("run-1")["pid"], signal.SIGSTOP)
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert fault.code is FaultCode.WORKER_LOST


def test_a_device_that_is_plugged_in_takes_jobs(lab: Lab) -> None:
    lab.start()
    lab.fleet.put(OTHER)
    lab.await_condition("ready", OTHER)
    lab.send("run-1", device=OTHER)
    assert lab.coordinator.report_of("run-1").device_id == OTHER
    assert [device["id"] for device in lab.coordinator.enrolments[-1]["devices"]] == [DEVICE, OTHER]


def test_an_unplugged_device_stays_known_and_returns(lab: Lab) -> None:
    lab.start()
    lab.fleet.put(DEVICE, absence="it is not connected: plug it in")
    assert lab.await_condition("offline") == "it is not connected: plug it in"
    lab.fleet.put(DEVICE)
    lab.await_condition("ready")
    assert len(lab.coordinator.enrolments) == 1


def test_changed_facts_are_enrolled_and_make_a_new_worker(lab: Lab) -> None:
    lab.start()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")
    lab.fleet.put(DEVICE, os_version="2")
    eventually(lambda: lab.coordinator.enrolments[-1]["devices"][0]["facts"]["os_version"] == "2", "the new facts")
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    eventually(lambda: lab.running("run-1")["pid"] != _pid_after(lab), "another worker")


def _pid_after(lab: Lab) -> int:
    runs = len(lab.coordinator.reports) + 1
    lab.send(f"run-{runs}")
    lab.coordinator.report_of(f"run-{runs}")
    return int(lab.running(f"run-{runs}")["pid"])


def test_a_refused_device_is_not_worked_until_it_is_taken(lab: Lab) -> None:
    lab.coordinator.refused = {OTHER: "another agent has it: unplug it there"}
    lab.fleet.put(OTHER)
    lab.start_supervisor()
    lab.await_condition("ready")
    assert lab.coordinator.condition(OTHER) is None
    lab.coordinator.refused = {}
    lab.fleet.put(OTHER, os_version="2")
    lab.await_condition("ready", OTHER)
