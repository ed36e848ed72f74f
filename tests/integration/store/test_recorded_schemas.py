"""What every earlier version wrote is brought up to date, and the program goes on with it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from orchestrator.contract.vocabulary import AttemptState, JobState, RunState
from orchestrator.store.columns import Base
from orchestrator.store.database import Database
from tests.integration.coordinator.lab import HandAgent, Submitter, running_coordinator
from tests.integration.store.schemas import RECORDED, create_recorded, recorded_rows, revisions
from tests.unit.domain.builders import device

EARLIER = revisions()[:-1]


@pytest.fixture(params=EARLIER)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recorded_url(empty_url: str, revision: str) -> str:
    """The address of a database that still has its old schema."""
    create_recorded(empty_url, revision)
    return empty_url


@pytest.fixture
def migrated(recorded_url: str) -> Iterator[Database]:
    opened = Database(recorded_url)
    opened.migrate()
    yield opened
    opened.close()


def test_every_schema_but_the_newest_is_recorded() -> None:
    assert sorted(path.stem for path in RECORDED.glob("*.json")) == EARLIER


def test_a_migrated_schema_is_what_the_rows_say(recorded_url: str, migrated: Database) -> None:
    engine = create_engine(recorded_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_every_record_is_readable_and_says_what_it_said(revision: str, migrated: Database) -> None:
    rows = recorded_rows(revision)
    with migrated.read() as tx:
        for job in rows["jobs"]:
            kept_job = tx.jobs.get(job["id"])
            assert kept_job is not None
            assert (kept_job.state, kept_job.spec.name) == (JobState(job["state"]), job["spec"]["name"])
            assert kept_job.submitter == ""
        for run in rows["runs"]:
            kept_run = tx.runs.get(run["id"])
            assert kept_run is not None
            told = (kept_run.state, kept_run.verdict, kept_run.attempts, kept_run.browser, kept_run.cell_key)
            assert told == (RunState(run["state"]), run["verdict"], run["attempts"], "chromium", run["cell_key"])
            assert tx.variants.get(kept_run.variant_digest).id == run["variant_id"]
            assert len(tx.attempts.of_run(run["id"])) == run["attempts"]
        for attempt in rows["attempts"]:
            kept = tx.attempts.get(attempt["run_id"], attempt["number"])
            assert kept is not None
            assert kept.state is AttemptState(attempt["state"])
            assert (kept.report is None) == (attempt["report"] is None)
        assert {record.key: record.cell.runs for record in tx.cells.all()} == {
            cell["key"]: cell["cell"]["runs"] for cell in rows["cells"]
        }
        assert [lease.run_id for lease in tx.leases.all()] == [lease["run_id"] for lease in rows["leases"]]
        assert [record.registration.id for record in tx.devices.all()] == [device["id"] for device in rows["devices"]]


def test_the_program_goes_on_with_it(recorded_url: str, revision: str, tmp_path: Path) -> None:
    rows = recorded_rows(revision)
    with (
        running_coordinator(tmp_path / "data", database_url=recorded_url) as coordinator,
        closing(HandAgent(coordinator, device("lab.desk"), agent_id="lab")) as agent,
        closing(Submitter(coordinator)) as qa,
    ):
        assert {job["id"] for job in qa.get("/api/v1/jobs")["items"]} == {job["id"] for job in rows["jobs"]}
        assert {cell["last_run"] for cell in qa.cells("lab.desk")} == {
            cell["cell"]["last_run"] for cell in rows["cells"]
        }
        pages = [f"/jobs/{job['id']}" for job in rows["jobs"]] + [f"/runs/{run['id']}" for run in rows["runs"]]
        for page in ("/", "/devices/lab.desk", "/metrics", *pages):
            assert qa.text(page)

        assert agent.enrol().status_code == 200
        coordinator.let_leases_run_out("lab.desk")  # nobody works any more on what was under way
        waiting = {run["id"] for run in rows["runs"] if run["state"] not in ("finished", "inconclusive")}
        while waiting:
            spec = agent.take()
            if agent.report(spec).json()["counted"]:
                waiting.discard(spec.run_id)  # or it is a repeat that the job with `auto` has added since
        assert {qa.run(run["id"])["state"] for run in rows["runs"]} == {"finished", "inconclusive"}
