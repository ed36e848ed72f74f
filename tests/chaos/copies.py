"""Messages that come twice, and late: copies of what goes through the broker, pushed again at random moments."""

import ast
import json
import random
import re
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from typing import Any, Final

import redis

from orchestrator.contract.wire import device_queue

_QUEUES: Final = device_queue("")
_ARGUMENT: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_AGAIN_SECONDS: Final = 0.2
_REMEMBERED: Final = 500
_ERRORS: Final = (redis.RedisError, OSError)


class Copyist(threading.Thread):
    """Listens to every command that the broker carries out; a part of the messages it sees comes again.

    One copy comes within `soonest` and `latest` seconds of its original; another old one is drawn now and then.
    """

    def __init__(self, broker_url: str, chance: random.Random, share: float, latest_seconds: float) -> None:
        super().__init__(name="copyist", daemon=True)
        self.copies = 0
        self.seen: deque[tuple[bytes, bytes]] = deque(maxlen=_REMEMBERED)
        """Queues and messages, oldest first; copies are not among them."""
        self._url = broker_url
        self._chance = chance
        self._share = share
        self._latest_seconds = latest_seconds
        self._own: set[str] = set()
        self._stopping = threading.Event()
        self._due: list[tuple[float, bytes, bytes]] = []
        self._lock = threading.Lock()
        self._pusher = threading.Thread(target=self._push_for_ever, name="copyist-push", daemon=True)

    def start(self) -> None:
        super().start()
        self._pusher.start()

    def stop(self) -> None:
        """Nothing comes again after that."""
        self._stopping.set()
        self.join(10)
        self._pusher.join(10)

    def push_again(self, count: int) -> int:
        """Copies of the last messages, all at once; how many."""
        client = redis.Redis.from_url(self._url)
        chosen = list(self.seen)[-count:]
        for queue, message in chosen:
            client.lpush(queue, self._copy(message))
        client.close()
        return len(chosen)

    def run(self) -> None:
        while not self._stopping.is_set():
            with suppress(*_ERRORS):
                self._listen()
            self._stopping.wait(_AGAIN_SECONDS)

    def _listen(self) -> None:
        client = redis.Redis.from_url(self._url)
        connection = client.connection_pool.get_connection()
        try:
            connection.send_command("MONITOR")  # type: ignore[no-untyped-call]  # redis has no types here
            while not self._stopping.is_set():
                if connection.can_read(_AGAIN_SECONDS):
                    self._hear(connection.read_response())
        finally:
            connection.disconnect()  # type: ignore[no-untyped-call]  # redis has no types here
            client.close()

    def _hear(self, line: Any) -> None:
        said = line.encode() if isinstance(line, str) else line
        if not isinstance(said, bytes):
            return
        words = [ast.literal_eval(f'b"{one.decode()}"') for one in _ARGUMENT.findall(said)]
        if len(words) != 3 or words[0].lower() != b"lpush" or not words[1].startswith(_QUEUES.encode()):
            return
        _, queue, message = words
        if json.loads(message)["properties"]["delivery_tag"] in self._own:
            return
        self.seen.append((queue, message))
        now = time.monotonic()
        with self._lock:
            if self._chance.random() < self._share:
                self._due.append((now + self._chance.uniform(0.0, self._latest_seconds), queue, message))
            if self._chance.random() < self._share / 4:
                self._due.append((now, *self._chance.choice(self.seen)))

    def _push_for_ever(self) -> None:
        client = redis.Redis.from_url(self._url, socket_timeout=2)
        while not self._stopping.wait(0.05):
            now = time.monotonic()
            with self._lock:
                due = [one for one in self._due if one[0] <= now]
                self._due = [one for one in self._due if one[0] > now]
            for _, queue, message in due:
                with suppress(*_ERRORS):
                    client.lpush(queue, self._copy(message))
                    self.copies += 1
        client.close()

    def _copy(self, message: bytes) -> bytes:
        """As a broker delivers a second time: the same message under another tag."""
        content = json.loads(message)
        tag = str(uuid.uuid4())
        content["properties"]["delivery_tag"] = tag
        self._own.add(tag)
        return json.dumps(content).encode()
