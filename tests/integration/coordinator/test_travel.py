"""How a run travels, and what becomes of it when something on the way breaks."""

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import ON_BOTH_DATABASES, HandAgent, RunningCoordinator, Submitter
from tests.unit.domain.builders import device
from tests.waiting import wait_until

pytestmark = ON_BOTH_DATABASES

NO_MODEL = Fault(origin=FaultOrigin.COORDINATOR, code=FaultCode.DOWNLOAD, phase=Phase.PREPARE, transient=True)
"""Of the lab, and nothing against the device."""


def test_a_job_becomes_a_cell(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit()
    spec = agent.receive()
    assert agent.start(spec) == 200
    receipt = agent.report(spec)
    assert receipt.json()["counted"] is True
    assert qa.job(job)["state"] == "finished"
    (cell,) = qa.cells(agent.device_id)
    assert (cell["verdict"], cell["runs"], cell["successes"]) == ("unsettled", 1, 1)
    assert cell["decode_tokens_per_second"] == {"median": 10.0, "p25": 10.0, "p75": 10.0, "n": 1}
    assert cell["last_run"] == spec.run_id
    assert cell["latency_seconds"] is None


def test_auto_repeats_until_the_cell_settles(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit(repeats="auto")
    for _ in range(5):
        spec = agent.receive()
        agent.start(spec)
        agent.report(spec)
    assert qa.job(job)["state"] == "finished"
    assert qa.cells(agent.device_id)[0]["verdict"] == "fits"
    assert len(qa.runs(job)) == 5


def test_two_failures_settle(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit(repeats="auto")
    fault = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)
    for _ in range(2):
        spec = agent.receive()
        agent.start(spec)
        agent.report(spec, fault=fault, page=None)
    assert qa.job(job)["state"] == "finished"
    (cell,) = qa.cells(agent.device_id)
    assert (cell["verdict"], cell["fault"], cell["phase"]) == ("fails", "out-of-memory", "init")


def test_only_one_device_of_a_group_is_leased(coordinator: RunningCoordinator) -> None:
    one, two = (device(f"pair.{name}", exclusive_group="pair") for name in ("one", "two"))
    agent = HandAgent(coordinator, one, two, agent_id="pair")
    agent.enrol()
    qa = Submitter(coordinator, 'id.startsWith("pair.")')
    job = qa.submit()
    wait_until(lambda: [run for run in qa.runs(job) if run["state"] == "leased"], what="a lease")
    assert sorted(run["state"] for run in qa.runs(job)) == ["leased", "queued"]
    leased = next(run["device_id"] for run in qa.runs(job) if run["state"] == "leased")
    for device_id in (leased, *({one.id, two.id} - {leased})):
        spec = agent.receive(device_id)
        agent.start(spec)
        agent.report(spec)
    assert qa.job(job)["state"] == "finished"
    qa.close()
    agent.close()


def test_an_attempt_starts_once(agent: HandAgent, qa: Submitter) -> None:
    qa.submit()
    spec = agent.receive()
    assert agent.start(spec) == 200
    assert agent.start(spec) == 409


def test_a_report_counts_once(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit()
    spec = agent.receive()
    agent.start(spec)
    first = agent.report(spec)
    stored = qa.run(spec.run_id)["attempt_list"][0]["report"]
    again = agent.put(AttemptReport.model_validate(stored))
    assert first.json()["counted"] is True
    assert again.json()["counted"] is True
    assert qa.cells(agent.device_id)[0]["runs"] == 1
    assert len(qa.runs(job)) == 1


def test_infrastructure_faults_get_another_attempt_and_never_a_cell(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit()
    for number in (1, 2, 3):
        spec = agent.receive()
        assert spec.number == number
        agent.start(spec)
        assert agent.report(spec, fault=NO_MODEL, page=None).json()["counted"] is True
    (run,) = qa.runs(job)
    assert (run["state"], run["attempts"], run["verdict"]) == ("inconclusive", 3, None)
    assert qa.job(job)["state"] == "finished"
    assert qa.cells(agent.device_id) == []


def test_a_silent_device_loses_its_lease_and_its_late_report_is_evidence(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job = qa.submit()
    first = agent.receive()
    agent.start(first)
    coordinator.let_leases_run_out(agent.device_id)
    second = agent.receive()  # the heartbeats meanwhile do not name the first attempt
    assert (second.run_id, second.number) == (first.run_id, 2)
    assert [ref.number for ref in agent.beat(first).fenced] == [1]
    assert agent.start(first) == 409
    assert agent.report(first).json()["counted"] is False
    assert qa.cells(agent.device_id) == []
    agent.start(second)
    agent.report(second)
    (cell,) = qa.cells(agent.device_id)
    assert cell["runs"] == 1
    lost, counted = qa.run(first.run_id)["attempt_list"]
    assert (lost["state"], lost["late_reports"], lost["fault"]["code"]) == ("lost", 1, "lease-expired")
    assert counted["state"] == "reported"
    assert len(qa.runs(job)) == 1


def test_heartbeats_that_name_an_attempt_renew_its_lease(agent: HandAgent, qa: Submitter) -> None:
    qa.submit()
    spec = agent.receive()
    agent.start(spec)

    def expires_at() -> str:
        return str(qa.run(spec.run_id)["attempt_list"][0]["lease_expires_at"])

    def renewed_after(before: str) -> None:
        wait_until(lambda: agent.beat(spec) and expires_at() > before, what="a renewed lease")

    first = expires_at()
    for _ in range(4):
        renewed_after(expires_at())
    assert expires_at() > first
    assert agent.report(spec).json()["counted"] is True


def test_a_flushed_broker_loses_nothing(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit()
    broker = coordinator.broker
    wait_until(lambda: broker.llen(f"device.{agent.device_id}"), what="the message on its queue")
    broker.flushall()
    spec = agent.receive()
    assert spec.number == 1
    agent.start(spec)
    agent.report(spec)
    assert qa.job(job)["state"] == "finished"


def test_a_killed_broker_comes_back_with_what_was_in_flight(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job = qa.submit()
    broker = coordinator.broker
    wait_until(lambda: broker.llen(f"device.{agent.device_id}"), what="the message on its queue")
    broker.shutdown(nosave=True)
    spec = agent.take()
    agent.report(spec)
    assert qa.job(job)["state"] == "finished"


def test_a_coordinator_killed_in_the_middle_loses_nothing(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job = qa.submit(repeats=3)
    spec = agent.take()
    coordinator.kill()
    coordinator.start()
    assert agent.report(spec).json()["counted"] is True
    for _ in range(2):
        spec = agent.take()
        agent.report(spec)
    view = qa.job(job)
    assert (view["state"], view["runs"]["finished"]) == ("finished", 3)
    assert qa.cells(agent.device_id)[0]["runs"] == 3
