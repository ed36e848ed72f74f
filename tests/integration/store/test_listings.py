"""Listings are read along an index, however many runs there are; on both databases."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from orchestrator.contract.job import JobSpec
from orchestrator.contract.vocabulary import JobState, Purpose, RunState
from orchestrator.domain.cells import freeze
from orchestrator.domain.records import Job
from orchestrator.store.database import Database
from tests.unit.domain.builders import NOW, run, variant

FROZEN = freeze(variant())


class Plans:
    """How the database goes about each query of runs, in its own words."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._asks = False

    def on_statement(
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, *_context: Any
    ) -> None:
        if self._asks or not statement.startswith("SELECT runs."):
            return
        self._asks = True
        if connection.dialect.name == "sqlite":
            words = "EXPLAIN QUERY PLAN "
        else:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a table of a few rows is read as a whole
            words = "EXPLAIN "
        rows = connection.exec_driver_sql(words + statement, parameters).all()
        self.told.append("\n".join(str(row) for row in rows))
        self._asks = False


@pytest.fixture
def plans() -> Iterator[Plans]:
    seen = Plans()
    event.listen(Engine, "before_cursor_execute", seen.on_statement)
    yield seen
    event.remove(Engine, "before_cursor_execute", seen.on_statement)


def test_runs_that_ended_are_read_along_their_ends(database: Database, plans: Plans) -> None:
    ends = [NOW + timedelta(minutes=minute) for minute in (3, 1, 2)]
    with database.write() as tx:
        tx.variants.put(FROZEN)
        tx.jobs.add(Job("j-1", JobSpec(name="j", variants=["talker.q8"]), JobState.ACTIVE, NOW), None)
        tx.runs.add(
            [
                run(f"r-{end:%M}", job_id="j-1", variant_digest=FROZEN.digest, state=RunState.FINISHED, finished_at=end)
                for end in ends
            ]
        )
    with database.read() as tx:
        found = tx.runs.find(job_id=None, state=RunState.FINISHED, device_id=None, purpose=Purpose.MEASURE, limit=2)
    assert [one.finished_at for one in found] == [ends[0], ends[2]]
    (plan,) = plans.told
    assert "ix_runs_state_finished_at" in plan


def test_runs_that_are_due_to_expire_are_found_without_reading_the_queue(database: Database, plans: Plans) -> None:
    """The dispatcher asks every few seconds, and dispatches nothing meanwhile."""
    with database.read() as tx:
        assert not tx.waiting_runs.are_due(NOW)
    (plan,) = plans.told
    assert "ix_runs_state_expires_at" in plan
