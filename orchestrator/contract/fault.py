"""A failure as data: what crosses a process boundary instead of an exception."""

from pydantic import Field

from orchestrator.contract.base import Message, Text
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase


class Fault(Message):
    """Why something failed.

    `transient` alone decides whether another attempt is worth it; messages are for people.
    """

    origin: FaultOrigin
    code: FaultCode
    phase: Phase
    transient: bool
    detail: Text = ""
    evidence: list[Text] = Field(default_factory=list, max_length=50)

    @property
    def is_infrastructure(self) -> bool:
        """True when the lab failed, not the model: such a fault never enters a cell."""
        return self.origin in (FaultOrigin.AGENT, FaultOrigin.COORDINATOR)
