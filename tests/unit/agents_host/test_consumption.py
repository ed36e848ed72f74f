"""When a worker counts as stalled: messages wait, the broker answers, and nothing happens twice in a row."""

from dataclasses import dataclass

import pytest
from celery import Celery

from agents.consumption import ConsumptionWatch


@dataclass
class Receiver:
    busy: bool = False
    received: int = 0


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def watch(receiver: Receiver) -> ConsumptionWatch:
    watch = ConsumptionWatch(Celery(set_as_current=False), "device.d", receiver, on_stall=lambda: None)
    watch.is_stalled(0)
    watch.consuming = True
    return watch


def looks(watch: ConsumptionWatch, *waiting: int | None) -> list[bool]:
    return [watch.is_stalled(count) for count in waiting]


def test_an_empty_queue_is_no_stall(watch: ConsumptionWatch) -> None:
    assert looks(watch, 0, 0, 0, 0) == [False] * 4


def test_messages_that_stay_are_a_stall(watch: ConsumptionWatch) -> None:
    assert looks(watch, 1, 1) == [False, True]


def test_a_busy_worker_may_leave_messages(watch: ConsumptionWatch, receiver: Receiver) -> None:
    receiver.busy = True
    assert looks(watch, 1, 1, 1) == [False] * 3


def test_a_worker_that_receives_is_not_stalled(watch: ConsumptionWatch, receiver: Receiver) -> None:
    assert looks(watch, 1) == [False]
    receiver.received += 1
    assert looks(watch, 1) == [False]


def test_a_broker_that_is_away_is_no_stall(watch: ConsumptionWatch) -> None:
    watch.consuming = False
    assert looks(watch, None, None, None) == [False] * 3


def test_a_worker_that_does_not_come_back_with_the_broker_is_stalled(watch: ConsumptionWatch) -> None:
    watch.consuming = False
    assert looks(watch, None, 0, 0) == [False, False, True]


def test_a_worker_that_comes_back_with_the_broker_is_not_stalled(watch: ConsumptionWatch) -> None:
    watch.consuming = False
    assert looks(watch, None, 0) == [False, False]
    watch.consuming = True
    assert looks(watch, 0, 0, 0) == [False] * 3
