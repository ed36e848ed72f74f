"""The order of the queue, and what is asked of it at each step, on both databases."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import AttemptState, Condition, JobState, Purpose, RunState
from orchestrator.domain.cells import freeze
from orchestrator.domain.fair_share import Usage
from orchestrator.domain.placement import Head, place
from orchestrator.domain.records import Agent, Attempt, Job, Lease
from orchestrator.store.database import Database
from tests.unit.domain.builders import NOW, device, device_record, run, variant

FROZEN = freeze(variant())
SINCE = NOW - timedelta(seconds=20)


@pytest.fixture
def lab(database: Database) -> Database:
    """Devices `a` to `d`, of which `c` and `d` share hardware, and an agent that was heard now."""
    with database.write() as tx:
        tx.variants.put(FROZEN)
        tx.agents.put(Agent("lab", "host", "1", "digest", NOW))
        for name, group in (("a", None), ("b", None), ("c", "host"), ("d", "host")):
            tx.devices.put(device_record(device(name, exclusive_group=group)))
        for name, priority, age in (("low", 10, 0), ("old", 50, 60), ("new", 50, 0)):
            spec = JobSpec(name=name, variants=["talker.q8"], priority=priority)
            tx.jobs.add(Job(name, spec, JobState.ACTIVE, NOW - timedelta(minutes=age)), None)
    return database


def queue(database: Database, identifier: str, job: str = "new", **changes: Any) -> None:
    values = {"device_id": "a", "state": RunState.QUEUED, "attempts": 0, "variant_digest": FROZEN.digest} | changes
    with database.write() as tx:
        tx.runs.add([run(identifier, job_id=job, **values)])


def names(heads: Iterable[Head]) -> set[str]:
    return {head.run_id for head in heads}


def test_the_queue_goes_by_priority_age_repeat_and_size(lab: Database) -> None:
    queue(lab, "r-low", "low")
    queue(lab, "r-new")
    queue(lab, "r-old-second", "old", repeat=1)
    queue(lab, "r-old-large", "old", variant_bytes=9999)
    queue(lab, "r-old-small", "old")
    order = []
    with lab.write() as tx:
        while heads := tx.queue.heads(["a"]):
            (first,) = place(heads, tx.devices.some(["a"]), {}, lambda _: (), {}).chosen
            order.append(first.run_id)
            tx.runs.update(replace(tx.runs.some([first.run_id])[first.run_id], state=RunState.LEASED))
    assert order == ["r-old-small", "r-old-large", "r-old-second", "r-new", "r-low"]


def test_each_submitter_and_each_browser_has_a_head(lab: Database) -> None:
    for submitter in ("ann", "bob", ""):
        for number in range(3):
            queue(lab, f"{submitter}-{number}", submitter=submitter, repeat=number)
    queue(lab, "webview", browser="webview", submitter="ann")
    queue(lab, "low", "low", submitter="carol")
    queue(lab, "elsewhere", device_id="b")
    with lab.read() as tx:
        assert names(tx.queue.heads(["a"])) == {"ann-0", "bob-0", "-0", "webview"}
        assert names(tx.queue.heads(["a"], every_priority=True)) == {"ann-0", "bob-0", "-0", "webview", "low"}
        assert names(tx.queue.heads(["a", "b"])) == {"ann-0", "bob-0", "-0", "webview", "elsewhere"}
        assert tx.queue.heads([]) == []
        assert tx.queue.heads(["c", "nobody"]) == []


def test_what_waits_is_ready_alone_on_its_hardware_and_has_something_to_do(lab: Database) -> None:
    for name in "abcd":
        queue(lab, f"r-{name}", device_id=name)
    with lab.read() as tx:
        assert sorted(tx.queue.waiting(None, SINCE)) == ["a", "b", "c", "d"]
        assert tx.queue.waiting({"a"}, SINCE) == ["a"]
        assert sorted(tx.queue.waiting({"c"}, SINCE)) == ["c", "d"], "what shares its hardware may be next"
        assert tx.queue.waiting(set(), SINCE) == []
        assert tx.queue.waiting(None, NOW + timedelta(seconds=1)) == [], "its agent was not heard"
    with lab.write() as tx:
        tx.leases.add(Lease("c", "host", "r-c", 1, NOW))
        resting = tx.devices.get("a")
        assert resting is not None
        tx.devices.put(replace(resting, condition=Condition.RESTING))
    with lab.read() as tx:
        assert tx.queue.waiting(None, SINCE) == ["b"]


def test_health_runs_are_found_among_all_others(lab: Database) -> None:
    queue(lab, "health", "low", purpose=Purpose.HEALTH)
    queue(lab, "measure")
    with lab.read() as tx:
        assert names(tx.queue.health_heads(["a", "b"])) == {"health"}
        assert tx.runs.health_runs_under_way() == {("a", "chromium")}
        assert tx.queue.has_queued(["a", "b"]) == {"a"}


def test_usage_survives(lab: Database) -> None:
    with lab.write() as tx:
        tx.submitters.put({"ann": Usage(1.5, NOW), "bob": Usage(2, NOW)})
    with lab.write() as tx:
        tx.submitters.put({"ann": Usage(3, NOW + timedelta(seconds=1))})
    with lab.read() as tx:
        assert tx.submitters.usage(["ann", "bob", "carol"]) == {
            "ann": Usage(3, NOW + timedelta(seconds=1)),
            "bob": Usage(2, NOW),
        }


def test_only_what_has_started_is_renewed_by_being_worked_on(lab: Database) -> None:
    later = NOW + timedelta(seconds=30)
    for name, state in (("a", AttemptState.RUNNING), ("b", AttemptState.LEASED)):
        queue(lab, f"r-{name}", device_id=name)
        with lab.write() as tx:
            tx.attempts.add(Attempt(f"r-{name}", 1, name, state, leased_at=NOW))
            tx.leases.add(Lease(name, name, f"r-{name}", 1, NOW))
    with lab.write() as tx:
        worked_on = {"a": ("r-a", 1), "b": ("r-b", 1), "c": ("r-c", 1)}
        assert tx.leases.renew_running(worked_on, later) == {"a", "b"}
        assert tx.leases.renew_running({"a": ("r-a", 2)}, later) == set(), "another attempt than the one that holds it"
    with lab.read() as tx:
        leases = tx.leases.of_devices(["a", "b"])
        assert (leases["a"].expires_at, leases["b"].expires_at) == (later, NOW)
        assert [lease.device_id for lease in tx.leases.expired(NOW)] == ["b"]


def test_only_what_changed_is_written(lab: Database) -> None:
    with lab.write() as tx:
        read = tx.devices.get("a")
        assert read is not None
        tx.devices.put(replace(read, infrastructure_faults=2))
        known = tx.devices.get("b")
        assert known is not None
        tx.devices.put(replace(known, registration=device("b", name="renamed")))
    with lab.read() as tx:
        changed, renamed = tx.devices.get("a"), tx.devices.get("b")
        assert changed == replace(read, infrastructure_faults=2)
        assert renamed is not None
        assert renamed.registration.name == "renamed", "what was known of it is read anew"
