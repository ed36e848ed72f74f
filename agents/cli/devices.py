"""`fitmatrix-agent devices`: this host's devices in a table."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from agents.cli.frame import (
    EXIT_CODES,
    Chrome,
    Data,
    Devices,
    Phones,
    app,
    friendly_errors,
    local_settings,
    looked_at,
)
from agents.devices.protocol import Device
from agents.faults import AgentError
from agents.fleet import HostFleet, Member
from agents.host_status import DeviceView, HostStatus, StatusFile
from agents.layout import DataLayout
from agents.settings import AgentSettings
from orchestrator.contract.device import DeviceHealth, DeviceRegistration, DeviceStatus
from orchestrator.contract.vocabulary import Condition

_LOOK_SECONDS: Final = 1.0
_COLOURS: Final = {
    Condition.READY: "green",
    Condition.RESTING: "yellow",
    Condition.OFFLINE: "red",
    Condition.QUARANTINED: "magenta",
}
_GIB: Final = 2**30
_NOTHING: Final = "none"
_WHY_WIDTH: Final = 40
"""Most characters in a line of a device's reason where everything else has a column of its own."""


@app.command(
    name="devices",
    epilog="Examples: `fitmatrix-agent devices` · `fitmatrix-agent devices --watch` · "
    "`fitmatrix-agent devices --devices devices.yaml --no-phones`. " + EXIT_CODES,
)
def show_devices(
    data: Data = None,
    devices: Devices = None,
    chrome: Chrome = None,
    phones: Phones = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing them until Ctrl-C.")] = False,
) -> None:
    """Show this host's devices: how they are, what they do, and why they are not ready. Asks no coordinator.

    Beside a running agent with the same data directory it shows what that agent knows; otherwise it looks itself.
    """
    with friendly_errors():
        settings = local_settings(data=data, devices=devices, chrome=chrome, phones=phones)
        console = Console()
        running = _running_agent(settings)
        if running is not None:
            if not watch:
                console.print(_of_agent(running.read(), console.width))
                return
            _watch(console, lambda: _of_agent(running.read(), console.width))
            return
        notices: list[str] = []
        with looked_at(settings, notices) as fleet:
            opened: dict[str, Device] = {}
            if not watch:
                console.print(_of_host(fleet, opened, console.width))
            for notice in notices:
                console.print(f"note: {notice}", style="yellow", highlight=False, markup=False)
            if watch:
                _watch(console, lambda: _of_host(fleet, opened, console.width))


def _running_agent(settings: AgentSettings) -> StatusFile | None:
    """What a running agent writes; None when none runs with this data directory."""
    layout = DataLayout(settings.data)
    if not layout.root.exists():
        return None
    lock = layout.supervisor_lock()
    if lock.try_acquire():
        lock.release()
        return None
    return StatusFile(layout.status)


def _watch(console: Console, draw: Callable[[], RenderableType]) -> None:
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(draw(), refresh=True)
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            return


def _of_agent(status: HostStatus | None, width: int) -> RenderableType:
    if status is None:
        return Text("The running agent has said nothing of its devices yet.")
    rows: list[RenderableType] = [_table("now", status.devices, width)]
    rows += [Text(f"phone {one.serial} ({one.state}): {one.explanation}", "yellow") for one in status.strangers]
    reached = "answers" if status.reached else "does not answer"
    rows.append(Text(f"The coordinator at {status.coordinator} {reached}.", "dim"))
    return Group(*rows)


def _of_host(fleet: HostFleet, opened: dict[str, Device], width: int) -> RenderableType:
    roll = fleet.roll()
    views = [
        DeviceView(
            registration=member.registration,
            serial=member.phone.serial if member.phone else None,
            status=_asked(fleet, member, opened),
            doing=_limits(member.registration),
        )
        for member in roll.members
    ]
    rows: list[RenderableType] = [_table("limits and flags", views, width)]
    rows += [Text(f"phone {one.serial} ({one.state}): {one.explanation}", "yellow") for one in roll.strangers]
    return Group(*rows)


def _asked(fleet: HostFleet, member: Member, opened: dict[str, Device]) -> DeviceStatus:
    """How a device is, asked here and now."""
    device_id = member.registration.id
    offline = DeviceStatus(id=device_id, condition=Condition.OFFLINE)
    if member.absence:
        return offline.model_copy(update={"reason": member.absence})
    try:
        device = opened.setdefault(device_id, opened.get(device_id) or fleet.open(member))
        health = device.health()
    except AgentError as error:
        return offline.model_copy(update={"reason": str(error)})
    reason = device.unreadiness(health)
    condition = Condition.RESTING if reason else Condition.READY
    return DeviceStatus(id=device_id, condition=condition, reason=reason or "", health=health)


def _table(last: str, views: Sequence[DeviceView], width: int) -> Table:
    """With a column for each thing where there is room."""
    wide = _new_table("is", "browsers", "health", last)
    narrow = _new_table("is", "what it has")
    # Ids are copied into other commands: they are not broken.
    narrow.columns[0].width = max(30, *(len(view.registration.id) for view in views))
    wide.columns[1].max_width = _WHY_WIDTH
    for view in views:
        device, condition, *rest = _cells(view)
        wide.add_row(device, condition, *rest)
        narrow.add_row(device, condition, Text("\n").join(part for part in rest if part.plain != _NOTHING))
    console = Console(width=10_000)
    return wide if Measurement.get(console, console.options, wide).maximum <= width else narrow


def _new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("device", *columns):
        table.add_column(column, overflow="fold")
    return table


def _cells(view: DeviceView) -> list[Text]:
    device, status = view.registration, view.status
    condition = Text(str(status.condition), _COLOURS[status.condition])
    if status.reason:
        condition.append(f"\n{status.reason}", "default")
    serial = f"\nserial {view.serial}" if view.serial else ""
    return [
        Text(f"{device.name} ({device.kind})\n{device.id}{serial}\n{device.model}; {device.device_class}"),
        condition,
        Text("\n".join(f"{browser.id} {browser.version}" for browser in device.facts.browsers) or "no browser"),
        Text(_words(status.health)),
        Text(view.doing or "idle"),
    ]


def _words(health: DeviceHealth | None) -> str:
    if health is None:
        return "unknown"
    lines = []
    if health.battery_level is not None:
        charging = ", charging" if health.charging else ""
        lines.append(f"battery {health.battery_level:.0%}{charging}")
    if health.battery_temperature_celsius is not None:
        lines.append(f"{health.battery_temperature_celsius:.1f} °C")
    if health.thermal_status is not None:
        lines.append(f"throttling: {health.thermal_status}")
    if health.free_storage_bytes is not None:
        lines.append(f"{health.free_storage_bytes / _GIB:.1f} GiB free")
    if health.latency_ms is not None:
        lines.append(f"answers in {health.latency_ms:.0f} ms")
    return "\n".join(lines)


def _limits(device: DeviceRegistration) -> str:
    emulation = device.facts.emulation
    limits = list(device.facts.chrome_flags)
    if emulation is not None:
        limits += [f"{emulation.memory_bytes / 2**20:.0f} MiB of memory"] if emulation.memory_bytes else []
        limits += [f"{emulation.cpu_quota:g} CPU"] if emulation.cpu_quota else []
        limits += [] if emulation.webgpu else ["no WebGPU"]
    return "\n".join(limits) or _NOTHING
