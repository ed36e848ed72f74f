"""A device in words: how it is, why it does not work, and what is true of it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from orchestrator.contract.device import Browser, DeviceFacts, DeviceHealth, Emulation, Gpu
from orchestrator.contract.quantities import binary_count, byte_count, duration, percent, seconds
from orchestrator.contract.views import DeviceView, Quarantine
from orchestrator.contract.vocabulary import ThermalStatus
from orchestrator.presentation.words import plain

Fact = tuple[str, str]

_TELLING_CLOCK_SECONDS: Final = 60.0
"""A device's clock may differ from its host's by so much without a word about it."""


def why(device: DeviceView) -> str:
    """Why the device is not at work; empty where there is nothing to say."""
    return plain(device.reason, limit=1000)


def health_lines(health: DeviceHealth | None) -> list[str]:
    """The figures that decide whether a device measures, each short enough for a table."""
    words = {"battery": "battery {}", "heat": "{}", "storage": "storage {}", "latency": "answers in {}"}
    return [words[name].format(value) for name, value in _vital_facts(health)] if health else []


def health_facts(health: DeviceHealth | None) -> Iterator[Fact]:
    if health is None:
        yield "health", "its agent has not said"
        return
    yield from _vital_facts(health)
    if health.network is not None:
        yield "network", "has a connection of its own" if health.network else "no connection of its own"
    if health.screen_on is not None:
        yield "screen", "on" if health.screen_on else "off"
    offset = health.clock_offset_seconds
    if offset is not None and abs(offset) >= _TELLING_CLOCK_SECONDS:
        way = "ahead of" if offset > 0 else "behind"
        yield "clock", f"{duration(abs(offset))} {way} its host's: times it names are not to be trusted"


def _vital_facts(health: DeviceHealth) -> Iterator[Fact]:
    if health.battery_level is not None:
        charging = {True: ", charging", False: ", not charging", None: ""}[health.charging]
        yield "battery", f"{percent(health.battery_level)}{charging}"
    if heat := _heat_words(health):
        yield "heat", heat
    if health.free_storage_bytes is not None:
        yield "storage", f"{byte_count(health.free_storage_bytes)} free"
    if health.latency_ms is not None:
        yield "latency", seconds(health.latency_ms / 1000)


def _heat_words(health: DeviceHealth) -> str:
    """`31 °C, no throttling`; empty where the device tells neither."""
    parts = []
    if health.battery_temperature_celsius is not None:
        parts.append(f"{health.battery_temperature_celsius:.0f} °C")
    if health.thermal_status is ThermalStatus.NONE:
        parts.append("no throttling")
    elif health.thermal_status is not None:
        parts.append(f"{health.thermal_status.value} throttling")
    return ", ".join(parts)


def quarantine_facts(quarantine: Quarantine, now: datetime) -> Iterator[Fact]:
    yield "quarantine", plain(quarantine.reason, limit=2000)
    yield "since", f"{duration((now - quarantine.since).total_seconds())} ago"
    due = quarantine.next_health_run_at
    if due is None:
        yield "health run", "queued or running; the quarantine ends when it passes"
    elif due <= now:
        yield "health run", "due: it is made as soon as the device's agent says that the device is ready"
    else:
        yield "health run", f"the next one in {duration((due - now).total_seconds())}"


def custody_facts(device: DeviceView) -> Iterator[Fact]:
    """Who has it, whether it is in service, and what the lab counts it among."""
    if device.reservation:
        until = f"{device.reservation.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        yield "reserved", f"by {plain(device.reservation.by)} until {until}{_note(device.reservation.note)}"
    if device.drain:
        since = f"{device.drain.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        yield "drained", f"by {plain(device.drain.by)} since {since}{_note(device.drain.note)}"
    if device.classes:
        yield "lab's classes", ", ".join(map(plain, device.classes))
    if device.pools:
        yield "pools", ", ".join(map(plain, device.pools))


def _note(note: str) -> str:
    return f": {plain(note, limit=500)}" if note else ""


def hardware_lines(facts: DeviceFacts) -> list[str]:
    lines = [plain(facts.cpu_model), f"{facts.cpu_count} CPUs, {byte_count(facts.ram_bytes)}"]
    lines += [gpu_words(gpu) for gpu in facts.gpus]
    if facts.emulation:
        lines.append(emulation_words(facts.emulation))
    return lines


def gpu_words(gpu: Gpu) -> str:
    memory = f", {binary_count(gpu.memory_bytes)}" if gpu.memory_bytes is not None else ""
    driver = f", driver {plain(gpu.driver)}" if gpu.driver else ""
    return f"{plain(gpu.name)}{memory}{driver}"


def emulation_words(emulation: Emulation) -> str:
    limits = [
        f"{byte_count(emulation.memory_bytes)} of memory" if emulation.memory_bytes is not None else "",
        f"{emulation.cpu_quota:g} CPU" if emulation.cpu_quota is not None else "",
        "" if emulation.webgpu else "no WebGPU",
        *(f"{plain(name)} {limit}" for name, limit in emulation.webgpu_limits.items()),
    ]
    return "held to " + ", ".join(limit for limit in limits if limit)


def system_words(facts: DeviceFacts) -> str:
    level = f" (API level {facts.os_api_level})" if facts.os_api_level is not None else ""
    return plain(f"{facts.os} {facts.os_version}{level}, {facts.arch}")


def browser_words(browser: Browser) -> str:
    return plain(f"{browser.id}: {browser.name} {browser.version} ({browser.channel})")
