"""A device's worker: what happens to messages, also when broker and coordinator come and go."""

import httpx
import pytest
from pydantic import ValidationError

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.agents_host.lab import DEVICE, MODEL, PAGE, Lab, attempt, eventually, sha256


def test_a_message_becomes_a_report(lab: Lab) -> None:
    lab.start()
    lab.send("run-1")
    report = lab.coordinator.report_of("run-1")
    assert report.fault is None
    assert lab.coordinator.started == ["run-1.1"]
    assert lab.coordinator.uploaded == {report.artifacts[0].sha256: b"console of run-1"}
    seen = lab.running("run-1")
    assert seen["files"] == {"index.html": PAGE.decode(), "model.bin": MODEL.decode()}
    assert seen["media_types"] == {"index.html": "text/html"}
    registered = lab.coordinator.enrolments[0]["devices"][0]
    assert seen["origin"] == registered["page_origin"]
    assert httpx.get(f"{registered['page_origin']}/run/nothing/").status_code == 404


def test_the_enrolment_token_stays_with_the_supervisor(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITMATRIX_AGENT_TOKEN", "sesame")
    lab.start()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")
    assert lab.coordinator.enrolment_tokens == ["Bearer sesame"]
    assert lab.running("run-1")["token"] is None


def test_files_are_downloaded_once_for_many_attempts(lab: Lab) -> None:
    lab.start()
    for run in ("run-1", "run-2"):
        lab.send(run)
        lab.coordinator.report_of(run)
    assert lab.coordinator.downloads == {sha256(PAGE): 1, sha256(MODEL): 1}


def test_a_token_that_is_renewed_in_the_middle_spoils_no_attempt(lab: Lab) -> None:
    lab.coordinator.forgets_before_pages = 1
    lab.start()
    lab.send("run-1")
    assert lab.coordinator.report_of("run-1").fault is None
    assert lab.coordinator.forgets_before_pages == 0


def test_a_probe_needs_no_model(lab: Lab) -> None:
    lab.start()
    lab.send_probe("run-1")
    assert lab.coordinator.report_of("run-1").fault is None
    assert lab.running("run-1")["files"] == {"index.html": PAGE.decode()}
    assert lab.coordinator.downloads == {sha256(PAGE): 1}


def test_a_stale_attempt_is_dropped(lab: Lab) -> None:
    lab.coordinator.stale.add("run-1")
    lab.start()
    lab.send("run-1")
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert [report.run_id for report in lab.coordinator.reports] == ["run-2"]
    assert not (lab.data / "devices" / DEVICE / "run-1.1.running").exists()


def test_an_attempt_whose_start_got_no_answer_is_measured_all_the_same(lab: Lab) -> None:
    lab.coordinator.loses_starts = 2
    lab.start()
    lab.send("run-1")
    assert lab.coordinator.report_of("run-1").fault is None
    assert len(lab.coordinator.start_nonces) == 3
    assert len(set(lab.coordinator.start_nonces)) == 1
    assert lab.coordinator.started == ["run-1.1"]


def test_a_message_that_comes_twice_is_measured_once(lab: Lab) -> None:
    lab.start()
    lab.send("run-1")
    lab.send("run-1")
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert len(set(lab.coordinator.start_nonces)) == 3
    assert [report.run_id for report in lab.coordinator.reports] == ["run-1", "run-2"]


@pytest.mark.parametrize(
    ("payload", "task"), [({"run_id": "x"}, "fitmatrix.attempt"), ("nonsense", "fitmatrix.attempt"), ({}, "other.task")]
)
def test_a_message_that_is_no_attempt_is_dropped(lab: Lab, payload: object, task: str) -> None:
    lab.start()
    lab.broker.send(payload, task)
    lab.send("run-1")
    lab.coordinator.report_of("run-1")
    assert lab.coordinator.started == ["run-1.1"]


BAD_PATHS = ["../escape.bin", "/etc/passwd", "a/../../b", ".hidden", "a//b", "a\\b", "a b", "a;rm", "ä.bin", "a\n", ""]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_models_file_never_has_a_name_that_leads_elsewhere(path: str) -> None:
    payload = attempt("run-1", "0" * 64, "finish", 1, MODEL)
    AttemptSpec.model_validate(payload)
    payload["variant"]["files"][0]["path"] = path
    with pytest.raises(ValidationError, match="path"):
        AttemptSpec.model_validate(payload)


def test_an_attempt_with_a_name_that_leads_elsewhere_is_dropped(lab: Lab) -> None:
    lab.start()
    payload = attempt("run-1", lab.coordinator.build.id, "finish", 1, MODEL)
    payload["variant"]["files"][0]["path"] = BAD_PATHS[0]
    lab.broker.send(payload)
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert lab.coordinator.started == ["run-2.1"]


def test_a_page_build_with_a_name_that_leads_elsewhere_is_refused_with_the_name(lab: Lab) -> None:
    (file,) = lab.coordinator.build.model_dump(mode="json")["files"]
    lab.coordinator.lies_about_build = {"files": [file | {"path": "../../.bashrc"}]}
    lab.start()
    lab.send("run-1")
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert fault.origin is FaultOrigin.COORDINATOR
    assert "files.0.path is '../../.bashrc'" in fault.detail
    assert not (lab.data / "devices" / DEVICE / "run-1.1.running").exists()


def test_a_model_with_another_hash_never_reaches_the_device(lab: Lab) -> None:
    lab.coordinator.blobs[sha256(MODEL)] = b"weighty"
    lab.start()
    lab.send("run-1")
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert (fault.origin, fault.code, fault.phase) == (FaultOrigin.AGENT, FaultCode.HASH_MISMATCH, Phase.PREPARE)
    assert fault.transient
    assert not (lab.data / "devices" / DEVICE / "run-1.1.running").exists()


def test_a_missing_model_is_the_coordinators_fault(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", model=b"never uploaded")
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert (fault.origin, fault.code, fault.transient) == (FaultOrigin.COORDINATOR, FaultCode.DOWNLOAD, True)


def test_a_fenced_attempt_is_stopped(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    lab.running("run-1")
    eventually(lambda: (lab.coordinator.last_status()["attempt"] or {}).get("run_id") == "run-1", "a busy heartbeat")
    lab.coordinator.fenced = [{"run_id": "run-1", "number": 1}]
    assert lab.coordinator.report_of("run-1").fault is not None
    lab.send("run-2")
    assert lab.coordinator.report_of("run-2").fault is None


def test_fencing_another_attempt_changes_nothing(lab: Lab) -> None:
    lab.start()
    lab.coordinator.fenced = [{"run_id": "run-1", "number": 2}]
    lab.send("run-1", behaviour="wait")
    lab.running("run-1")
    beats = len(lab.coordinator.heartbeats)
    eventually(lambda: len(lab.coordinator.heartbeats) > beats + 3, "more heartbeats")
    assert lab.coordinator.reports == []
    lab.coordinator.fenced = [{"run_id": "run-1", "number": 1}]
    lab.coordinator.report_of("run-1")


def test_messages_arrive_after_the_broker_was_killed_while_idle(lab: Lab) -> None:
    lab.start()
    lab.broker.kill()
    lab.await_condition("offline")
    lab.broker.start()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")
    lab.await_condition("ready")


def test_messages_arrive_after_a_short_outage_of_the_broker(lab: Lab) -> None:
    lab.start()
    for outage in range(3):
        lab.broker.kill()
        lab.broker.start()
        lab.send(f"run-{outage}")
        lab.coordinator.report_of(f"run-{outage}")


def test_messages_arrive_after_the_broker_was_flushed(lab: Lab) -> None:
    lab.start()
    lab.broker.flush()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")


def test_an_attempt_survives_the_broker(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    lab.running("run-1")
    assert lab.broker.unacknowledged() == 0
    lab.broker.kill()
    lab.broker.start()
    lab.send("run-2")
    lab.release("run-1")
    assert lab.coordinator.report_of("run-1").fault is None
    lab.coordinator.report_of("run-2")
    assert lab.coordinator.started == ["run-1.1", "run-2.1"]


def test_a_worker_waits_for_a_broker_that_is_not_there_yet(lab: Lab) -> None:
    lab.broker.kill()
    lab.start_supervisor()
    eventually(lambda: lab.coordinator.last_status().get("reason"), "a heartbeat")
    lab.broker.start()
    lab.send("run-1")
    lab.coordinator.report_of("run-1")


def test_a_report_waits_for_the_coordinator_and_arrives_once(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    pid = lab.running("run-1")["pid"]
    lab.coordinator.stop()
    lab.release("run-1")
    eventually(lab.unsent, "a report on disk")
    lab.coordinator.start()
    assert lab.coordinator.report_of("run-1").fault is None
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    eventually(lambda: not lab.unsent(), "an empty spool")
    assert [report.run_id for report in lab.coordinator.reports] == ["run-1", "run-2"]
    assert lab.running("run-2")["pid"] == pid


def test_an_attempt_whose_report_is_on_its_way_keeps_its_lease(lab: Lab) -> None:
    lab.start()
    lab.coordinator.takes_reports = False
    lab.send("run-1")
    eventually(lab.unsent, "a report on disk")
    beats = len(lab.coordinator.heartbeats)
    eventually(lambda: len(lab.coordinator.heartbeats) > beats + 3, "more heartbeats")
    assert lab.coordinator.last_status()["attempt"] == {"run_id": "run-1", "number": 1}
    lab.coordinator.takes_reports = True
    lab.coordinator.report_of("run-1")
    eventually(lambda: lab.coordinator.last_status()["attempt"] is None, "a free device")
