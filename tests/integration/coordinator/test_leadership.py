"""One dispatcher is active, and what it holds ends in time: by a clock that is set, and with processes."""

from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import create_engine, text

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.vocabulary import AttemptState
from orchestrator.dispatch.broker import EmbeddedBroker
from tests.integration.coordinator.inside import TIMES, InnerLab
from tests.integration.coordinator.lab import HandAgent, Submitter, running_coordinator
from tests.postgres import PostgresCluster
from tests.waiting import wait_until


def test_a_standby_takes_over_when_the_leaders_lease_is_over(inner: InnerLab) -> None:
    first, second = "first", "second"
    leads = inner.dispatching.lead
    assert leads(first, TIMES.leadership)
    for _ in range(5):
        inner.now += TIMES.sweep
        assert not leads(second, TIMES.leadership), "the leader is there and says so at every sweep"
        assert leads(first, TIMES.leadership)
    died_at, sweeps = inner.now, 0
    while not leads(second, TIMES.leadership):
        inner.now += TIMES.sweep
        sweeps += 1
    assert inner.now - died_at <= TIMES.leadership + TIMES.sweep
    assert inner.now - died_at < TIMES.lease, "before any attempt that it left is given up"
    assert not leads(first, TIMES.leadership), "should it come back"


def test_a_leader_that_goes_in_order_is_followed_at_once(inner: InnerLab) -> None:
    assert inner.dispatching.lead("first", TIMES.leadership)
    inner.dispatching.resign("first")
    assert inner.dispatching.lead("second", TIMES.leadership)


def test_no_lease_outlives_its_end_by_more_than_a_sweep(inner: InnerLab) -> None:
    names = [f"d{number}" for number in range(6)]
    inner.add(*names)
    inner.submit(repeats=3)
    sent: dict[tuple[str, int], AttemptSpec] = {}
    for _ in range(40):
        for spec in inner.broker.take():
            if (spec.run_id, spec.number) not in sent and len(sent) % 2:
                inner.start(spec)  # the others are never begun; nothing is heard of either
            sent[spec.run_id, spec.number] = spec
        inner.pass_time(*names, seconds=TIMES.sweep.total_seconds())
        with inner.database.read() as tx:
            overdue = [lease for lease in tx.leases.all() if lease.expires_at <= inner.now]
            assert overdue == [], f"after the sweep at {inner.now}"
    with inner.database.read() as tx:
        attempts = [tx.attempts.get(*name) for name in sent]
    lost = [one for one in attempts if one is not None and one.state is AttemptState.LOST]
    assert {one.started_at is None for one in lost} == {True, False}
    for one in lost:
        since = one.started_at or one.leased_at
        assert one.finished_at is not None
        assert one.finished_at - since <= TIMES.lease + TIMES.sweep


def test_a_standby_process_goes_on_where_the_leader_was_killed(tmp_path: Path, postgres: PostgresCluster) -> None:
    database_url = postgres.new_database()
    engine = create_engine(database_url)

    def leader() -> str | None:
        with engine.connect() as connection:
            return connection.execute(text("SELECT holder FROM leadership")).scalar()

    with ExitStack() as stack:
        stack.callback(engine.dispose)
        broker = EmbeddedBroker(tmp_path / "broker")
        broker.start()
        stack.callback(broker.stop)
        settings = {"database_url": database_url, "broker_url": broker.url, "lease_seconds": "10"}
        first = stack.enter_context(running_coordinator(tmp_path / "first", **settings))
        led_by = wait_until(leader, what="a leader")
        second = stack.enter_context(running_coordinator(tmp_path / "second", **settings))
        agent = HandAgent(second)
        stack.callback(agent.close)
        qa = Submitter(second)
        stack.callback(qa.close)
        assert agent.enrol().status_code == 200
        job = qa.submit(repeats=2)
        spec = agent.take()
        first.kill()
        assert agent.report(spec).json()["counted"] is True
        assert agent.report(agent.take()).json()["counted"] is True
        assert leader() != led_by
        assert qa.job(job)["state"] == "finished"
