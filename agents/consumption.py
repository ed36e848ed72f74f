"""Notices a worker that no longer consumes.

A Celery worker on Redis may come back from a lost broker alive but deaf (celery#8030, #9054, #10205), and its pauses
between two tries to reconnect grow to half a minute. So the queue itself is looked at: what counts is that messages
do not stay in it while the worker has nothing to do.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from celery import Celery
from kombu.exceptions import OperationalError

_PROBE_SECONDS: Final = 1.5
_STALLED_PROBES: Final = 2
_PROBE_OPTIONS: Final = {"socket_connect_timeout": 3, "socket_timeout": 3}

_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who takes the messages."""

    @property
    def busy(self) -> bool: ...
    @property
    def received(self) -> int: ...


class ConsumptionWatch:
    """Calls `on_stall` when, twice in a row, the broker answers but the worker is not consuming what waits there."""

    def __init__(self, app: Celery, queue: str, receiver: Receiver, *, on_stall: Callable[[], None]) -> None:
        self._app = app
        self._queue = queue
        self._receiver = receiver
        self._on_stall = on_stall
        self._away = False
        self._received = -1
        self._stalled = 0
        self.consuming = False
        """Set by the worker: it believes that it consumes."""

    def start(self) -> None:
        threading.Thread(target=self._watch, name="consumption-watch", daemon=True).start()

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(_PROBE_SECONDS):
            if self.is_stalled(self._waiting()):
                self._on_stall()

    def is_stalled(self, waiting: int | None) -> bool:
        """The judgement after one more look; `waiting` messages, None when the broker did not answer."""
        idle = not self._receiver.busy and self._receiver.received == self._received
        deaf = waiting is not None and idle and (waiting > 0 or (self._away and not self.consuming))
        self._stalled = self._stalled + 1 if deaf else 0
        self._received = self._receiver.received
        if waiting is None:
            self._away = True
        elif self.consuming:
            self._away = False
        return self._stalled >= _STALLED_PROBES

    def _waiting(self) -> int | None:
        """How many messages wait; None when the broker does not answer."""
        with self._app.connection_for_read(transport_options=_PROBE_OPTIONS) as connection:
            try:
                with connection.channel() as channel:
                    return int(channel.queue_declare(self._queue, passive=True).message_count)
            except connection.channel_errors:
                return 0  # the queue does not exist until something was sent to it
            except (OperationalError, *connection.connection_errors) as error:
                if not self._away:
                    _log.warning("the broker does not answer, waiting for it: %s", error)
                return None
