"""Lists of jobs, runs and devices, and a job's summary, for the terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.fitting import fitting
from orchestrator.cli.matrix_table import VERDICT_STYLES
from orchestrator.contract.custody import DeviceClassView
from orchestrator.contract.quantities import rate, seconds
from orchestrator.contract.views import DeviceView, JobView, RunCounts, RunFigures, RunView
from orchestrator.contract.vocabulary import CellVerdict, DeviceKind, DeviceState, Mark, Purpose, RunState
from orchestrator.presentation.device_facts import hardware_lines, health_lines, why
from orchestrator.presentation.probe_facts import probe_summary
from orchestrator.presentation.words import (
    EMULATED,
    REUSED,
    THROTTLED,
    limits_facts,
    no_cells_words,
    plain,
    variants_words,
    verdict_symbol,
    verdict_words,
)

DEVICE_SYMBOLS: Final[dict[DeviceState, str]] = {
    DeviceState.IDLE: "○",
    DeviceState.BUSY: "●",
    DeviceState.RESTING: "◔",
    DeviceState.OFFLINE: "✘",
    DeviceState.QUARANTINED: "!",
    DeviceState.RESERVED: "◆",
    DeviceState.DRAINED: "–",
    DeviceState.MAINTENANCE: "◷",
}
_WHY_WIDTH: Final = 40
"""Most characters in a line of a device's reason where everything else has a column of its own."""
DEVICE_STYLES: Final = {
    DeviceState.RESTING: "yellow",
    DeviceState.OFFLINE: "red",
    DeviceState.QUARANTINED: "red",
    DeviceState.RESERVED: "yellow",
    DeviceState.DRAINED: "yellow",
    DeviceState.MAINTENANCE: "yellow",
}


def moment(value: datetime | None) -> str:
    """In the reader's time zone."""
    return f"{value.astimezone():%Y-%m-%d %H:%M:%S}" if value else "–"


def _short_moment(value: datetime | None) -> str:
    return f"{value.astimezone():%m-%d %H:%M}" if value else "–"


def listing(headers: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    for index, header in enumerate(headers):
        # The first column holds the id: whoever copies it needs it whole.
        table.add_column(header, overflow="fold", no_wrap=index == 0)
    return table


def jobs_table(jobs: Sequence[JobView]) -> RenderableType:
    if not jobs:
        return Text("No jobs yet. Submit one: fitmatrix submit JOB.yaml --wait")
    wide = listing(["job", "name", "state", "settled cells", "runs", "submitter", "created"])
    narrow = listing(["job", "name", "state", "runs", "created"])
    narrow.columns[-1].no_wrap = True
    for job in jobs:
        settled = f"{job.settled_cells}/{job.cells}" if job.cells else "–"
        name, runs, submitter = plain(job.spec.name), counts(job.runs), plain(job.submitter)
        created = _short_moment(job.created_at)
        row = (job.id, name, job.state.value, settled, runs, submitter or "–", created)
        wide.add_row(*map(Text, row))
        named = f"{name}\nby {submitter}" if submitter else name
        counted = f"{runs}\n{settled} cells settled" if job.cells else runs
        narrow.add_row(*map(Text, (job.id, named, job.state.value, counted, created)))
    return fitting(wide, narrow)


def counts(runs: RunCounts) -> str:
    """`5 finished, 1 running`, without the states no run is in."""
    parts = [f"{count} {state}" for state, count in reversed(list(runs.model_dump().items())) if count]
    return ", ".join(parts) or "none"


def job_summary(job: JobView, server: str) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    spec = job.spec
    rows = [
        ("job", f"{job.id}  {plain(spec.name)}"),
        ("state", job.state.value),
        ("cells", f"{job.settled_cells} of {job.cells} settled" if job.cells else no_cells_words(job)),
        ("runs", counts(job.runs)),
        *([("submitter", plain(job.submitter))] if job.submitter else []),
        ("variants", variants_words(spec)),
        ("backends", ", ".join(backend.value for backend in spec.backends)),
        ("devices", plain(spec.devices)),
        *limits_facts(spec),
        ("created", moment(job.created_at)),
        ("finished", moment(job.finished_at)),
        *(("left out", plain(reason)) for reason in job.left_out),
        ("page", f"{server}/jobs/{job.id}"),
    ]
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def runs_table(runs: Sequence[RunView]) -> RenderableType:
    if not runs:
        return Text("No runs match.")
    wide = listing(["run", "outcome", "figure", "variant", "backend", "device", "browser", "finished"])
    narrow = listing(["run", "outcome", "what was run, and where", "finished"])
    narrow.columns[-1].no_wrap = True
    for run in runs:
        came, figure, finished = outcome(run), run_figure(run.figures), _short_moment(run.finished_at)
        what = variant, backend, device, browser = _what(run)
        wide.add_row(Text(run.id), came, Text(figure), *what, finished)
        place = Text.assemble(variant, " on ", backend, "\n", device, ", ", browser)
        narrow.add_row(Text(run.id), Text("\n").join([came, *([Text(figure)] if figure else [])]), place, finished)
    return fitting(wide, narrow)


def _what(run: RunView) -> list[Text]:
    device = Text(plain(run.device_name))
    if run.emulated:
        device.append(f" {EMULATED}", style="yellow")
    variant = Text(plain(run.variant))
    if run.purpose is Purpose.HEALTH:
        variant.append(" (health run)", style="dim")
    return [variant, Text(run.backend.value), device, Text(plain(run.browser))]


def outcome(run: RunView) -> Text:
    """The verdict in its colour; without one, the state the run is in."""
    if run.verdict is None:
        fault = f" {run.fault.code.value}" if run.fault and run.state is RunState.INCONCLUSIVE else ""
        return Text(run.state.value + fault, style="bold" if run.state is RunState.RUNNING else "dim")
    words = verdict_words(run.verdict, run.fault.code if run.fault else None)
    phase = f" @{run.phase.value}" if run.fault and run.phase else ""
    text = Text(f"{verdict_symbol(run.verdict)} {words}{phase}", style=VERDICT_STYLES[CellVerdict(run.verdict.value)])
    if Mark.THROTTLED in run.marks:
        text.append(f"\n{THROTTLED}", style="not bold yellow")
    if run.reused_from:
        text.append(f"\n{REUSED}", style="not bold dim")
    return text


def run_figure(figures: RunFigures) -> str:
    if figures.decode_tokens_per_second is not None:
        return rate(figures.decode_tokens_per_second)
    return seconds(figures.latency_seconds) if figures.latency_seconds is not None else ""


def devices_table(devices: Sequence[DeviceView]) -> RenderableType:
    if not devices:
        return Text("No devices yet. Start an agent: fitmatrix up, or fitmatrix-agent run --coordinator URL")
    wide = listing(["device", "state", "health", "hardware", "browsers", "queued"])
    wide.columns[1].max_width = _WHY_WIDTH
    narrow = listing(["device", "state", "what it has"])
    for device in devices:
        name, state, health, hardware, browsers = _device_row(device)
        queued = device.queued_runs
        wide.add_row(name, state, health or "–", hardware, browsers, str(queued))
        if queued:
            state = state + Text(f"\n{queued} queued")
        narrow.add_row(name, state, Text("\n").join(part for part in (health, hardware, browsers) if part))
    return fitting(wide, narrow)


def classes_table(classes: Sequence[DeviceClassView]) -> RenderableType:
    if not classes:
        return Text("No device classes: the coordinator has no lab file that names some (fitmatrix coordinator --lab).")
    table = listing(["class", "devices", "selector", "what it stands for"])
    for one in classes:
        devices = "\n".join(map(plain, one.devices)) or "none"
        table.add_row(*map(Text, (plain(one.name), devices, plain(one.selector, 1000), plain(one.description, 1000))))
    return table


def _device_row(device: DeviceView) -> list[Text]:
    registration, facts = device.registration, device.registration.facts
    name = Text(registration.id)
    if plain(registration.name) != registration.id:
        name.append(f"\n{plain(registration.name, limit=40)}", style="dim")
    if registration.kind is DeviceKind.EMULATED:
        name.append(f"\n{EMULATED}", style="yellow")
    return [
        name,
        device_state(device),
        Text("\n".join(health_lines(device.health))),
        Text("\n".join(hardware_lines(facts))),
        _browsers(device),
    ]


def _browsers(device: DeviceView) -> Text:
    """Each with what its probe found, then the flags that all are started with."""
    facts = device.registration.facts
    if not facts.browsers:
        return Text("none", style="red")
    lines = []
    for browser in facts.browsers:
        probe = device.probes.get(browser.id)
        line = Text(plain(browser.label))
        line.append(f"\n{probe_summary(probe)}".replace(", ", "\n"), style="dim")
        lines.append(line)
    flags = [Text(plain(flag), style="dim") for flag in facts.chrome_flags]
    return Text("\n").join([*lines, *flags])


def device_state(device: DeviceView) -> Text:
    """The state, the attempt it works on, and why it does not work on one."""
    text = Text(f"{DEVICE_SYMBOLS[device.state]} {device.state.value}")
    text.stylize(DEVICE_STYLES.get(device.state, ""))
    if device.attempt:
        text.append(f"\n{plain(device.attempt.run_id)} #{device.attempt.number}", style="dim")
    if device.reservation and device.state is not DeviceState.RESERVED:
        text.append(f"\nreserved by {plain(device.reservation.by)}", style="not bold default")
    if why(device):
        text.append(f"\n{why(device)}", style="not bold default")
    return text
