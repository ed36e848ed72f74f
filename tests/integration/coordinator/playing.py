"""Agents played by hand that take whatever comes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.contract.attempt import AttemptSpec
from tests.integration.coordinator.lab import HandAgent


@contextmanager
def playing(agents: Sequence[HandAgent], told: Callable[[AttemptSpec], dict[str, Any]]) -> Iterator[None]:
    """Until the block ends, each of them runs what is sent to it and reports what `told` makes of it."""
    over = threading.Event()
    trouble: list[BaseException] = []

    def work(agent: HandAgent) -> None:
        while not over.is_set():
            try:
                spec = agent.receive(seconds=1)
            except AssertionError:
                continue
            try:
                if agent.start(spec) == 200:
                    agent.report(spec, **told(spec)).raise_for_status()
            except Exception as error:  # noqa: BLE001 - told to the test below
                trouble.append(error)
                return

    threads = [threading.Thread(target=work, args=[agent]) for agent in agents]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert trouble == []
