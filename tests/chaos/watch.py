"""Looks at the database all the time, for what its last state cannot tell."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from orchestrator.domain.run_states import UNFINISHED
from orchestrator.store.rows import LeadershipRow, LeaseRow, RunRow
from tests.chaos.violation import Violation

_PAUSE_SECONDS: Final = 0.25
_SWEEPS: Final = 2
"""Sweeps that begin after a lease's end: the first may have begun at that very moment, the second ends it."""
End = tuple[object, ...]
"""State, verdict, moment and cell."""


class Watch(threading.Thread):
    """Notes how runs ended first, and leases that the active dispatcher's sweeps left lying after their end."""

    def __init__(self, engine: Engine) -> None:
        """What is read together through `engine` must be of one moment."""
        super().__init__(name="watch", daemon=True)
        self.looks = 0
        self._engine = engine
        self._ends: dict[str, End] = {}
        self._changed: dict[str, Violation] = {}
        self._overdue: dict[tuple[str, int, datetime], set[datetime]] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            try:
                self.look()
            except SQLAlchemyError:
                continue  # PostgreSQL is being restarted

    def stop(self) -> None:
        self._stopping.set()
        self.join(30)

    def look(self) -> None:
        with Session(self._engine) as session:
            ended = select(RunRow.id, RunRow.state, RunRow.verdict, RunRow.finished_at, RunRow.cell_key)
            unfinished = [str(state) for state in UNFINISHED]
            for run_id, *end in session.execute(ended.where(RunRow.state.not_in(unfinished))):
                self.note_end(str(run_id), tuple(end))
            leader = session.get(LeadershipRow, "dispatcher")
            if leader is not None:
                self._note_leases(list(session.scalars(select(LeaseRow))), leader.expires_at)
        self.looks += 1

    def violations(self) -> list[Violation]:
        overdue = [
            Violation(
                f"the lease of {run_id}.{number} ended at {expired:%H:%M:%S.%f} and outlived {len(sweeps)} sweeps",
                run_id,
            )
            for (run_id, number, expired), sweeps in self._overdue.items()
            if len(sweeps) > _SWEEPS
        ]
        return [*self._changed.values(), *overdue]

    def note_end(self, run_id: str, end: End) -> None:
        """A run was seen with this end."""
        first = self._ends.setdefault(run_id, end)
        if first != end:
            self._changed[run_id] = Violation(f"{run_id} ended as {first}, and then as {end}", run_id)

    def _note_leases(self, leases: Sequence[LeaseRow], leads_until: datetime) -> None:
        """A dispatcher renews its leadership at each sweep, so that each value of `leads_until` stands for one."""
        for lease in leases:
            key = (lease.run_id, lease.number, lease.expires_at)
            if key in self._overdue:
                self._overdue[key].add(leads_until)
            elif lease.expires_at < datetime.now(UTC):
                self._overdue[key] = {leads_until}
