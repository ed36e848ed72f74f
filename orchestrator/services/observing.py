"""What the lab's state comes to in figures, for those who watch it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orchestrator.contract.matrix import Cell
from orchestrator.contract.monitoring import ScrapeTargets
from orchestrator.contract.views import DeviceView
from orchestrator.domain.records import Agent, Run
from orchestrator.services.counts import QueueDepth, RunTally, VerdictChange
from orchestrator.services.ports import Clock, Store, Transaction
from orchestrator.services.reading import Reading

LAST_FIGURES: Final = ("decode_tokens_per_second", "peak_memory_bytes")
"""Of which the newest value of each device is told."""
_RUNS_LOOKED_AT: Final = 20
"""Of each cell, from the newest on: most runs of a cell measure the same."""


@dataclass(frozen=True)
class LabFigures:
    """At one moment."""

    tallies: Sequence[RunTally]
    queued: Sequence[QueueDepth]
    verdict_changes: Sequence[VerdictChange]
    devices: Sequence[DeviceView]
    agents: Sequence[Agent]
    leases: int
    overdue: int
    """Leases that have run out and are still there."""
    dispatcher_until: datetime | None
    deliveries: int
    """To webhooks, that are still to come."""


class Observing:
    def __init__(self, store: Store, reading: Reading, clock: Clock) -> None:
        self._store = store
        self._reading = reading
        self._clock = clock

    def agent_targets(self) -> list[ScrapeTargets]:
        """Where agents serve metrics of their own, by their ids; revoked ones are no part of the lab any more."""
        with self._store.read() as tx:
            agents = tx.access.agents()
        return [
            ScrapeTargets(targets=[agent.metrics_address], labels={"agent": agent.id})
            for agent in sorted(agents, key=lambda agent: agent.id)
            if agent.metrics_address is not None and agent.revoked_at is None
        ]

    def last_runs(self, cells: Iterable[Cell]) -> list[Run]:
        """Of each device the newest run of a model, and the newest ones with each of the figures of `LAST_FIGURES`.

        The cells know where to look: what was never measured in a cell need not be looked for.
        """
        of_devices: dict[str, list[Cell]] = {}
        for cell in cells:
            if cell.imported_from is None:
                of_devices.setdefault(cell.device, []).append(cell)
        found: dict[str, Run] = {}
        for device_cells in of_devices.values():
            device_cells.sort(key=lambda cell: cell.updated_at, reverse=True)
            with self._store.read() as tx:
                for figure in (None, *LAST_FIGURES):
                    run = _newest_run(tx, device_cells, figure)
                    if run is not None:
                        found[run.id] = run
        return list(found.values())

    def figures(self) -> LabFigures:
        now = self._clock()
        with self._store.read() as tx:
            leases = tx.leases.all()
            return LabFigures(
                tallies=tx.run_tallies.runs(),
                queued=tx.run_tallies.queued(),
                verdict_changes=tx.verdict_changes.all(),
                devices=self._reading.device_views(tx, tx.devices.all()),
                agents=tx.access.agents(),
                leases=len(leases),
                overdue=sum(lease.expires_at <= now for lease in leases),
                dispatcher_until=tx.standing.dispatcher_until(),
                deliveries=tx.webhooks.pending(),
            )


def _newest_run(tx: Transaction, cells: Sequence[Cell], figure: str | None) -> Run | None:
    """Of these cells, which come by their newest runs; with this figure, if one is named."""
    newest: Run | None = None
    for cell in cells:
        if newest is not None and newest.finished_at is not None and newest.finished_at >= cell.updated_at:
            break
        if figure is not None and getattr(cell, figure) is None:
            continue
        runs = tx.cells.runs(cell.key, 1 if figure is None else _RUNS_LOOKED_AT)
        run = next((run for run in runs if figure is None or getattr(run.figures, figure) is not None), None)
        if run is not None and (newest is None or _ended(run) > _ended(newest)):
            newest = run
    return newest


def _ended(run: Run) -> datetime:
    return run.finished_at or run.created_at
