"""What a heartbeat costs, what it keeps alive, and what becomes of attempts that nobody starts; on both databases."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import AttemptState, Condition, FaultCode, RunState
from orchestrator.domain.errors import ConflictError, UnauthorizedError
from orchestrator.store.driver import Driver
from tests.integration.coordinator.inside import TIMES, InnerLab
from tests.unit.domain.builders import NOW


class Written:
    """The statements that write, without their values."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def on_statement(self, _connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        self.note(statement)

    def note(self, statement: str) -> None:
        verb, *words = statement.split()
        if verb in ("INSERT", "UPDATE", "DELETE"):
            self.statements.append(f"{verb} {words[0] if verb == 'UPDATE' else words[1]}")

    def take(self) -> list[str]:
        taken, self.statements = self.statements, []
        return taken


@pytest.fixture
def written(inner: InnerLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Of SQLAlchemy's, and of those that go past it."""
    seen = Written()
    tell = Driver._tell

    def noted(driver: Driver, text: str, *more: Any) -> None:
        seen.note(text)
        tell(driver, text, *more)

    monkeypatch.setattr(Driver, "_tell", noted)
    event.listen(Engine, "before_cursor_execute", seen.on_statement)
    yield seen
    event.remove(Engine, "before_cursor_execute", seen.on_statement)


def test_a_heartbeat_without_news_writes_its_agents_row_alone(inner: InnerLab, written: Written) -> None:
    names = [f"d{number}" for number in range(40)]
    inner.add(*names)
    inner.woken.clear()
    health = DeviceHealth(checked_at=NOW, battery_level=0.5)
    written.take()
    inner.beat(*names)
    assert written.take() == ["UPDATE agents"]
    inner.beat(*names, health=health)
    of_all = ["UPDATE devices"] * len(names)
    assert written.take() == ["UPDATE agents", *of_all, "INSERT device_health_samples"], "health that was not known"
    for _ in range(5):
        inner.now += TIMES.heartbeat
        inner.beat(*names, health=health.model_copy(update={"battery_level": 0.6}))
        assert written.take() == ["UPDATE agents"], "health is not urgent"
    inner.now += timedelta(seconds=10)
    inner.beat(*names, health=health.model_copy(update={"battery_level": 0.7}))
    assert written.take() == ["UPDATE agents", *of_all]
    said: Counter[str] = Counter()
    for _ in range(10):
        inner.now += TIMES.heartbeat
        inner.beat(*names, health=health.model_copy(update={"battery_level": 0.7}))
        said.update(written.take())
    assert said == {"UPDATE agents": 10, "INSERT device_health_samples": 1}, "and the same health is no news"
    assert inner.woken == []
    assert inner.device("d7").health == health.model_copy(update={"battery_level": 0.7})
    assert inner.device("d7").last_seen_at == inner.now


def test_news_of_a_device_is_written_and_wakes_the_dispatcher_for_it(inner: InnerLab) -> None:
    inner.add("a", "b")
    inner.woken.clear()
    health = DeviceHealth(checked_at=NOW, battery_level=0.04)
    inner.beat("a", "b", condition=Condition.RESTING, reason="It charges.", health=health)
    assert [set(woken or ()) for woken in inner.woken] == [{"a", "b"}]
    resting = inner.device("a")
    assert (resting.condition, resting.reason, resting.health) == (Condition.RESTING, "It charges.", health)
    inner.beat("a", "b", condition=Condition.RESTING, reason="It charges.")
    assert len(inner.woken) == 1


def test_one_statement_renews_all_leases_of_an_agent(inner: InnerLab, written: Written) -> None:
    names = [f"d{number}" for number in range(10)]
    inner.add(*names)
    inner.submit()
    working = {spec.device_id: spec for spec in inner.dispatch()}
    for spec in working.values():
        inner.start(spec)
    inner.now += TIMES.heartbeat
    written.take()
    assert inner.beat(*names, working=working).fenced == []
    assert written.take() == ["UPDATE agents", "UPDATE leases"]
    with inner.database.read() as tx:
        assert {lease.expires_at for lease in tx.leases.all()} == {inner.now + TIMES.lease}


def test_a_device_that_its_agent_says_nothing_of_is_offline(inner: InnerLab) -> None:
    inner.add("a", "b")
    inner.beat("a")
    gone = inner.device("b")
    assert gone.condition is Condition.OFFLINE
    assert "says nothing of it any more" in gone.reason
    inner.beat("a", "b")
    assert inner.device("b").condition is Condition.READY


def test_strangers_are_not_spoken_for(inner: InnerLab) -> None:
    inner.add("a")
    with pytest.raises(UnauthorizedError, match="device b is not enrolled by this agent"):
        inner.beat("a", "b")
    with pytest.raises(UnauthorizedError, match="this agent is not known"):
        inner.beat("a", agent_id="another")


def test_a_worker_that_holds_a_message_without_starting_it_is_noticed(inner: InnerLab) -> None:
    """Its agent is there, and may even say that the worker works on it."""
    inner.add("a")
    inner.submit()
    (spec,) = inner.dispatch()
    working = {"a": spec}
    inner.pass_time("a", seconds=TIMES.resend_after.total_seconds(), working=working)
    assert inner.broker.take() == [spec], "perhaps the message was lost"
    inner.pass_time("a", seconds=TIMES.lease.total_seconds() - TIMES.resend_after.total_seconds(), working=working)
    lost = _attempt(inner, spec)
    fault = lost.fault
    assert lost.state is AttemptState.LOST
    assert fault.code is FaultCode.LEASE_EXPIRED
    assert fault.detail == "the worker of device a did not start it, though its agent is there, until its lease ran out"
    assert inner.device("a").infrastructure_faults == 1
    for _ in range(2):
        inner.pass_time("a", seconds=TIMES.lease.total_seconds())
    assert inner.device("a").quarantine is not None, "three of them in a row"


def test_whoever_started_an_attempt_may_hear_it_again_and_nobody_else(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit(repeats=2)
    (spec,) = inner.dispatch()
    own, others = "0" * 32, "1" * 32
    inner.start(spec, own)
    started = _attempt(inner, spec)
    inner.now += TIMES.heartbeat
    inner.start(spec, own)
    assert _attempt(inner, spec) == started
    for nonce in (others, None):
        with pytest.raises(ConflictError, match="is running: drop it"):
            inner.start(spec, nonce)
    inner.pass_time("a", seconds=2 * TIMES.lease.total_seconds())
    with pytest.raises(ConflictError, match="is lost: drop it"):
        inner.start(spec, own)


def test_an_attempt_that_was_started_without_a_nonce_is_started_once(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit()
    (spec,) = inner.dispatch()
    inner.start(spec)
    with pytest.raises(ConflictError, match="is running: drop it"):
        inner.start(spec)


def test_a_broker_that_is_away_is_no_devices_fault(inner: InnerLab) -> None:
    inner.add("a", "b", "c")
    inner.broker.is_away = True
    inner.submit(repeats=2)
    assert inner.dispatch() == []
    assert inner.broker.tries == 1, "one try is enough to know"
    inner.pass_time("a", "b", "c", seconds=10 * TIMES.lease.total_seconds())
    inner.broker.is_away = False
    inner.pass_time("a", "b", "c", seconds=TIMES.sweep.total_seconds())
    specs = inner.broker.take()
    assert sorted((spec.device_id, spec.number) for spec in specs) == [("a", 1), ("b", 1), ("c", 1)]
    for spec in specs:
        inner.finish(spec)
    assert {inner.device(name).infrastructure_faults for name in "abc"} == {0}
    assert len(inner.dispatch()) == 3


def test_what_a_broker_has_forgotten_is_sent_again(inner: InnerLab) -> None:
    inner.add("a")
    inner.submit()
    (spec,) = inner.dispatch()
    inner.broker.is_away = True
    inner.pass_time("a", seconds=3 * TIMES.lease.total_seconds())
    assert _attempt(inner, spec).sent_at is None
    inner.broker.is_away = False
    inner.pass_time("a", seconds=TIMES.sweep.total_seconds())
    assert inner.broker.take() == [spec]
    inner.finish(spec)
    assert inner.run(spec.run_id).state is RunState.FINISHED


def _attempt(lab: InnerLab, spec: AttemptSpec) -> Any:
    with lab.database.read() as tx:
        return tx.attempts.get(spec.run_id, spec.number)
