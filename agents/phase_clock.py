"""How long an attempt may be in each of its phases."""

import time
from collections.abc import Mapping

from orchestrator.contract.vocabulary import Phase


class PhaseClock:
    """Told again and again which phase it is; says when one has taken longer than it may."""

    def __init__(self, limits: Mapping[Phase, float]) -> None:
        """`limits` in seconds; a phase without one takes as long as the whole attempt may."""
        self._limits = limits
        self._phase: Phase | None = None
        self._began = 0.0

    def limit(self, phase: Phase, otherwise: float) -> float:
        return min(otherwise, self._limits.get(phase, otherwise))

    def overrun(self, phase: Phase) -> str | None:
        """What is wrong, in words, once `phase` has lasted too long."""
        now = time.monotonic()
        if phase is not self._phase:
            self._phase, self._began = phase, now
        limit = self._limits.get(phase)
        if limit is None or now - self._began <= limit:
            return None
        return f"{phase} took longer than {limit:g} s"
