"""What is read off the devices' own logs, and off the processes' usage."""

import pytest

from tests.bench.fleet.log import Ending, Entry, FleetLog, overlaps, waits
from tests.bench.fleet.usage import BROKER, COORDINATOR, DATABASE, LOAD, Usage


def entry(received: float, began: float | None = None, ended: float | None = None, **further: object) -> Entry:
    made = Entry("d", "r", 1, received, began_at=began, ended_at=ended)
    for name, value in further.items():
        setattr(made, name, value)
    return made


def counted(received: float, began: float, ended: float) -> Entry:
    return entry(received, began, ended, reported_at=ended, acknowledged_at=ended + 0.5, counted=True)


def test_a_wait_runs_from_a_counted_report_to_the_next_attempt() -> None:
    assert waits([counted(1, 2, 3), counted(4, 5, 6), entry(8, 9)]) == [(0.5, 1.0), (1.5, 2.0)]


def test_copies_and_refused_attempts_are_no_part_of_a_wait() -> None:
    copy = entry(3.7, ended=3.8, ending=Ending.REFUSED)
    assert waits([counted(1, 2, 3), copy, counted(4, 5, 6)]) == [(0.5, 1.0)]


def test_there_is_no_wait_after_a_report_that_did_not_count() -> None:
    late = entry(1, 2, 3, reported_at=3, acknowledged_at=4, counted=False)
    assert waits([late, counted(5, 6, 7)]) == []


def test_attempts_at_the_same_time_are_found() -> None:
    first, second, third = counted(1, 2, 5), counted(3, 4, 6), counted(6, 6, 7)
    assert overlaps([first, second, third]) == [(first, second)]
    assert overlaps([first, entry(1.5), third]) == []


def test_an_attempt_without_an_end_goes_on() -> None:
    open_ended, later = entry(1, 2), counted(3, 4, 5)
    assert overlaps([open_ended, later]) == [(open_ended, later)]


def test_entries_are_kept_by_device_in_order() -> None:
    log = FleetLog()
    one, two = log.receive("a", "r-1", 1, 10.0), log.receive("b", "r-2", 1, 11.0)
    three = log.receive("a", "r-3", 2, 12.0)
    three.end(Ending.FITS)
    assert log.of("a") == [one, three]
    assert log.of("nobody") == []
    assert list(log) == [one, three, two]
    assert log.endings() == {Ending.FITS: 1}


@pytest.mark.parametrize(
    ("cores", "machine", "said"),
    [
        ({COORDINATOR: 0.95, LOAD: 0.4}, 1.5, "the coordinator's process is full"),
        ({COORDINATOR: 0.95, LOAD: 0.9}, 1.95, "the load generator is full"),
        ({COORDINATOR: 0.7, BROKER: 0.9, LOAD: 0.1}, 1.8, "the broker is full"),
        ({COORDINATOR: 0.8, LOAD: 0.4, DATABASE: 0.7}, 1.95, "all cores of the machine are busy, most with the coord"),
        ({COORDINATOR: 0.3, LOAD: 0.1}, 2.0, "all cores of the machine are busy, most with something else"),
        ({COORDINATOR: 0.5, LOAD: 0.2, DATABASE: 0.9}, 1.7, "the database takes a core"),
        ({COORDINATOR: 0.3, LOAD: 0.2}, 0.6, "nothing is full"),
    ],
)
def test_what_saturates_is_said_from_what_was_measured(cores: dict[str, float], machine: float, said: str) -> None:
    usage = Usage(cores, machine, 2, 40.0)
    assert usage.saturated.startswith(said)
    assert "the whole machine" in usage.words
