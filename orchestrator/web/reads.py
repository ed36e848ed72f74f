"""The pages' questions, answered by the reading use cases."""

from orchestrator.contract.matrix import Matrix
from orchestrator.services.reading import Reading


class ServiceReads:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def matrix(self) -> Matrix:
        return self._reading.matrix()
