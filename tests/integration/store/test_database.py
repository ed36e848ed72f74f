"""The schema on disk, and the rules that the database itself keeps."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from orchestrator.contract.job import JobSpec, ProbeWorkload
from orchestrator.contract.vocabulary import JobState, RunState, Verdict
from orchestrator.domain.cells import freeze
from orchestrator.domain.errors import UnavailableError
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import Agent, Job, Lease
from orchestrator.store.database import Database
from tests.postgres import PostgresCluster
from tests.unit.domain.builders import NOW, device, device_probe, device_record, run, variant


def job(identifier: str = "j-1", priority: int = 50) -> Job:
    spec = JobSpec(name="test", variants=["talker.q8"], priority=priority)
    return Job(identifier, spec, JobState.ACTIVE, NOW)


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError, match="on the way"), database.write() as tx:
        tx.jobs.add(job(), None)
        raise RuntimeError("on the way")
    with database.read() as tx:
        assert tx.jobs.newest(10) == []


def test_records_survive_the_way_to_disk_and_back(database: Database) -> None:
    frozen = freeze(variant())
    one = run(variant_digest=frozen.digest, state=RunState.QUEUED, attempts=0)
    with database.write() as tx:
        tx.jobs.add(job(), "key")
        tx.variants.put(frozen)
        tx.variants.put(frozen)
        tx.runs.add([one])
    with database.read() as tx:
        assert tx.jobs.by_idempotency_key("key") == job()
        assert tx.runs.get("r-1") == one
        assert tx.variants.get(frozen.digest) == variant()


def test_a_devices_probe_survives_and_may_be_missing(database: Database) -> None:
    probed, new = device_record(device("lab.one"), device_probe()), device_record(device("lab.two"))
    with database.write() as tx:
        tx.agents.put(Agent("lab", "host", "1", "digest", NOW))
        for record in (probed, new):
            tx.devices.put(record)
    with database.read() as tx:
        assert tx.devices.all() == [probed, new]


def test_probes_are_no_cells_and_tallied_apart(database: Database) -> None:
    frozen, probe = freeze(variant()), freeze(PROBE)
    done = {"state": RunState.FINISHED, "verdict": Verdict.FITS, "finished_at": NOW}
    with database.write() as tx:
        tx.jobs.add(job(), None)
        tx.variants.put(frozen)
        tx.variants.put(probe)
        tx.runs.add([run("r-1", variant_digest=frozen.digest, **done)])
        tx.runs.add([run("r-2", variant_id="probe", variant_digest=probe.digest, workload=ProbeWorkload(), **done)])
    with database.read() as tx:
        assert tx.jobs.cells("j-1") == (1, 1)
        assert sorted((tally.of_a_model, tally.runs) for tally in tx.run_tallies.runs()) == [(False, 1), (True, 1)]
        probing = tx.runs.get("r-2")
        assert probing is not None
        assert probing.workload == ProbeWorkload()


def test_the_database_refuses_a_second_lease_of_a_group(database: Database) -> None:
    with database.write() as tx:
        tx.leases.add(Lease("a", "host", "r-1", 1, NOW))
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.leases.add(Lease("b", "host", "r-2", 1, NOW))


def test_one_dispatcher_leads(database: Database) -> None:
    later = NOW + timedelta(seconds=9)
    with database.write() as tx:
        assert tx.take_leadership("one", NOW, later)
        assert not tx.take_leadership("two", NOW, later)
        assert tx.take_leadership("one", NOW, later)
        assert tx.take_leadership("two", later, later + timedelta(seconds=9))
        assert not tx.take_leadership("one", later, later)


def test_a_database_that_is_away_is_unavailable_and_a_wrong_statement_is_not(
    postgres: PostgresCluster, tmp_path: Path
) -> None:
    database = Database(postgres.new_database())
    with database.read() as tx:
        assert tx.devices.all() == []
    url = f"postgresql+psycopg://nobody@/none?host={tmp_path}"
    away = Database(url)
    for use in (away.read, away.write):
        with pytest.raises(UnavailableError, match="the database does not answer"), use() as tx:
            tx.devices.all()
    away.close()
    with pytest.raises(DBAPIError), database.read() as tx:
        tx.devices._session.execute(text("SELECT nothing FROM nowhere"))
    with database.write() as tx:
        assert tx.take_leadership("me", NOW, NOW)
    database.close()


def test_what_is_raised_in_a_writer_leaves_the_way_free_for_the_next(database: Database) -> None:
    """Whatever a statement had still to be asked for."""
    with pytest.raises(RuntimeError), database.write() as tx:
        rows = iter(tx.devices._session.execute(text("SELECT 1 UNION ALL SELECT 2")))
        next(rows)
        raise RuntimeError("in the middle")
    with database.write() as tx:
        assert tx.take_leadership("me", NOW, NOW)
