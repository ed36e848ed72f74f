"""What a transaction changed is noted with it, on both databases."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import CellVerdict, Condition, JobState, Notice, Purpose, RunState
from orchestrator.contract.webhooks import DeliveryState
from orchestrator.domain.cells import freeze
from orchestrator.domain.notices import DeliveryPlan, Webhook, claimed, new_delivery
from orchestrator.domain.records import (
    Agent,
    CellRecord,
    DeviceRecord,
    DrainRecord,
    Job,
    QuarantineRecord,
    ReservationRecord,
)
from orchestrator.services.events import EventMemory, forget_events
from orchestrator.store.database import Database
from orchestrator.store.events import Committed
from tests.unit.cli.matrix_samples import demo_matrix
from tests.unit.domain.builders import NOW, device_record, run, variant

ALL = tuple(Notice)


def job(identifier: str = "j-1", **changes: object) -> Job:
    spec = JobSpec(name="test", variants=["talker.q8"], labels={"branch": "main", "a, b": "{c}"})
    return replace(Job(identifier, spec, JobState.ACTIVE, NOW, submitter="ann"), **changes)  # type: ignore[arg-type]  # of any field


def told(database: Database, after: int = 0) -> list[tuple[str, str, str]]:
    with database.read() as tx:
        return [(event.topic, event.subject, event.state) for event in tx.events.after(after, 10_000)]


def register(database: Database, *webhooks: tuple[str, tuple[Notice, ...]]) -> None:
    with database.write() as tx:
        for name, notices in webhooks:
            tx.webhooks.add(Webhook(name, f"http://127.0.0.1:1/{name}", "whsec_AAAA", notices, NOW, "admin"))


def sent(database: Database, webhook: str) -> list[tuple[str, dict[str, object]]]:
    with database.read() as tx:
        found = tx.webhooks.deliveries(webhook, 100, None)
    return [(one.payload["type"], one.payload["data"]) for one in reversed(found)]


def add_device(database: Database, record: DeviceRecord | None = None) -> DeviceRecord:
    record = record or device_record()
    with database.write() as tx:
        tx.agents.put(Agent("lab", "host", "1", "digest", NOW))
        tx.devices.put(record)
    return record


def test_each_subject_is_noted_once_with_its_last_state(database: Database) -> None:
    heard: list[Committed] = []
    database.listen(heard.append)
    frozen = freeze(variant())
    one = run(variant_digest=frozen.digest, state=RunState.QUEUED)
    with database.write() as tx:
        tx.jobs.add(job(), None)
        tx.variants.put(frozen)
        tx.runs.add([one, replace(one, id="r-2")])
        tx.runs.update(replace(one, state=RunState.LEASED))
        tx.runs.update(replace(one, state=RunState.RUNNING))
        assert told(database) == []
    assert told(database) == [("job", "j-1", "active"), ("run", "r-2", "queued"), ("run", "r-1", "running")]
    assert heard == [Committed(events=3, deliveries=0)]
    with database.read() as tx:
        assert {(event.job, event.device) for event in tx.events.after(1, 10)} == {("j-1", "lab.desk")}


def test_what_is_rolled_back_did_not_happen(database: Database) -> None:
    heard: list[Committed] = []
    database.listen(heard.append)
    register(database, ("ops", ALL))
    heard.clear()
    with database.write() as tx:
        tx.jobs.add(job(), None)
    with pytest.raises(RuntimeError), database.write() as tx:
        tx.jobs.update(job(state=JobState.FINISHED, finished_at=NOW))
        raise RuntimeError("on the way")
    assert told(database) == [("job", "j-1", "active")]
    assert sent(database, "ops") == []
    assert len(heard) == 1


def test_a_heartbeat_is_no_event_but_a_change_of_standing_is(database: Database) -> None:
    register(database, ("ops", ALL), ("ci", (Notice.JOB_FINISHED,)))
    record = add_device(database)
    steps: list[DeviceRecord] = [
        replace(record, last_seen_at=NOW + timedelta(seconds=5)),
        replace(record, reason="still well"),
        replace(record, condition=Condition.RESTING, reason="hot"),
        replace(record, quarantine=QuarantineRecord(NOW, "three faults")),
        replace(record, quarantine=QuarantineRecord(NOW, "three faults"), condition=Condition.OFFLINE),
        replace(record, drain=DrainRecord("ann", NOW, "new cable")),
        replace(record, reservation=ReservationRecord("ann", NOW, "mine")),
        replace(record, reservation=ReservationRecord("bob", NOW, "mine")),
        record,
    ]
    for step in steps:
        with database.write() as tx:
            tx.devices.put(step)
    assert [state for _, _, state in told(database)] == [
        "ready", "resting", "quarantined", "offline", "drained", "reserved", "reserved", "ready",
    ]  # fmt: skip
    notices = sent(database, "ops")
    assert [kind for kind, _ in notices] == ["device.quarantined", "device.returned"]
    assert notices[0][1] == {"id": "lab.desk", "name": "lab.desk", "state": "quarantined", "reason": "three faults"}
    assert sent(database, "ci") == []


def test_the_end_of_a_job_is_told_with_its_counts(database: Database) -> None:
    register(database, ("all", ALL), ("named", ()))
    frozen = freeze(variant())
    named = job("j-2", spec=JobSpec(name="n", variants=["talker.q8"], notify=["named"]))
    health = job("j-3", purpose=Purpose.HEALTH)
    with database.write() as tx:
        tx.variants.put(frozen)
        for one in (job(), named, health):
            tx.jobs.add(one, None)
        tx.runs.add([run(variant_digest=frozen.digest, state=RunState.INCONCLUSIVE)])
    for one in (job(), named, health):
        for _ in range(2):
            with database.write() as tx:
                tx.jobs.update(replace(one, state=JobState.FINISHED, finished_at=NOW))
    ((kind, data),) = sent(database, "all")
    assert (kind, data["id"], data["state"], data["submitter"]) == ("job.finished", "j-1", "finished", "ann")
    counts = data["runs"]
    assert isinstance(counts, dict)
    assert (counts["inconclusive"], counts["finished"]) == (1, 0)
    assert [(kind, data["id"]) for kind, data in sent(database, "named")] == [("job.finished", "j-2")]


def test_only_a_settled_cell_that_changes_is_told(database: Database) -> None:
    register(database, ("all", ALL))
    cell = demo_matrix().cells[0]
    for verdict in ("unsettled", "fits", "fits", "fails", "unsettled", "fits"):
        with database.write() as tx:
            tx.cells.put(CellRecord("key", cell.model_copy(update={"verdict": CellVerdict(verdict)})))
    assert [state for _, _, state in told(database)] == ["unsettled", "fits", "fits", "fails", "unsettled", "fits"]
    changes = [(data["before"], data["verdict"]) for _, data in sent(database, "all")]
    assert changes == [("fits", "fails"), ("fails", "unsettled")]


def test_ids_grow_in_the_order_of_commits(database: Database) -> None:
    """So that whoever has read up to an id misses nothing that comes to light later with a lower one."""
    seen: list[int] = []
    writing = threading.Event()
    writing.set()

    def write(writer: int) -> None:
        for number in range(25):
            with database.write() as tx:
                tx.jobs.add(job(f"j-{writer}-{number}"), None)

    def read() -> None:
        while writing.is_set() or not seen or len(seen) < 100:
            with database.read() as tx:
                seen.extend(event.id for event in tx.events.after(seen[-1] if seen else 0, 7))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    writing.clear()
    reader.join(timeout=30)
    assert len(seen) == len(set(seen)) == 100
    assert seen == sorted(seen)


def test_old_events_are_forgotten_but_never_the_newest(database: Database) -> None:
    for number in range(10):
        with database.write() as tx:
            tx.jobs.add(job(f"j-{number}"), None)
    with database.read() as tx:
        _, newest = tx.events.bounds()
        now = tx.events.after(0, 1)[0].at
    forget_events(database, lambda: now, EventMemory(age=timedelta(days=7), number=4))
    assert [subject for _, subject, _ in told(database)] == ["j-6", "j-7", "j-8", "j-9"]
    forget_events(database, lambda: now + timedelta(days=30), EventMemory(age=timedelta(days=7), number=4))
    with database.read() as tx:
        assert tx.events.bounds() == (newest, newest)
    with database.write() as tx:
        tx.jobs.add(job("j-new"), None)
    with database.read() as tx:
        assert tx.events.bounds()[1] > newest


def test_jobs_are_found_by_state_submitter_and_labels(database: Database) -> None:
    with database.write() as tx:
        tx.jobs.add(job("j-1"), None)
        tx.jobs.add(job("j-2", submitter="bob", state=JobState.CANCELLED), None)
        tx.jobs.add(job("j-3", spec=JobSpec(name="bare", variants=["v"])), None)
    with database.read() as tx:
        assert [one.id for one in tx.jobs.newest(9, state=JobState.CANCELLED)] == ["j-2"]
        assert [one.id for one in tx.jobs.newest(9, submitter="bob")] == ["j-2"]
        assert [one.id for one in tx.jobs.newest(9, labels=[("branch", None)])] == ["j-1", "j-2"]
        assert [one.id for one in tx.jobs.newest(9, labels=[("branch", "main"), ("a, b", "{c}")])] == ["j-1", "j-2"]
        for strange in ("a.b", "$", "[0]", "{x,y}", "it's", "ä", "%", "*"):
            assert tx.jobs.newest(9, labels=[(strange, None)]) == []
        assert tx.jobs.newest(9, labels=[("branch", "main' OR 1=1 --")]) == []


def test_of_each_webhook_the_longest_due_comes_first(database: Database) -> None:
    register(database, ("a", ALL), ("b", ALL))
    plan = DeliveryPlan()
    with database.write() as tx:
        for name, seconds in (("a", 0), ("a", 5), ("b", 3), ("b", 60)):
            made = new_delivery(name, "ping", {"seconds": seconds}, NOW)
            tx.webhooks.add_delivery(replace(made, due_at=NOW + timedelta(seconds=seconds)))
    with database.read() as tx:
        due = tx.webhooks.due(NOW + timedelta(seconds=10))
        assert sorted((one.webhook, one.payload["data"]["seconds"]) for one in due) == [("a", 0), ("b", 3)]
        assert tx.webhooks.next_due() == NOW
    with database.write() as tx:
        for one in due:
            tx.webhooks.update_delivery(claimed(one, plan, NOW + timedelta(seconds=10)))
        tx.webhooks.postpone("a", NOW + timedelta(hours=1))
    with database.read() as tx:
        assert tx.webhooks.due(NOW + timedelta(seconds=10)) == []
    with database.write() as tx:
        tx.webhooks.give_up(NOW + timedelta(days=1))
        tx.webhooks.remove("b")
    with database.read() as tx:
        assert {one.state for one in tx.webhooks.deliveries("a", 10, None)} == {DeliveryState.GIVEN_UP}
        assert tx.webhooks.deliveries("b", 10, None) == []
