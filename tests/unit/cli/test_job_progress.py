"""Following a job: patience with a silent coordinator, and both displays."""

import io

import pytest
from rich.console import Console
from rich.live import Live

from orchestrator.cli.job_progress import LiveProgress, Snapshot, follow, show_progress
from orchestrator.client import Client, Unreachable
from orchestrator.contract.views import RunCounts
from orchestrator.contract.vocabulary import JobState, RunState
from tests.unit.cli import samples
from tests.unit.cli.conftest import FakeCoordinator


class Recorder:
    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.warnings: list[str] = []

    def show(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)


@pytest.fixture
def finished(coordinator: FakeCoordinator) -> FakeCoordinator:
    coordinator.answer("GET /api/v1/jobs/job-1", samples.job())
    coordinator.answer("GET /api/v1/runs", [samples.run()])
    coordinator.answer("GET /api/v1/devices", [samples.device()])
    return coordinator


def test_a_coordinator_that_comes_back_is_waited_for(
    finished: FakeCoordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    client = Client(finished.url)
    answers = client.job
    failures = iter([Unreachable(finished.url, "down"), Unreachable(finished.url, "down")])

    def fail_twice(job_id: str) -> object:
        for failure in failures:
            raise failure
        return answers(job_id)

    monkeypatch.setattr(client, "job", fail_twice)
    with client:
        assert follow(client, "job-1", recorder, poll_seconds=0) == samples.job()
    assert len(recorder.warnings) == 1
    assert len(recorder.snapshots) == 1


def test_patience_ends() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable):
        follow(client, "job-1", Recorder(), poll_seconds=0, patience_seconds=0)


def test_the_last_runs_come_first(finished: FakeCoordinator) -> None:
    early, late = samples.run(id="early", finished_at=samples.NOW), samples.run(id="late", finished_at=samples.LATER)
    finished.answer("GET /api/v1/runs", [early, late])
    recorder = Recorder()
    with Client(finished.url) as client:
        follow(client, "job-1", recorder, poll_seconds=0)
    assert [run.id for run in recorder.snapshots[0].ended][:1] == ["late"]


def test_the_live_display_shows_cells_devices_and_results() -> None:
    out = Console(file=io.StringIO(), width=100, force_terminal=True, markup=False)
    running = samples.run(id="run-2", state=RunState.RUNNING, verdict=None, phase=None)
    job = samples.job(state=JobState.ACTIVE, settled_cells=1, runs=RunCounts(queued=3, running=1, finished=1))
    snapshot = Snapshot(job, [running], [samples.run()], [samples.device()])
    with out.capture() as captured, Live(console=out, auto_refresh=False) as live:
        progress = LiveProgress(live, "http://lab")
        progress.show(snapshot)
        progress.warn("The coordinator does not answer")
        live.refresh()
    text = captured.get()
    for words in (
        "1/2 cells settled",
        "1 finished, 1 running, 3 queued",
        "smollm2-135m-instruct-q8 on wasm",
        "✔ fits",
        "http://lab/jobs/job-1",
        "does not answer",
    ):
        assert words in text, words


def test_without_a_terminal_there_are_plain_lines(finished: FakeCoordinator) -> None:
    out = Console(file=io.StringIO(), width=100, markup=False)
    with out.capture() as captured, Client(finished.url) as client, show_progress(out, finished.url) as progress:
        follow(client, "job-1", progress, poll_seconds=0)
    assert "\x1b" not in captured.get()
    assert "run-1  ✔ fits  11.3 tok/s" in captured.get()
