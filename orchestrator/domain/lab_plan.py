"""What the lab has decided about its devices."""

from dataclasses import dataclass

from orchestrator.domain.records import DeviceRecord


@dataclass(frozen=True)
class Pool:
    """Devices of which at most `limit` measure at a time, since they share something: power, a hub, an uplink."""

    name: str
    limit: int


@dataclass(frozen=True)
class LabPlan:
    """A lab without a plan has no pools."""

    def pools_of(self, device: DeviceRecord) -> tuple[Pool, ...]:  # noqa: ARG002 (a plan with pools asks it)
        return ()
