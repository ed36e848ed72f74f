"""What the lab's state comes to in figures, for those who watch it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.contract.monitoring import ScrapeTargets
from orchestrator.contract.views import DeviceView
from orchestrator.domain.records import Agent
from orchestrator.services.ports import Clock, QueueDepth, RunTally, Store
from orchestrator.services.reading import Reading


@dataclass(frozen=True)
class LabFigures:
    """At one moment."""

    tallies: Sequence[RunTally]
    queued: Sequence[QueueDepth]
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

    def figures(self) -> LabFigures:
        now = self._clock()
        with self._store.read() as tx:
            leases = tx.leases.all()
            return LabFigures(
                tallies=tx.run_tallies.runs(),
                queued=tx.run_tallies.queued(),
                devices=self._reading.device_views(tx, tx.devices.all()),
                agents=tx.access.agents(),
                leases=len(leases),
                overdue=sum(lease.expires_at <= now for lease in leases),
                dispatcher_until=tx.standing.dispatcher_until(),
                deliveries=tx.webhooks.pending(),
            )
