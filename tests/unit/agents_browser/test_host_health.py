"""How a host is, by recorded trees of `/sys`."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.devices.awake import KeepAwake, awake_command
from agents.devices.host_health import HostHealth, host_unreadiness
from agents.probes.rapl import RaplRecorder, has_rapl
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import ThermalStatus


def put(root: Path, **files: object) -> None:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")


def health(**known: Any) -> DeviceHealth:
    return DeviceHealth(checked_at=datetime.now(UTC), **known)


def test_a_host_without_sensors_says_nothing_about_heat(tmp_path: Path) -> None:
    asked = HostHealth(tmp_path, tmp_path).ask()
    assert asked.thermal_status is None
    assert asked.free_storage_bytes
    assert asked.network is not None


def test_storage_is_that_of_the_agents_data_also_before_it_is_there(tmp_path: Path) -> None:
    assert HostHealth(tmp_path / "not/yet/there").ask().free_storage_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's counters are Linux'")
def test_throttling_is_what_happened_since_the_last_look(tmp_path: Path) -> None:
    core = tmp_path / "devices/system/cpu/cpu0/thermal_throttle"
    counters = {"core_throttle_count": 7, "core_throttle_total_time_ms": 1_000, "package_throttle_count": 0}
    put(core, **counters)
    host = HostHealth(tmp_path, tmp_path)
    # What was counted before the first look is history.
    assert host.ask().thermal_status is ThermalStatus.NONE
    put(core, core_throttle_count=8, core_throttle_total_time_ms=1_000)
    assert host.ask().thermal_status is ThermalStatus.LIGHT
    put(core, core_throttle_count=9, core_throttle_total_time_ms=10_000_000)
    assert host.ask().thermal_status is ThermalStatus.MODERATE
    assert host.ask().thermal_status is ThermalStatus.NONE
    # A count without a time, as older kernels keep it.
    put(core, package_throttle_count=1)
    assert host.ask().thermal_status is ThermalStatus.MODERATE


@pytest.mark.skipif(sys.platform != "linux", reason="thermal zones are Linux'")
@pytest.mark.parametrize(
    ("temperature", "status"),
    [
        (60_000, ThermalStatus.NONE),
        (95_000, ThermalStatus.MODERATE),
        (101_000, ThermalStatus.SEVERE),
        (106_000, ThermalStatus.CRITICAL),
    ],
)
def test_a_zone_is_as_hot_as_the_worst_trip_point_that_it_has_reached(
    tmp_path: Path, temperature: int, status: ThermalStatus
) -> None:
    zones = tmp_path / "class/thermal"
    points = {"0": ("critical", 105_000), "1": ("hot", 100_000), "2": ("passive", 95_000), "3": ("active", 40_000)}
    put(zones / "thermal_zone0", type="acpitz", temp=temperature)
    for number, (kind, limit) in points.items():
        put(zones / "thermal_zone0", **{f"trip_point_{number}_type": kind, f"trip_point_{number}_temp": limit})
    put(zones / "thermal_zone1", temp=20_000, trip_point_0_type="passive", trip_point_0_temp=0)
    assert HostHealth(tmp_path, tmp_path).ask().thermal_status is status


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({}, None),
        ({"battery_level": 0.15, "charging": True}, None),
        ({"battery_level": 0.2, "charging": False}, None),
        ({"battery_level": 0.19, "charging": False}, "The battery is at 19% and is not being charged: plug"),
        ({"thermal_status": ThermalStatus.LIGHT}, None),
        (
            {"thermal_status": ThermalStatus.MODERATE},
            "The processor slows itself down for heat (moderate): let it cool",
        ),
        ({"free_storage_bytes": 2**30}, None),
        ({"free_storage_bytes": 500 * 2**20}, "Only 500 MiB are free in /data, and 1 GiB is needed"),
    ],
)
def test_what_keeps_a_host_from_measuring(known: dict[str, Any], why: str | None) -> None:
    said = host_unreadiness(health(**known), Path("/data"))
    assert (said is None) == (why is None)
    assert said is None or said.startswith(why or "")


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """A laptop's: a package with cores, graphics and memory below it, and the whole platform beside it."""
    for zone, name, energy in (
        ("intel-rapl:0", "package-0", 262_000_000_000),
        ("intel-rapl:0:0", "core", 5),
        ("intel-rapl:0:2", "dram", 1_000_000),
        ("intel-rapl:1", "psys", 9),
    ):
        put(tmp_path / zone, name=name, energy_uj=energy, max_energy_range_uj=262_143_328_850)
    return tmp_path


def test_energy_is_what_packages_and_memory_counted_also_past_the_counters_end(powercap: Path) -> None:
    assert has_rapl(powercap)
    recorder = RaplRecorder(powercap)
    recorder.start()
    put(powercap, **{"intel-rapl:0/energy_uj": 1_000_000_000, "intel-rapl:0:2/energy_uj": 3_500_000})
    recorder.stop()
    energy = recorder.energy
    assert energy is not None
    assert energy.method == "RAPL: package-0, dram"
    assert energy.joules == pytest.approx(143.328_850 + 1_000 + 2.5)
    assert (recorder.write(powercap), recorder.memory_kills) == ([], [])


def test_a_counter_that_goes_away_leaves_no_figure(powercap: Path) -> None:
    recorder = RaplRecorder(powercap)
    recorder.start()
    (powercap / "intel-rapl:0:2/energy_uj").unlink()
    recorder.stop()
    assert recorder.energy is None


def test_without_counters_there_is_no_energy(tmp_path: Path) -> None:
    recorder = RaplRecorder(tmp_path)
    recorder.start()
    recorder.stop()
    recorder.stop()
    assert (recorder.energy, has_rapl(tmp_path)) == (None, False)


def test_what_keeps_a_host_awake_ends_with_it() -> None:
    assert awake_command("darwin", 7) == ["caffeinate", "-dis", "-w", "7"]
    assert awake_command("linux", 7)[-1] == "cat"
    assert awake_command("win32", 7) == []


def test_a_program_that_keeps_awake_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemd-inhibit"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec cat\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "platform", "linux")
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    awake = KeepAwake()
    awake.begin()
    awake.begin()
    (process,) = started
    assert process.poll() is None
    awake.end()
    awake.end()
    assert process.returncode is not None
