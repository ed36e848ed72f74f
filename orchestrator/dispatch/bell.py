"""Waking the dispatcher of another coordinator on the same database, through the broker that they share."""

import json
import logging
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.contract.tls import broker_tls

log = logging.getLogger(__name__)

CHANNEL: Final = "fitmatrix.wake"
_CONNECT_SECONDS: Final = 2.0
_LISTEN_SECONDS: Final = 5.0
_AWAY_SECONDS: Final = 0.5

Wake = Callable[[Collection[str] | None], None]


class Bell:
    """Says which devices, or that all, may have something to do, and hears what others say.

    What is said while the broker is away is lost: the sweep of whoever dispatches finds it.
    """

    def __init__(self, broker_url: str, *, ca: Path | None = None) -> None:
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._lock = threading.Lock()
        self._said: set[str] | None = set()
        """What is still to be said; None stands for all devices."""
        self._threads: list[threading.Thread] = []
        self._client: redis.Redis | None = None
        try:
            self._client = redis.Redis.from_url(
                broker_url,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_LISTEN_SECONDS + _CONNECT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                **(broker_tls(broker_url, ca) or {}),
            )
        except ValueError:
            log.debug("the broker's address is not that of one server: other coordinators are not woken")

    def start(self, wake: Wake) -> None:
        """Calls `wake` with what others say, on a thread of its own."""
        client = self._client
        if client is None:
            return
        for work, given in ((self._ring, ()), (self._listen, (wake,))):
            thread = threading.Thread(target=work, args=(client, *given), name="bell", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopping.set()
        self._wanted.set()
        if self._client is None:
            return
        try:
            self._client.publish(CHANNEL, "[]")  # whoever listens here looks whether it is to stop
        except redis.RedisError:
            log.debug("the broker is away; who listens to it ends by itself")
        for thread in self._threads:
            thread.join(timeout=_CONNECT_SECONDS * 2)
        self._client.close()

    def ring(self, devices: Collection[str] | None) -> None:
        """Returns at once."""
        with self._lock:
            if devices is None:
                self._said = None
            elif self._said is not None:
                self._said.update(devices)
        self._wanted.set()

    def _ring(self, client: redis.Redis) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping.is_set():
                return
            with self._lock:
                said, self._said = self._said, set()
            try:
                client.publish(CHANNEL, json.dumps(None if said is None else sorted(said)))
            except redis.RedisError as error:
                log.debug("no other coordinator was woken: %s", type(error).__name__)

    def _listen(self, client: redis.Redis, wake: Wake) -> None:
        while not self._stopping.is_set():
            try:
                with client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]  # redis's
                    heard.subscribe(CHANNEL)
                    wake(None)  # nobody was heard until now
                    while not self._stopping.is_set():
                        message = heard.get_message(timeout=_LISTEN_SECONDS)
                        if message is not None:
                            wake(json.loads(message["data"]))
            except redis.RedisError as error:
                log.debug("other coordinators are not heard: %s", type(error).__name__)
                self._stopping.wait(_AWAY_SECONDS)
