"""The page of one attempt: what is served to it, and what it said."""

import hmac
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.page import PageEvent, PageReport, PageSpec
from orchestrator.contract.wire import attempt_id

MODEL_PREFIX: Final = "model/"
"""Below a page's address, where its variant's files lie."""
_MOST_EVENTS: Final = 5_000


@dataclass(frozen=True)
class ReceivedEvent:
    received_at: datetime
    event: PageEvent


@dataclass(frozen=True)
class ServedBytes:
    """Bodies sent for one attempt while it was open; headers are not counted."""

    by_path: Mapping[str, int]
    requests: int

    @property
    def total(self) -> int:
        return sum(self.by_path.values())

    @property
    def model_files(self) -> int:
        return sum(count for path, count in self.by_path.items() if path.startswith(MODEL_PREFIX))


class AttemptPage:
    """One attempt's page: where it is, what was sent to it and what it said. Safe to use from any thread."""

    def __init__(
        self,
        origin: str,
        spec: PageSpec,
        files: Mapping[str, Path],
        media_types: Mapping[str, str],
        on_news: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.public_url = f"{origin}/run/{spec.attempt}/"
        self.files = files
        self.media_types = media_types
        self._key = secrets.token_urlsafe(32)
        self._on_news = on_news
        self._lock = threading.Lock()
        self._open = True
        self._events: list[ReceivedEvent] = []
        self._seen: set[int] = set()
        self._report: PageReport | None = None
        self._sent: Counter[str] = Counter()
        self._requests = 0

    @property
    def url(self) -> str:
        """The address with the attempt's secret: for its browser alone, never for a log."""
        return f"{self.public_url}#key={self._key}"

    @property
    def events(self) -> list[ReceivedEvent]:
        with self._lock:
            return list(self._events)

    @property
    def last_event(self) -> ReceivedEvent | None:
        """The event with the highest number: requests may overtake each other."""
        with self._lock:
            return max(self._events, key=lambda received: received.event.seq, default=None)

    @property
    def report(self) -> PageReport | None:
        with self._lock:
            return self._report

    @property
    def served(self) -> ServedBytes:
        with self._lock:
            return ServedBytes(by_path=dict(self._sent), requests=self._requests)

    def close(self) -> None:
        """End the attempt: its page can still be looked at, but it is neither heard nor counted any more."""
        with self._lock:
            self._open = False

    def accepts_key(self, key: str) -> bool:
        return hmac.compare_digest(key.encode(errors="surrogateescape"), self._key.encode())

    def hear_event(self, event: PageEvent) -> bool:
        """Record an event once; False when the attempt is over or has said too much."""
        with self._lock:
            if not self._open or len(self._events) >= _MOST_EVENTS:
                return False
            if event.seq not in self._seen:
                self._seen.add(event.seq)
                self._events.append(ReceivedEvent(datetime.now(UTC), event))
        self._on_news()
        return True

    def hear_report(self, report: PageReport) -> bool:
        """Record the page's last word; False when it was spoken before or the attempt is over."""
        with self._lock:
            if not self._open or self._report is not None:
                return False
            self._report = report
        self._on_news()
        return True

    def count_request(self) -> None:
        with self._lock:
            if self._open:
                self._requests += 1

    def sending(self, path: str) -> "Sending":
        """An answer that begins now."""
        return Sending(self._lock, self._sent, path, lambda: self._open)


class Sending:
    """The body of one answer on its way: counted while its attempt is open. Safe to use from any thread."""

    def __init__(self, lock: threading.Lock, total: Counter[str], path: str, counts: Callable[[], bool]) -> None:
        self._lock = lock
        self._total = total
        self._path = path
        self._counts = counts
        self._taken = 0
        self._counted = 0

    def take(self, hand_over: Callable[[], int]) -> int:
        """Counts how many bytes were handed over, in one step: nobody may see them arrive before they are counted."""
        with self._lock:
            count = hand_over()
            self._taken += count
            if self._counts():
                self._counted += count
                self._total[self._path] += count
        return count

    def lose(self, count: int) -> None:
        """The last so many of the bytes never arrived; also after the attempt."""
        with self._lock:
            lost = max(0, self._counted - max(0, self._taken - count))
            self._counted -= lost
            self._total[self._path] -= lost


def page_spec(spec: AttemptSpec) -> PageSpec:
    """What the page of an attempt is told."""
    variant = spec.variant
    return PageSpec(
        contract_version=spec.contract_version,
        attempt=attempt_id(spec.run_id, spec.number),
        variant=variant.id,
        model=variant.model,
        weights=variant.weights,
        runtime=variant.runtime,
        runtime_version=variant.runtime_version,
        backend=spec.backend,
        task=variant.task,
        options=variant.options,
        files=variant.files,
        workload=spec.workload,
        validation=variant.validation,
    )
