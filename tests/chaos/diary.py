"""What was done to the lab and when, for whoever reads a violation."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Harm:
    began: datetime
    ended: datetime
    kind: str
    what: str


class Diary:
    """Written by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._harms: list[Harm] = []

    @contextmanager
    def note(self, kind: str, what: str) -> Iterator[None]:
        began = datetime.now(UTC)
        try:
            yield
        finally:
            with self._lock:
                self._harms.append(Harm(began, datetime.now(UTC), kind, what))

    @property
    def harms(self) -> list[Harm]:
        with self._lock:
            return sorted(self._harms, key=lambda harm: harm.began)

    def summary(self) -> str:
        counted = Counter(harm.kind for harm in self.harms)
        return ", ".join(f"{count} × {kind}" for kind, count in sorted(counted.items())) or "nothing"


def wall_clock(monotonic: float) -> datetime:
    """The time of day at a moment of `time.monotonic`."""
    return datetime.fromtimestamp(time.time() - time.monotonic() + monotonic, UTC)
