"""One device on the terminal: its facts and what its last probe found."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from orchestrator.cli.listings import device_state, emulation_words, listing, moment
from orchestrator.contract.views import DeviceView
from orchestrator.contract.vocabulary import DeviceKind
from orchestrator.presentation.probe_facts import device_probe_facts
from orchestrator.presentation.words import EMULATED, byte_count, plain


def device_report(device: DeviceView) -> RenderableType:
    registration, facts = device.registration, device.registration.facts
    emulated = f"  {EMULATED}" if registration.kind is DeviceKind.EMULATED else ""
    rows: list[tuple[str, str | Text]] = [
        ("device", f"{registration.id}{emulated}"),
        ("name", plain(registration.name)),
        ("state", device_state(device)),
        ("model", plain(registration.model)),
        ("class", plain(registration.device_class)),
        ("system", plain(f"{facts.os} {facts.os_version}, {facts.arch}")),
        ("hardware", f"{plain(facts.cpu_model)}, {facts.cpu_count} CPUs, {byte_count(facts.ram_bytes)}"),
        ("browser", plain(f"{facts.browser.name} {facts.browser.version} ({facts.browser.channel})")),
        ("agent", plain(device.agent_id)),
        ("last seen", moment(device.last_seen_at)),
        ("queued runs", str(device.queued_runs)),
    ]
    if facts.emulation:
        rows.append(("limits", emulation_words(facts.emulation)))
    if facts.chrome_flags:
        rows.append(("Chrome flags", " ".join(map(plain, facts.chrome_flags))))
    return Group(_facts(rows), Rule(Text("Probe"), align="left", style="dim"), _facts(device_probe_facts(device.probe)))


def probes_table(devices: Sequence[DeviceView]) -> RenderableType:
    """The facts of each device's last probe, a device below the other."""
    table = listing(["device", "fact", "value"])
    for device in devices:
        for index, (name, value) in enumerate(device_probe_facts(device.probe)):
            first = Text(device.registration.id if index == 0 else "")
            if index == 1 and device.registration.kind is DeviceKind.EMULATED:
                first = Text(EMULATED, style="yellow")
            table.add_row(first, Text(name, style="dim"), Text(value))
        table.add_section()
    return table


def _facts(rows: Sequence[tuple[str, str | Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", min_width=12)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), value if isinstance(value, Text) else Text(value))
    return table
