"""Memory, energy and USB power from recorded answers."""

from pathlib import Path

import pytest

from agents.devices.usb_power import UsbPort, cycle_power, find_port, port_in
from agents.faults import AgentError
from agents.probes.android_energy import energy_between, read_battery
from agents.probes.android_memory import bytes_by_role

_HEAD = "Applications Memory Usage (in Kilobytes):\nUptime: 8213345 Realtime: 8213345\n\n"


def _table(pid: int, name: str, summary: str) -> str:
    return (
        f"** MEMINFO in pid {pid} [{name}] **\n App Summary\n                       Pss(KB)\n"
        f"                        ------\n           Java Heap:     4120\n         Native Heap:    91240\n"
        f"{summary}\n \n"
    )


_ANDROID_14 = "           TOTAL PSS:   200000            TOTAL RSS:   310000       TOTAL SWAP PSS:      120"
_ANDROID_8 = "               TOTAL:    50000       TOTAL SWAP PSS:       40"
_SANDBOXED = "sandboxed_process0:org.chromium.content.app.SandboxedProcessService0"


def test_memory_is_told_apart_by_role() -> None:
    listing = (
        _HEAD
        + _table(7601, "com.android.chrome", _ANDROID_14)
        + _table(7702, f"com.android.chrome:{_SANDBOXED}:0", _ANDROID_14)
        + _table(7703, f"com.android.chrome:{_SANDBOXED}:1", _ANDROID_8)
        + _table(7704, "com.android.chrome:privileged_process0", _ANDROID_8)
        + _table(7705, "com.android.chrome_zygote", _ANDROID_8)
    )
    assert bytes_by_role(listing) == {
        "browser": 200_000 * 1024,
        "renderer": 250_000 * 1024,
        "gpu-process": 50_000 * 1024,
        "zygote": 50_000 * 1024,
    }


def test_a_webview_is_its_app_and_the_providers_renderers() -> None:
    listing = (
        _HEAD
        + _table(9001, "dev.fitmatrix.webviewhost", _ANDROID_14)
        + _table(9002, f"com.google.android.webview:{_SANDBOXED}:0", _ANDROID_8)
        + _HEAD
        + _table(9002, f"com.google.android.webview:{_SANDBOXED}:0", _ANDROID_8)
    )
    assert bytes_by_role(listing) == {"browser": 200_000 * 1024, "renderer": 50_000 * 1024}


def test_the_full_table_is_read_too() -> None:
    listing = (
        f"{_HEAD}** MEMINFO in pid 1 [com.android.chrome] **\n                   Pss  Private  Private  SwapPss\n"
        "                 Total    Dirty    Clean    Dirty\n                ------   ------   ------   ------\n"
        "  Native Heap    12345    12300        0        0\n        TOTAL    98765    90000     5000      120\n"
    )
    assert bytes_by_role(listing) == {"browser": 98_765 * 1024}


def test_a_browser_that_is_gone_has_no_memory() -> None:
    assert bytes_by_role(f"{_HEAD}No process found for: com.android.chrome\n") == {}
    assert bytes_by_role("") == {}


def _battery(charge: object, *, powered: str = "false", voltage: int = 4000) -> str:
    return (
        f"Current Battery Service state:\n  AC powered: false\n  USB powered: {powered}\n  Wireless powered: false\n"
        f"  Max charging current: 0\n  Charge counter: {charge}\n  status: 3\n  present: true\n  level: 71\n"
        f"  scale: 100\n  voltage: {voltage}\n  temperature: 301\n"
    )


def test_energy_is_charge_times_voltage() -> None:
    figure = energy_between(read_battery(_battery(2_468_000)), read_battery(_battery(2_467_000, voltage=3900)))
    assert figure is not None
    assert figure.joules == pytest.approx(1_000 * 3.6e-3 * 3.95)
    assert "charge counter" in figure.method


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_battery(2_468_000, powered="true"), _battery(2_467_000)),
        (_battery(2_468_000), _battery(2_467_000, powered="true")),
        (_battery(2_468_000), _battery(2_468_000)),
        (_battery(2_468_000), _battery(2_469_000)),
        (_battery(-1), _battery(-2)),
        (_battery(""), ""),
    ],
)
def test_where_the_battery_cannot_tell_there_is_no_energy(before: str, after: str) -> None:
    assert energy_between(read_battery(before), read_battery(after)) is None


_HUBS = """Current status for hub 2-1.4 [2109:0817 VIA Labs, Inc. USB3.0 Hub, USB 3.00, 4 ports, ppps]
  Port 2: 02a0 power 5gbps Rx.Detect
Current status for hub 1-1.4 [2109:2817 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 1: 0503 power highspeed enable connect [22d9:2769 OPPO CPH2325 9T12345678WS]
  Port 2: 0100 power
  Port 3: 0507 power highspeed suspend enable connect [04e8:6860 SAMSUNG SAMSUNG_Android R58M12ABCDE]
  Port 4: 0103 power enable connect [0cf3:e004]
"""


def test_a_phones_port_is_found_by_its_serial_number() -> None:
    assert port_in(_HUBS, "R58M12ABCDE") == UsbPort(hub="1-1.4", port=3)
    assert port_in(_HUBS, "9T12345678WS") == UsbPort(hub="1-1.4", port=1)
    assert port_in(_HUBS, "SAMSUNG_Android") is None
    assert port_in("", "R58M12ABCDE") is None


def test_a_port_is_switched_off_and_on(tmp_path: Path) -> None:
    uhubctl = tmp_path / "uhubctl"
    uhubctl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncat {tmp_path}/hubs\n')
    uhubctl.chmod(0o755)
    (tmp_path / "hubs").write_text(_HUBS)
    port = find_port(uhubctl, "R58M12ABCDE")
    assert port is not None
    cycle_power(uhubctl, port)
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "-l 1-1.4 -p 3 -a cycle -d 10"


def test_a_hub_that_may_not_be_switched_is_a_sentence(tmp_path: Path) -> None:
    uhubctl = tmp_path / "uhubctl"
    uhubctl.write_text("#!/bin/sh\necho 'No compatible devices detected!' >&2\nexit 1\n")
    uhubctl.chmod(0o755)
    assert find_port(uhubctl, "R58M12ABCDE") is None
    with pytest.raises(AgentError, match="No compatible devices detected"):
        cycle_power(uhubctl, UsbPort(hub="1-1", port=1))
    with pytest.raises(AgentError, match="cannot be started"):
        cycle_power(tmp_path / "none", UsbPort(hub="1-1", port=1))
