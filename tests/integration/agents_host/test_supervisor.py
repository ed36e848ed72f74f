"""The supervisor: workers live as long as it does, and what dies in between is reported."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from agents.cli import app
from agents.coordinator import CoordinatorRefusedError
from agents.file_lock import FileLock
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin
from tests.integration.agents_host.lab import DEVICE, PATIENCE_SECONDS, WORKER, Lab, eventually, gone

HOST = """
import sys, threading
from pathlib import Path
from agents.settings import AgentSettings
from agents.supervisor import Supervisor
from agents.telemetry import AgentMetrics
from tests.integration.agents_host.lab import BenchFleet
settings = AgentSettings(coordinator=sys.argv[1], data=Path(sys.argv[2]))
Supervisor(settings, agent_id="host-1", fleet=BenchFleet(sys.argv[3]), metrics=AgentMetrics(),
           worker_command=[sys.executable, sys.argv[4]]).run(threading.Event())
"""


def test_a_killed_worker_is_replaced_and_its_attempt_reported(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    pid = lab.running("run-1")["pid"]
    os.kill(pid, signal.SIGKILL)
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert (fault.origin, fault.code, fault.transient) == (FaultOrigin.AGENT, FaultCode.WORKER_LOST, True)
    assert "SIGKILL" in fault.detail
    lab.send("run-1", number=2)
    eventually(lambda: any(report.number == 2 for report in lab.coordinator.reports), "the second attempt's report")
    assert lab.running("run-1", 2)["pid"] != pid
    assert [report.number for report in lab.coordinator.reports] == [1, 2]


def test_an_idle_worker_that_is_killed_reports_nothing(lab: Lab) -> None:
    lab.start()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")
    os.kill(lab.running("run-1")["pid"], signal.SIGKILL)
    lab.await_condition("offline")
    lab.await_condition("ready")
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert [report.run_id for report in lab.coordinator.reports] == ["run-1", "run-2"]


def test_a_device_that_could_not_be_cleaned_is_taken_out(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="litter")
    lab.coordinator.report_of("run-1")
    assert lab.await_condition("quarantined") == "A browser is left."
    (lab.place() / "littered").unlink()
    lab.await_condition("ready")


def test_stopping_ends_the_attempt_and_every_process(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    pid = lab.running("run-1")["pid"]
    lab.stop()
    assert gone(pid)
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert fault.is_infrastructure
    assert lab.coordinator.last_status() == {
        "id": DEVICE,
        "condition": "offline",
        "reason": "the agent was stopped",
        "health": None,
        "attempt": None,
    }


def test_a_stopped_attempts_report_waits_for_the_next_start(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    lab.running("run-1")
    lab.coordinator.stop()
    lab.stop()
    assert len(lab.unsent()) == 1
    lab.coordinator.start()
    lab.start()
    lab.coordinator.report_of("run-1")
    assert len(lab.coordinator.reports) == 1


def test_a_device_keeps_its_address_unless_it_is_taken(lab: Lab) -> None:
    lab.start()
    lab.stop()
    lab.start()
    lab.stop()
    first, second = (enrolment["devices"][0]["page_origin"] for enrolment in lab.coordinator.enrolments)
    assert first == second
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        lab.start()
        lab.send("run-1")
        lab.coordinator.report_of("run-1")
    assert lab.coordinator.enrolments[2]["devices"][0]["page_origin"] != first
    assert lab.running("run-1")["origin"] == lab.coordinator.enrolments[2]["devices"][0]["page_origin"]


def test_a_forgotten_agent_enrols_again_and_its_attempt_goes_on(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    lab.running("run-1")
    lab.coordinator.forget_agent()
    eventually(lambda: len(lab.coordinator.enrolments) == 2, "a second enrolment")
    lab.release("run-1")
    assert lab.coordinator.report_of("run-1").fault is None
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert lab.running("run-1")["pid"] == lab.running("run-2")["pid"]


def test_a_moved_broker_is_followed(lab: Lab, tmp_path: Path) -> None:
    lab.start()
    old = lab.broker
    lab.coordinator.stop()
    old.kill()
    lab.broker = type(old)(tmp_path / "new-broker")
    lab.coordinator.broker_url = lab.broker.url
    lab.coordinator.start()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")


def test_the_agent_waits_for_its_coordinator(lab: Lab) -> None:
    lab.coordinator.stop()
    lab.start_supervisor()
    assert lab.coordinator.enrolments == []
    lab.coordinator.start()
    lab.await_condition("ready")


def test_a_refusal_ends_the_agent_with_its_reason(lab: Lab) -> None:
    lab.coordinator.refuses_enrolment = "install fitmatrix 9"
    lab.start_supervisor()
    error = eventually(lambda: lab.error, "an error")
    assert isinstance(error, CoordinatorRefusedError)
    assert "install fitmatrix 9" in str(error)


def test_workers_die_with_a_killed_supervisor(lab: Lab) -> None:
    arguments = [lab.coordinator.url, str(lab.data), DEVICE, str(WORKER)]
    with subprocess.Popen([sys.executable, "-c", HOST, *arguments]) as supervisor:
        try:
            lab.await_condition("ready")
            lab.send("run-1", behaviour="wait")
            pid = lab.running("run-1")["pid"]
        finally:
            supervisor.kill()
    worker = psutil.Process(pid) if not gone(pid) else None
    if worker is not None:
        worker.wait(PATIENCE_SECONDS)
    assert lab.coordinator.reports == []
    lab.start()
    report = lab.coordinator.report_of("run-1")
    assert report.fault is not None
    assert report.fault.is_infrastructure


def test_a_second_agent_on_the_same_data_is_refused(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "supervisor.lock")
    assert lock.try_acquire()
    result = CliRunner().invoke(app, ["run", "--coordinator", "http://127.0.0.1:9", "--data", str(tmp_path)])
    lock.release()
    assert result.exit_code == 3
    assert "another agent is already running" in result.output


@pytest.mark.parametrize("url", ["lab:8000", "", "ftp://lab"])
def test_a_coordinator_must_be_an_address(url: str) -> None:
    result = CliRunner().invoke(app, ["run", "--coordinator", url])
    assert result.exit_code == 2
    assert "--coordinator" in result.output
