"""Following a job until it is done."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.cli.listings import DEVICE_STYLES, DEVICE_SYMBOLS, counts, outcome, run_figure
from orchestrator.client import Client, Unreachable
from orchestrator.client.following import SILENCE_SECONDS
from orchestrator.contract.views import DeviceView, JobView, RunView
from orchestrator.contract.vocabulary import JobState, RunState
from orchestrator.presentation.words import counted, plain

POLL_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 60.0
"""How long a silent coordinator is waited for: one that is started again goes on with the job."""
SEEN_RUNS: Final = 50
SHOWN_RUNS: Final = 8
_ENDED: Final = (RunState.FINISHED, RunState.INCONCLUSIVE, RunState.CANCELLED, RunState.EXPIRED)


@dataclass(frozen=True)
class Snapshot:
    job: JobView
    active: Sequence[RunView]
    ended: Sequence[RunView]
    """The last ones to end, newest first."""
    devices: Sequence[DeviceView]


class Progress(Protocol):
    def show(self, snapshot: Snapshot) -> None: ...

    def warn(self, sentence: str) -> None: ...


def follow(
    client: Client,
    job_id: str,
    progress: Progress,
    *,
    poll_seconds: float = POLL_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
    wait_seconds: float | None = None,
) -> JobView:
    """Returns the job when it is over, or as it is after `wait_seconds`.

    It looks when something changed, but not more often than every `poll_seconds`. Raises Unreachable after
    `patience_seconds` of silence.
    """
    deadline = math.inf if wait_seconds is None else time.monotonic() + wait_seconds
    silent_since: float | None = None
    longest = SILENCE_SECONDS if wait_seconds is None else min(SILENCE_SECONDS, max(0.1, wait_seconds))
    for _ in client.changes(job=job_id, poll_seconds=poll_seconds, longest_seconds=longest):
        try:
            snapshot = _snapshot(client, job_id)
        except Unreachable as error:
            now = time.monotonic()
            if silent_since is None:
                silent_since = now
                progress.warn("The coordinator does not answer; the job goes on when it is back. Waiting for it…")
            if now - silent_since >= patience_seconds or now >= deadline:
                raise error
        else:
            silent_since = None
            progress.show(snapshot)
            if snapshot.job.state is not JobState.ACTIVE or time.monotonic() >= deadline:
                return snapshot.job
    raise AssertionError("a coordinator's changes have no end")


def _snapshot(client: Client, job_id: str) -> Snapshot:
    # The job first: when it says that it is over, the runs that are asked for next are all there.
    job = client.job(job_id)
    active, ended = (
        [run for state in states for run in client.runs(job=job_id, state=state, limit=SEEN_RUNS)]
        for states in ((RunState.RUNNING, RunState.LEASED), _ENDED)
    )
    ended.sort(key=lambda run: run.finished_at or run.created_at, reverse=True)
    return Snapshot(job, active, ended, client.devices())


@contextmanager
def show_progress(out: Console, server: str) -> Iterator[Progress]:
    """A display that moves on a terminal, plain lines elsewhere."""
    if not out.is_terminal or out.is_dumb_terminal:
        yield LineProgress(out, server)
        return
    with Live(console=out, refresh_per_second=4) as live:
        yield LiveProgress(live, server)


class LineProgress:
    """A line for every run that ends, and for every change of the totals."""

    def __init__(self, out: Console, server: str) -> None:
        self._out = out
        self._server = server
        self._told: set[str] = set()
        self._last = ""

    def show(self, snapshot: Snapshot) -> None:
        job = snapshot.job
        if not self._last:
            self._out.print(f"Job {job.id} “{plain(job.spec.name)}”: {self._server}/jobs/{job.id}", soft_wrap=True)
        for run in reversed(snapshot.ended):
            if run.id not in self._told:
                self._told.add(run.id)
                self._out.print(Text("  ").join([Text(run.id), outcome(run), _rest(run)]), soft_wrap=True)
        cells = f"{job.settled_cells}/{job.cells} cells settled; " if job.cells else ""
        totals = f"{cells}runs: {counts(job.runs)}"
        if totals != self._last:
            self._last = totals
            self._out.print(totals, soft_wrap=True)

    def warn(self, sentence: str) -> None:
        self._out.print(sentence, soft_wrap=True)


class LiveProgress:
    """Totals, what each device does now, the last results."""

    def __init__(self, live: Live, server: str) -> None:
        self._live = live
        self._server = server
        self._shown: RenderableType = Text()

    def show(self, snapshot: Snapshot) -> None:
        job = snapshot.job
        ended = job.runs.total - job.runs.queued - job.runs.leased - job.runs.running
        done, total = (job.settled_cells, job.cells) if job.cells else (ended, job.runs.total)
        bar = Table.grid(padding=(0, 2, 0, 0))
        bar.add_row(
            ProgressBar(total=total, completed=done, width=40),
            Text(f"{done}/{total} {'cells settled' if job.cells else 'runs ended'}"),
        )
        self._shown = Group(
            Text(f"{plain(job.spec.name)}  {job.id}", style="bold"),
            bar,
            Text(f"runs: {counts(job.runs)}", style="dim"),
            Text(),
            _devices(snapshot),
            Text(),
            _last_results(snapshot.ended[:SHOWN_RUNS]),
            Text(f"{self._server}/jobs/{job.id}   Ctrl-C stops watching, not the job", style="dim"),
        )
        self._live.update(self._shown)

    def warn(self, sentence: str) -> None:
        self._live.update(Group(self._shown, Text(sentence, style="yellow")))


def _devices(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    runs = {run.id: run for run in snapshot.active}
    for device in snapshot.devices:
        table.add_row(
            Text(DEVICE_SYMBOLS[device.state]), Text(plain(device.registration.name)), _activity(device, runs)
        )
    return table


def _activity(device: DeviceView, runs: dict[str, RunView]) -> Text:
    if device.state in DEVICE_STYLES:
        return Text(f"{device.state.value} {plain(device.reason)}".rstrip(), style=DEVICE_STYLES[device.state])
    if device.attempt is None:
        waiting = f", {counted(device.queued_runs, 'run waits', 'runs wait')} for it" if device.queued_runs else ""
        return Text(f"idle{waiting}", style="dim")
    run = runs.get(device.attempt.run_id)
    if run is None:
        return Text(f"busy with {plain(device.attempt.run_id)}, a run of another job", style="dim")
    again = f", attempt {device.attempt.number}" if device.attempt.number > 1 else ""
    phase = f" @{run.phase.value}" if run.phase else ""
    return Text(f"{plain(run.variant)} on {run.backend.value}{phase}{again}")


def _last_results(runs: Sequence[RunView]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for run in runs:
        table.add_row(outcome(run), _rest(run))
    return table


def _rest(run: RunView) -> Text:
    where = f"{plain(run.variant)} on {run.backend.value}, {plain(run.device_name)}"
    return Text("  ".join(part for part in (run_figure(run.figures), where) if part))
