"""What a process need not read from the database again, because it never changes or says when it has."""

from typing import Final, Generic, TypeVar

from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.job import JobSpec
from orchestrator.store.mapping import DeviceFactsRead

Value = TypeVar("Value")
_FEW: Final = 2_000
_MANY: Final = 50_000


class Remembered(Generic[Value]):
    """So many values at most; forgets all of them rather than grow."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[str, Value] = {}

    def get(self, key: str) -> Value | None:
        return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        if len(self._values) >= self._most:
            self._values = {}
        self._values[key] = value


class Memory:
    """Shared by all transactions of a process."""

    def __init__(self) -> None:
        self.variants: Remembered[Variant] = Remembered(_FEW)
        """By digest, which is of all they say."""
        self.specs: Remembered[JobSpec] = Remembered(_FEW)
        """By the job's id: what was asked for stays as it was."""
        self.facts: Remembered[DeviceFactsRead] = Remembered(_MANY)
        """By the device's id, of the revision that was read."""
        self.samples: Remembered[DeviceHealth] = Remembered(_MANY)
        """By the device's id, the last sample of its history. One that was undone is missing, and nothing else."""
