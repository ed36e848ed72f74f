"""How much processor time this process takes while a page measures.

Speeds scatter with everything else that the machine does; processor time does not.
"""

import time
from dataclasses import dataclass

from agents.attempt_page import AttemptPage
from orchestrator.contract.vocabulary import Phase
from tests.bench.pairing import median


@dataclass(frozen=True)
class _Moment:
    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "_Moment":
        return cls(time.monotonic(), time.process_time())


class AgentCpu:
    """Of any number of pages, one after the other: from a page's word that it measures to its next phase."""

    def __init__(self) -> None:
        self._began: _Moment | None = None
        self._shares: list[float] = []

    def look(self, page: AttemptPage) -> None:
        """To be called whenever the page has said something."""
        last = page.last_event
        measures = page.report is None and last is not None and last.event.phase is Phase.MEASURE
        if measures and self._began is None:
            self._began = _Moment.now()
        elif not measures and self._began is not None:
            began, now, self._began = self._began, _Moment.now(), None
            self._shares.append((now.cpu - began.cpu) / (now.wall - began.wall))

    @property
    def milliseconds_per_second(self) -> float:
        return median(self._shares) * 1000
