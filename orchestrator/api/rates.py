"""How often people may change something, and how often anybody may show a wrong token."""

import math
import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from orchestrator.domain.errors import TooManyRequestsError

WRITES: Final = "600/minute"
FAILURES: Final = "60/minute"


@dataclass(frozen=True)
class _Rule:
    name: str
    item: RateLimitItem
    sentence: str


class RateLimits:
    """Counts in this process's memory: each of several coordinators has counts of its own.

    Raises ValueError for a limit that is not written like `600/minute`.
    """

    def __init__(self, writes: str = WRITES, failures: str = FAILURES) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._writes = _Rule("write", parse(writes), f"this token has changed something {writes}: wait a little")
        self._failures = _Rule("failure", parse(failures), f"wrong tokens came from this address {failures}: wait")

    def count_write(self, token_id: str) -> None:
        """Raises TooManyRequestsError where it is one too many."""
        if not self._limiter.hit(self._writes.item, self._writes.name, token_id):
            raise self._exceeded(self._writes, token_id)

    def count_failure(self, address: str) -> None:
        """A token was wrong."""
        self._limiter.hit(self._failures.item, self._failures.name, address)

    def check_failures(self, address: str) -> None:
        """Raises TooManyRequestsError where an address has shown too many wrong tokens to be given another look."""
        if not self._limiter.test(self._failures.item, self._failures.name, address):
            raise self._exceeded(self._failures, address)

    def _exceeded(self, rule: _Rule, key: str) -> TooManyRequestsError:
        reset_at = self._limiter.get_window_stats(rule.item, rule.name, key).reset_time
        seconds = max(1, math.ceil(reset_at - time.time()))
        return TooManyRequestsError(f"{rule.sentence}; come back in {seconds} seconds", seconds)
