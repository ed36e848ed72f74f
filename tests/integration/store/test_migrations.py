"""Databases of earlier versions, with rows in them, become databases of this one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine

from orchestrator.contract.device import Browser
from orchestrator.contract.vocabulary import Condition, FaultCode, Purpose, RunState, Verdict
from orchestrator.domain.cells import freeze
from orchestrator.domain.records import Attempt, DeviceRecord, Run
from orchestrator.store.columns import Base
from orchestrator.store.database import Database
from tests.integration.store.schemas import insert_rows, upgrade
from tests.unit.domain.builders import NOW, device_probe, page_report, variant

OLD_BROWSER = {"name": "chromium", "version": "156.0.1", "channel": "stable"}
OLD_FACTS: dict[str, Any] = {
    "os": "Debian GNU/Linux",
    "os_version": "12",
    "arch": "x86_64",
    "cpu_model": "Test CPU",
    "cpu_count": 8,
    "ram_bytes": 1 << 34,
    "browser": OLD_BROWSER,
    "chrome_flags": ["--enable-unsafe-webgpu"],
    "emulation": None,
}
OLD_FAULT = {
    "origin": "agent",
    "code": "worker-lost",
    "phase": "init",
    "transient": True,
    "detail": "The worker was lost.",
    "evidence": [],
}


def old_registration(identifier: str, **facts: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "name": identifier,
        "kind": "physical",
        "model": "Test machine",
        "device_class": "desktop",
        "exclusive_group": None,
        "facts": OLD_FACTS | facts,
        "page_origin": None,
    }


def old_run(identifier: str, state: str, attempts: int, device_id: str = "lab.desk", **columns: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "job_id": "j-1",
        "variant_digest": freeze(variant()).digest,
        "variant_id": "talker.q8",
        "variant_bytes": 1000,
        "backend": "wasm",
        "device_id": device_id,
        "workload": {"task": "text-generation"},
        "criteria": {},
        "state": state,
        "priority": 50,
        "job_created_at": NOW,
        "repeat": 0,
        "attempts": attempts,
        "created_at": NOW,
        "finished_at": None,
        "verdict": None,
        "fault_code": None,
        "fault": None,
        "phase": None,
        "figures": {},
        "validation": None,
        "cell_key": None,
    } | columns


def old_report() -> dict[str, Any]:
    """As contract version 2 wrote it."""
    return {
        "contract_version": 2,
        "run_id": "r-done",
        "number": 2,
        "device_id": "lab.desk",
        "started_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:05:05Z",
        "phase": "validate",
        "fault": None,
        "browser": OLD_BROWSER,
        "chrome_flags": [],
        "page": page_report().model_dump(mode="json"),
        "page_url": None,
        "phases_ms": {"launch": 700.0},
        "download": None,
        "memory": {"method": "PSS", "baseline_bytes": 100, "peak_bytes": 500, "samples": 9},
        "cgroup": None,
        "artifacts": [],
    }


def old_attempt(number: int, state: str, **columns: Any) -> dict[str, Any]:
    return {
        "run_id": "r-done",
        "number": number,
        "device_id": "lab.desk",
        "state": state,
        "leased_at": NOW,
        "sent_at": NOW,
        "started_at": NOW,
        "finished_at": NOW,
        "fault": None,
        "report": None,
        "late_reports": 0,
    } | columns


def old_device(registration: dict[str, Any], *, available: bool, probe: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": registration["id"],
        "agent_id": "lab",
        "available": available,
        "reason": "" if available else "the agent was stopped",
        "last_seen_at": NOW,
        "registration": registration,
        "probe": probe,
    }


def rows_of_version_2() -> dict[str, list[dict[str, Any]]]:
    beta = {**OLD_BROWSER, "name": "Chrome", "channel": "beta"}
    mac = old_registration("lab.mac", os="macOS", os_version="15.1", browser=beta)
    frozen = freeze(variant())
    spec = {"name": "test", "variants": ["talker.q8"]}
    return {
        "agents": [{"id": "lab", "hostname": "lab", "version": "1", "token_digest": "d", "last_seen_at": NOW}],
        "devices": [
            old_device(
                old_registration("lab.desk"),
                available=True,
                probe=device_probe().model_dump(mode="json", by_alias=True),
            ),
            old_device(mac, available=False, probe=None),
        ],
        "jobs": [
            {
                "id": "j-1",
                "idempotency_key": None,
                "state": "active",
                "priority": 50,
                "created_at": NOW,
                "finished_at": None,
                "spec": spec,
                "left_out": [],
            }
        ],
        "variants": [{"digest": frozen.digest, "id": "talker.q8", "content": variant().model_dump(mode="json")}],
        "runs": [
            old_run("r-done", "finished", 2, verdict="fits", cell_key="k", finished_at=NOW),
            old_run("r-given-up", "inconclusive", 3, fault=OLD_FAULT, fault_code="worker-lost", finished_at=NOW),
            old_run("r-under-way", "running", 2),
            old_run("r-waiting", "queued", 1, fault=OLD_FAULT, fault_code="worker-lost"),
            old_run("r-mac", "queued", 0, device_id="lab.mac"),
        ],
        "attempts": [old_attempt(1, "faulted", fault=OLD_FAULT), old_attempt(2, "reported", report=old_report())],
    }


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    made = create_engine(empty_url)
    yield made
    made.dispose()


@pytest.fixture
def migrated(engine: Engine) -> Iterator[Database]:
    """A database of version 2, migrated by this one."""
    with engine.begin() as connection:
        upgrade(connection, "0002")
        insert_rows(connection, rows_of_version_2())
    opened = Database(engine.url.render_as_string(hide_password=False))
    opened.migrate()
    yield opened
    opened.close()


def read_device(database: Database, identifier: str) -> DeviceRecord:
    with database.read() as tx:
        found = tx.devices.get(identifier)
    assert found is not None
    return found


def read_run(database: Database, identifier: str) -> Run:
    with database.read() as tx:
        found = tx.runs.get(identifier)
    assert found is not None
    return found


def test_migrations_give_what_the_rows_say(engine: Engine) -> None:
    opened = Database(engine.url.render_as_string(hide_password=False))
    opened.migrate()
    opened.migrate()
    opened.close()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_database_of_the_first_version_keeps_its_devices(engine: Engine) -> None:
    first = {name: rows for name, rows in rows_of_version_2().items() if name in ("agents", "devices")}
    for row in first["devices"]:
        del row["probe"]
    with engine.begin() as connection:
        upgrade(connection, "0001")
        insert_rows(connection, first)
    opened = Database(engine.url.render_as_string(hide_password=False))
    opened.migrate()
    with opened.read() as tx:
        assert [(record.registration.id, record.probes) for record in tx.devices.all()] == [
            ("lab.desk", {}),
            ("lab.mac", {}),
        ]
    opened.close()


def test_a_devices_facts_are_in_todays_words(migrated: Database) -> None:
    desk, mac = read_device(migrated, "lab.desk"), read_device(migrated, "lab.mac")
    facts = desk.registration.facts
    assert (facts.os, facts.os_version) == ("linux", "Debian GNU/Linux 12")
    assert facts.browsers == [Browser(name="chromium", version="156.0.1")]
    assert facts.chrome_flags == ["--enable-unsafe-webgpu"]
    assert (mac.registration.facts.os, mac.registration.facts.os_version) == ("macos", "15.1")
    assert [browser.id for browser in mac.registration.facts.browsers] == ["chrome-beta"]


def test_a_devices_state_and_probe_are_kept_and_it_is_not_looked_after_at_once(migrated: Database) -> None:
    desk, mac = read_device(migrated, "lab.desk"), read_device(migrated, "lab.mac")
    assert (desk.condition, mac.condition) == (Condition.READY, Condition.OFFLINE)
    assert mac.reason == "the agent was stopped"
    assert desk.probes == {"chromium": device_probe()}
    assert mac.probes == {}
    assert (desk.quarantine, desk.infrastructure_faults, desk.health) == (None, 0, None)
    assert desk.next_health_run_at > datetime.now(UTC)


def test_runs_have_their_devices_browser_and_what_was_spoiled(migrated: Database) -> None:
    told = {
        name: (run.browser, run.spoiled, run.returns, run.purpose, run.marks)
        for name in ("r-done", "r-given-up", "r-under-way", "r-waiting", "r-mac")
        if (run := read_run(migrated, name))
    }
    assert told == {
        "r-done": ("chromium", 1, 0, Purpose.MEASURE, ()),
        "r-given-up": ("chromium", 3, 0, Purpose.MEASURE, ()),
        "r-under-way": ("chromium", 1, 0, Purpose.MEASURE, ()),
        "r-waiting": ("chromium", 1, 0, Purpose.MEASURE, ()),
        "r-mac": ("chrome-beta", 0, 0, Purpose.MEASURE, ()),
    }
    done = read_run(migrated, "r-done")
    assert (done.state, done.verdict) == (RunState.FINISHED, Verdict.FITS)


def test_reports_of_then_are_readable(migrated: Database) -> None:
    with migrated.read() as tx:
        faulted, reported = tx.attempts.of_run("r-done")
    assert isinstance(faulted, Attempt)
    assert faulted.fault is not None
    assert faulted.fault.code is FaultCode.WORKER_LOST
    assert reported.report is not None
    assert (reported.report.contract_version, reported.report.page) == (2, page_report())
    assert (reported.report.marks, reported.report.health) == ([], [])


def test_jobs_of_then_are_not_the_coordinators_own(migrated: Database) -> None:
    with migrated.read() as tx:
        assert [job.id for job in tx.jobs.newest(10, Purpose.MEASURE)] == ["j-1"]
        assert tx.jobs.cells("j-1") == (2, 0)
