"""Reservations and drains over a real database: who may do what, and that twice is once."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.contract.vocabulary import Role
from orchestrator.domain.errors import ConflictError, NotFoundError
from orchestrator.domain.records import Agent, Caller, DeviceRecord
from orchestrator.services.custody import Custody
from orchestrator.store.database import Database
from tests.integration.store.test_events import told
from tests.unit.domain.builders import NOW, device_record

ANN = Caller("ann", Role.SUBMITTER, "t-1")
BOB = Caller("bob", Role.SUBMITTER, "t-2")
ADMIN = Caller("root", Role.ADMIN, "t-3")
HOUR = timedelta(hours=1)
DESK = "lab.desk"


class Desk:
    """A database with one device, a clock that is moved by hand, and custody over both."""

    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.woken = 0
        self._database = database
        self.custody = Custody(database, lambda: self.now, self._wake)
        with database.write() as tx:
            tx.agents.put(Agent("lab", "lab", "test", "digest", NOW))
            tx.devices.put(device_record())

    def _wake(self, devices: Collection[str] | None = None) -> None:
        self.woken += 1

    def told(self) -> list[tuple[str, str, str]]:
        return told(self._database)

    @property
    def record(self) -> DeviceRecord:
        with self._database.read() as tx:
            found = tx.devices.get(DESK)
        assert found is not None
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    database = Database(f"sqlite:///{tmp_path / 'fitmatrix.db'}")
    database.migrate()
    return Desk(database)


def test_a_device_is_had_by_one_person_until_its_time_is_over(desk: Desk) -> None:
    desk.custody.reserve(DESK, ANN, HOUR, "a crash")
    with pytest.raises(ConflictError) as caught:
        desk.custody.reserve(DESK, BOB, HOUR, "")
    assert str(caught.value).startswith("ann has lab.desk until 2026-01-02 04:04 UTC (a crash): ")
    assert desk.record.reservation is not None
    assert desk.record.reservation.by == "ann"
    desk.now += HOUR
    desk.custody.reserve(DESK, BOB, HOUR, "")
    assert desk.record.reservation.by == "bob"


def test_an_admin_does_not_take_a_device_by_reserving_it(desk: Desk) -> None:
    desk.custody.reserve(DESK, ANN, HOUR, "")
    with pytest.raises(ConflictError):
        desk.custody.reserve(DESK, ADMIN, HOUR, "")
    desk.custody.release(DESK, ADMIN)
    assert desk.record.reservation is None


def test_reserving_again_is_for_longer_and_releasing_again_is_nothing(desk: Desk) -> None:
    desk.custody.reserve(DESK, ANN, HOUR, "")
    desk.now += HOUR / 2
    reserved = desk.custody.reserve(DESK, ANN, HOUR, "still")
    assert desk.record.reservation == reserved
    assert reserved.until == NOW + HOUR * 1.5
    desk.custody.release(DESK, ANN)
    desk.custody.release(DESK, ANN)
    desk.custody.release(DESK, BOB)
    assert desk.record.reservation is None
    assert desk.woken == 5


def test_only_the_holder_and_admins_release(desk: Desk) -> None:
    desk.custody.reserve(DESK, ANN, HOUR, "")
    with pytest.raises(ConflictError, match="only ann and admins"):
        desk.custody.release(DESK, BOB)
    assert desk.record.reservation is not None
    desk.now += HOUR
    desk.custody.release(DESK, BOB)


def test_a_reservation_that_is_over_is_ended_once_and_told(desk: Desk) -> None:
    desk.custody.reserve(DESK, ANN, HOUR, "")
    before = desk.told()
    desk.now += HOUR - timedelta(seconds=1)
    assert desk.custody.end_due() == 0
    assert desk.record.reservation is not None
    desk.now += timedelta(seconds=1)
    assert [desk.custody.end_due() for _ in range(2)] == [1, 0]
    assert desk.record.reservation is None
    assert desk.told() == [*before, ("device", DESK, "ready")]
    assert desk.woken == 2


def test_a_drain_lasts_until_somebody_ends_it(desk: Desk) -> None:
    first = desk.custody.drain(DESK, ADMIN, "new battery")
    desk.now += HOUR
    again = desk.custody.drain(DESK, ADMIN, "new battery, on Monday")
    assert (again.since, again.note) == (first.since, "new battery, on Monday")
    desk.now += timedelta(days=365)
    assert desk.record.drain == again
    desk.custody.undrain(DESK, ADMIN)
    desk.custody.undrain(DESK, ADMIN)
    assert desk.record.drain is None


def test_what_is_not_there_is_said(desk: Desk) -> None:
    for act in (
        lambda: desk.custody.reserve("none", ANN, HOUR, ""),
        lambda: desk.custody.release("none", ANN),
        lambda: desk.custody.drain("none", ADMIN, ""),
        lambda: desk.custody.undrain("none", ADMIN),
    ):
        with pytest.raises(NotFoundError, match="there is no device none"):
            act()
