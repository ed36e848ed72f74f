"""How devices were and how jobs went, over a real database."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import ThermalStatus
from orchestrator.domain.health_history import KEPT, QUIET
from orchestrator.domain.records import Agent
from orchestrator.services.histories import Histories, forget_health
from orchestrator.store.database import Database
from tests.integration.coordinator.inside import InnerLab
from tests.unit.domain.builders import NOW as BUILT_AT
from tests.unit.domain.builders import device_record

NOW = BUILT_AT.replace(second=0)
MINUTE = timedelta(minutes=1)
DESK = "lab.desk"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fitmatrix.db'}"
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    opened.migrate()
    with opened.write() as tx:
        tx.agents.put(Agent("lab", "lab", "test", "digest", NOW))
        tx.devices.put(device_record())
    yield opened
    opened.close()


def health(at: datetime, **changes: object) -> DeviceHealth:
    values = {"battery_level": 0.8, "battery_temperature_celsius": 31.0, "latency_ms": 4.0}
    return DeviceHealth.model_validate(values | {"checked_at": at} | changes)


def note(database: Database, at: datetime, **changes: object) -> None:
    with database.write() as tx:
        tx.devices.note_health({DESK: health(at, **changes)}, at)


def samples(database: Database, at: datetime) -> list[DeviceHealth]:
    return Histories(database, lambda: at).health(DESK)


def test_a_device_that_stays_as_it_is_is_noted_now_and_then(database: Database) -> None:
    for minutes in range(31):
        note(database, NOW + minutes * MINUTE)
    kept = samples(database, NOW + timedelta(hours=1))
    assert [one.checked_at for one in kept] == [NOW, NOW + QUIET, NOW + 2 * QUIET]


def test_what_changes_is_noted_once_a_minute_at_most(database: Database) -> None:
    warmth = count(30)
    for seconds in range(0, 181, 30):
        note(database, NOW + timedelta(seconds=seconds), battery_temperature_celsius=next(warmth))
    kept = samples(database, NOW + timedelta(hours=1))
    assert [one.checked_at - NOW for one in kept] == [0 * MINUTE, MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert [one.battery_temperature_celsius for one in kept] == [30, 32, 34, 36]


def test_another_coordinator_adds_no_second_sample_of_a_minute(database: Database, url: str) -> None:
    note(database, NOW, battery_level=0.8)
    other = Database(url)
    note(other, NOW + timedelta(seconds=20), battery_level=0.4)
    other.close()
    assert [one.battery_level for one in samples(database, NOW)] == [0.8]


def test_a_change_of_condition_is_noted_with_its_health(database: Database) -> None:
    lab = InnerLab(database)
    lab.add(DESK)
    hot = health(NOW, thermal_status=ThermalStatus.SEVERE)
    lab.beat(DESK, condition="resting", reason="hot", health=hot)
    assert [one.thermal_status for one in samples(database, NOW)] == [ThermalStatus.SEVERE]


def test_what_is_too_old_is_forgotten(database: Database) -> None:
    for days in range(10):
        note(database, NOW + timedelta(days=days))
    now = NOW + timedelta(days=9)
    forget_health(database, lambda: now)
    with database.read() as tx:
        kept = tx.health_samples.of_device(DESK, NOW)
    assert [one.checked_at for one in kept] == [NOW + timedelta(days=days) for days in range(2, 10)]
    assert kept[0].checked_at == now - KEPT


def test_a_job_says_what_was_tried_and_how_long_the_rest_takes(database: Database) -> None:
    lab = InnerLab(database)
    lab.add("lab.a", "lab.b")
    histories = Histories(database, lab.clock)
    job = lab.submit(repeats=2, devices='id in ["lab.a", "lab.b"]')
    before = histories.time_left(job)
    assert before is not None
    assert before.device_seconds == 2 * before.seconds > 0, "nothing ran yet: each run takes as long as it may"
    for spec in lab.dispatch():
        lab.finish(spec, seconds=20)
    tried = histories.attempts(job, 100)
    assert {(one.device_id, one.number, str(one.state)) for one in tried} == {
        ("lab.a", 1, "reported"),
        ("lab.b", 1, "reported"),
    }
    assert all(one.finished_at and one.finished_at > one.leased_at and one.verdict for one in tried)
    after = histories.time_left(job)
    assert after is not None
    assert 0 < after.seconds < 60, "two runs took about twenty seconds each"
    assert [identifier for identifier, _ in histories.devices(job)] == ["lab.a", "lab.b"]
    assert histories.submitters() == ["ann"]
