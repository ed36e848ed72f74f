"""Lists of jobs, runs, devices and models, and a job's summary, for the terminal."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.matrix_table import VERDICT_STYLES
from orchestrator.contract.catalog import Variant
from orchestrator.contract.device import Emulation
from orchestrator.contract.views import DeviceView, JobView, RunCounts, RunFigures, RunView
from orchestrator.contract.vocabulary import CellVerdict, DeviceKind, DeviceState, RunState, Weights
from orchestrator.presentation.probe_facts import probe_summary
from orchestrator.presentation.words import (
    EMULATED,
    SYNTHETIC,
    byte_count,
    parameter_count,
    plain,
    rate,
    seconds,
    verdict_symbol,
    verdict_words,
)

DEVICE_SYMBOLS: Final[dict[DeviceState, str]] = {
    DeviceState.IDLE: "○",
    DeviceState.BUSY: "●",
    DeviceState.OFFLINE: "✘",
    DeviceState.QUARANTINED: "!",
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
    table = listing(["job", "name", "state", "settled cells", "runs", "created"])
    for job in jobs:
        cells = f"{job.settled_cells}/{job.cells}" if job.cells else "–"
        table.add_row(
            *map(
                Text,
                (job.id, plain(job.spec.name), job.state.value, cells, counts(job.runs), _short_moment(job.created_at)),
            )
        )
    return table


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
        ("cells", f"{job.settled_cells} of {job.cells} settled" if job.cells else "none: it probes devices"),
        ("runs", counts(job.runs)),
        ("variants", ", ".join(map(plain, spec.variants))),
        ("backends", ", ".join(backend.value for backend in spec.backends)),
        ("devices", plain(spec.devices)),
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
    table = listing(["run", "outcome", "figure", "variant", "backend", "device", "finished"])
    for run in runs:
        table.add_row(
            Text(run.id), outcome(run), Text(run_figure(run.figures)), *_what(run), _short_moment(run.finished_at)
        )
    return table


def _what(run: RunView) -> list[Text]:
    device = Text(plain(run.device_name))
    if run.emulated:
        device.append(f" {EMULATED}", style="yellow")
    return [Text(plain(run.variant)), Text(run.backend.value), device]


def outcome(run: RunView) -> Text:
    """The verdict in its colour; without one, the state the run is in."""
    if run.verdict is None:
        fault = f" {run.fault.code.value}" if run.fault and run.state is RunState.INCONCLUSIVE else ""
        return Text(run.state.value + fault, style="bold" if run.state is RunState.RUNNING else "dim")
    words = verdict_words(run.verdict, run.fault.code if run.fault else None)
    phase = f" @{run.phase.value}" if run.fault and run.phase else ""
    return Text(f"{verdict_symbol(run.verdict)} {words}{phase}", style=VERDICT_STYLES[CellVerdict(run.verdict.value)])


def run_figure(figures: RunFigures) -> str:
    if figures.decode_tokens_per_second is not None:
        return rate(figures.decode_tokens_per_second)
    return seconds(figures.latency_seconds) if figures.latency_seconds is not None else ""


def devices_table(devices: Sequence[DeviceView]) -> RenderableType:
    if not devices:
        return Text("No devices yet. Start an agent: fitmatrix up, or fitmatrix-agent run --coordinator URL")
    table = listing(["device", "name", "state", "class", "hardware", "browser", "probe", "queued"])
    for device in devices:
        table.add_row(*_device_row(device))
    return table


def _device_row(device: DeviceView) -> list[Text]:
    registration, facts = device.registration, device.registration.facts
    name = Text(plain(registration.name))
    if registration.kind is DeviceKind.EMULATED:
        name.append(f"\n{EMULATED}", style="yellow")
    hardware = [plain(facts.cpu_model), f"{facts.cpu_count} CPUs, {byte_count(facts.ram_bytes)}"]
    if facts.emulation:
        hardware.append(emulation_words(facts.emulation))
    browser = Text(plain(facts.browser.label))
    for flag in facts.chrome_flags:
        browser.append(f"\n{plain(flag)}", style="dim")
    return [
        Text(registration.id),
        name,
        device_state(device),
        Text(plain(registration.device_class)),
        Text("\n".join(hardware)),
        browser,
        Text(probe_summary(device.probe).replace(", ", "\n"), style="" if device.probe else "dim"),
        Text(str(device.queued_runs)),
    ]


def emulation_words(emulation: Emulation) -> str:
    limits = [
        f"{byte_count(emulation.memory_bytes)} of memory" if emulation.memory_bytes is not None else "",
        f"{emulation.cpu_quota:g} CPU" if emulation.cpu_quota is not None else "",
        "" if emulation.webgpu else "no WebGPU",
        *(f"{plain(name)} {limit}" for name, limit in emulation.webgpu_limits.items()),
    ]
    return "held to " + ", ".join(limit for limit in limits if limit)


def device_state(device: DeviceView) -> Text:
    text = Text(f"{DEVICE_SYMBOLS[device.state]} {device.state.value}")
    if device.state in (DeviceState.OFFLINE, DeviceState.QUARANTINED):
        text.stylize("red")
    if device.attempt:
        text.append(f"\n{plain(device.attempt.run_id)} #{device.attempt.number}", style="dim")
    elif device.reason:
        text.append(f"\n{plain(device.reason)}")
    return text


def models_table(variants: Sequence[Variant]) -> RenderableType:
    if not variants:
        return Text("The catalog is empty.")
    table = listing(["variant", "model", "size", "runtime", "backends", "licence", "files"])
    for variant in sorted(variants, key=lambda one: (one.parameters, one.id)):
        name = Text(plain(variant.model))
        if variant.weights is Weights.SYNTHETIC:
            name.append(f"\n{SYNTHETIC}", style="yellow")
        files = Text(f"✔ {byte_count(variant.total_bytes)}", style="green")
        table.add_row(
            Text(variant.id),
            name,
            Text(parameter_count(variant.parameters)),
            Text(f"{variant.runtime}\n{plain(variant.quantization)}"),
            Text("\n".join(backend.value for backend in variant.backends)),
            Text(plain(variant.licence)),
            files if variant.is_built else Text("not built", style="dim"),
        )
    return table
