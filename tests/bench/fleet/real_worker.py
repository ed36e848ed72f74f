"""A device's real Celery worker that only says when each attempt began: `python -m tests.bench.fleet.real_worker`.

Celery, its solo pool and the application are those of `agents.worker`; the broker's address comes on standard input, so
that its password is on no command line. Each line on standard output is a moment of `time.monotonic` and an attempt.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from celery.worker import WorkController

from agents.worker import celery_app
from orchestrator.contract.wire import device_queue
from tests.bench.lab import MeasureError

_READY_SECONDS: Final = 60.0
_LEAVE_SECONDS: Final = 10.0

Begin = Callable[[Any, float], None]
"""Called with an attempt as JSON data and the moment at which the worker began it."""


@contextmanager
def real_worker(broker_url: str, device_id: str, begin: Begin) -> Iterator[None]:
    """Such a worker as a process of its own, from when it listens until it has ended."""
    command = [sys.executable, "-m", __name__, device_id]
    ready = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = process.stdout

        def read() -> None:
            for line in lines:
                said = json.loads(line)
                if said["attempt"] is None:
                    ready.set()
                else:
                    begin(said["attempt"], said["at"])

        reading = threading.Thread(target=read, name=f"worker of {device_id}", daemon=True)
        reading.start()
        try:
            process.stdin.write(f"{broker_url}\n")
            process.stdin.flush()
            if not ready.wait(_READY_SECONDS):
                raise MeasureError("a Celery worker did not begin to listen")
            yield
        finally:
            process.kill()
            process.wait(_LEAVE_SECONDS)
            reading.join(_LEAVE_SECONDS)


class _SayingWorker(WorkController):  # type: ignore[misc]  # celery is untyped
    def on_consumer_ready(self, consumer: object) -> None:
        super().on_consumer_ready(consumer)
        _say(None)


def _say(attempt: object) -> None:
    print(json.dumps({"at": time.monotonic(), "attempt": attempt}), flush=True)


def _work(broker_url: str, device_id: str) -> None:
    queue = device_queue(device_id)
    app = celery_app(broker_url, queue, _say, agent_id="bench")
    _SayingWorker(
        app=app,
        hostname=device_id,
        pool_cls="solo",
        concurrency=1,
        queues=[queue],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


if __name__ == "__main__":
    _work(sys.stdin.readline().strip(), sys.argv[1])
