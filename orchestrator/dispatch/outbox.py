"""The thread that brings notices to webhooks, and forgets what is too old to be told."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from orchestrator.domain.errors import UnavailableError
from orchestrator.services.webhooks import Webhooks

log = logging.getLogger(__name__)

_LONGEST_SLEEP_SECONDS: Final = 5.0
"""What another coordinator has left is found within so long."""
_TIDY_SECONDS: Final = 300.0


class Outbox:
    """Each coordinator has one; what one of them has claimed, the others leave alone."""

    def __init__(self, webhooks: Webhooks, forget: Callable[[], None]) -> None:
        self._webhooks = webhooks
        self._forget = forget
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def notify(self) -> None:
        """There is something to deliver."""
        self._news.set()

    def stop(self) -> None:
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)

    def _loop(self) -> None:
        next_tidy = 0.0
        with asyncio.Runner() as runner:
            while not self._stopping.is_set():
                self._news.clear()
                pause = _LONGEST_SLEEP_SECONDS
                try:
                    if time.monotonic() >= next_tidy:
                        next_tidy = time.monotonic() + _TIDY_SECONDS
                        self._webhooks.tidy()
                        self._forget()
                    if not runner.run(self._webhooks.deliver_due()):
                        pause = self._pause()
                    else:
                        continue
                except UnavailableError as error:
                    log.warning("webhooks are not served: %s", error)
                except Exception:
                    # A locked database or a full disk passes; nothing that is to be told is lost meanwhile.
                    log.exception("webhooks cannot be served")
                self._news.wait(pause)

    def _pause(self) -> float:
        """Until something is due."""
        due = self._webhooks.next_due()
        if due is None:
            return _LONGEST_SLEEP_SECONDS
        return min(_LONGEST_SLEEP_SECONDS, max(0.0, (due - datetime.now(UTC)).total_seconds()))
