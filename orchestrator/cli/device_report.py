"""One device on the terminal: how it is, its facts, and what its browsers' last probes found."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from orchestrator.cli.listings import DEVICE_STYLES, DEVICE_SYMBOLS, listing, moment
from orchestrator.contract.views import DeviceView
from orchestrator.contract.vocabulary import DeviceKind
from orchestrator.presentation.device_facts import (
    browser_words,
    custody_facts,
    hardware_lines,
    health_facts,
    quarantine_facts,
    system_words,
    why,
)
from orchestrator.presentation.probe_facts import device_probe_facts
from orchestrator.presentation.words import EMULATED, plain


def device_report(device: DeviceView) -> RenderableType:
    facts = device.registration.facts
    parts: list[RenderableType] = [_facts(_head(device))]
    for browser in facts.browsers:
        parts.append(Rule(Text(f"Probe of {plain(browser.label)}"), align="left", style="dim"))
        parts.append(_facts(device_probe_facts(device.probes.get(browser.id))))
    return Group(*parts)


def _head(device: DeviceView) -> list[tuple[str, str | Text]]:
    registration, facts = device.registration, device.registration.facts
    emulated = f"  {EMULATED}" if registration.kind is DeviceKind.EMULATED else ""
    state = Text(f"{DEVICE_SYMBOLS[device.state]} {device.state.value}", style=DEVICE_STYLES.get(device.state, ""))
    rows: list[tuple[str, str | Text]] = [
        ("device", f"{registration.id}{emulated}"),
        ("name", plain(registration.name)),
        ("state", state),
    ]
    if device.attempt:
        rows.append(("works on", f"{plain(device.attempt.run_id)} #{device.attempt.number}"))
    if why(device) and not (device.quarantine and device.reason == device.quarantine.reason):
        rows.append(("why", why(device)))
    if device.quarantine:
        rows += quarantine_facts(device.quarantine, datetime.now(UTC))
    rows += custody_facts(device)
    if device.infrastructure_faults:
        rows.append(("faults", f"{device.infrastructure_faults} in a row for reasons of the lab"))
    rows += health_facts(device.health)
    rows += [
        ("model", plain(registration.model)),
        ("class", plain(registration.device_class)),
        ("system", system_words(facts)),
        ("hardware", ", ".join(hardware_lines(facts))),
        ("browsers", Text("\n".join(map(browser_words, facts.browsers)) or "none: nothing can be measured on it")),
        ("agent", plain(device.agent_id)),
        ("last seen", moment(device.last_seen_at)),
        ("queued runs", str(device.queued_runs)),
        ("history", f"fitmatrix runs --device {registration.id}"),
    ]
    if facts.chrome_flags:
        rows.append(("Chrome flags", " ".join(map(plain, facts.chrome_flags))))
    return rows


def probes_table(devices: Sequence[DeviceView], browsers: Collection[tuple[str, str]]) -> RenderableType:
    """The facts of each browser's last probe, one below the other; `browsers` are pairs of device and browser id."""
    table = listing(["device", "fact", "value"])
    for device in devices:
        for browser in device.registration.facts.browsers:
            if (device.registration.id, browser.id) not in browsers:
                continue
            firsts = [Text(device.registration.id), Text(plain(browser.label), style="dim")]
            if device.registration.kind is DeviceKind.EMULATED:
                firsts.append(Text(EMULATED, style="yellow"))
            for index, (name, value) in enumerate(device_probe_facts(device.probes.get(browser.id))):
                first = firsts[index] if index < len(firsts) else Text()
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
