"""The maintainer's commands, as a maintainer runs them: each a process of its own, beside a simulated phone."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.coordinator.lab import RunningCoordinator
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.phone_bench import APPIUM_HOME, provide_appium
from tests.processes import commands
from tests.waiting import wait_until
from tests.workbench import CACHE, built

VARIANT = "llama-tiny.q8"
COMMAND = (sys.executable, "-m", "agents.cli")
WORDS = {"COLUMNS": "200", "NO_COLOR": "1"}


@dataclass(frozen=True)
class Bench:
    """A lab host with one phone."""

    server: AdbServer
    phone: SimulatedPhone
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        settings = {"FITMATRIX_AGENT_DATA": str(self.data), "FITMATRIX_AGENT_APPIUM": str(APPIUM_HOME)}
        return self.server.environment | settings | WORDS

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words],
            env=self.environment | settings,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def said(self, *words: str, **settings: str) -> str:
        """Of a command that ends well."""
        done = self.run(*words, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def findings(self, *words: str, **settings: str) -> dict[str, list[dict[str, Any]]]:
        """The doctor's, by what was checked."""
        found: dict[str, list[dict[str, Any]]] = {}
        for finding in json.loads(self.run("doctor", "--json", *words, **settings).stdout):
            found.setdefault(finding["check"], []).append(finding)
        return found

    def processes(self) -> list[str]:
        """What works with this bench's data directory."""
        lines = [" ".join(command) for _, command in commands(psutil.process_iter())]
        return [line for line in lines if str(self.data) in line]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    provide_appium()
    with AdbServer() as server, SimulatedPhone(tmp_path / "phone") as phone:
        phone.connect(server)
        yield Bench(server, phone, tmp_path / "data")


def settled(phone: SimulatedPhone) -> dict[str, Any]:
    """What somebody who uses the phone would notice."""
    state = phone.state()
    return {part: state[part] for part in ("settings", "reverse", "running", "debug_app", "foreground")}


def test_release_puts_back_what_was_there_before_prepare(bench: Bench) -> None:
    before = settled(bench.phone)
    assert "put it back with" in bench.said("prepare", bench.phone.serial)
    prepared = bench.phone.state()
    assert prepared["settings"]["global"]["window_animation_scale"] == "0"
    assert prepared["reverse"]
    # A second one, as after a maintainer's lunch, still knows what was there at first.
    bench.said("prepare", bench.phone.serial)
    assert "is as it was: browsers" in bench.said("release", bench.phone.serial)
    assert settled(bench.phone) == before
    assert "nothing had to be undone" in bench.said("release", bench.phone.serial)


def test_the_live_table_ends_on_ctrl_c_and_gives_the_cursor_back(bench: Bench) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "devices", "--watch"], env=bench.environment, stdout=theirs, stderr=theirs
    ) as watch:
        os.close(theirs)
        seen = b""
        interrupted = False
        with suppress(OSError):  # how a terminal says that nobody writes to it any more
            while said := os.read(ours, 65536):
                seen += said
                if bench.phone.serial.encode() in seen and not interrupted:
                    interrupted = True
                    watch.send_signal(signal.SIGINT)
    os.close(ours)
    assert watch.returncode == 0
    assert b"Traceback" not in seen
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")


def test_a_device_that_is_not_there_is_named_with_those_that_are(bench: Bench) -> None:
    done = bench.run("prepare", "nosuch")
    assert done.returncode == 3
    assert "no device 'nosuch' on this host; there are: " in done.stderr
    assert "android.sim0001" in done.stderr


@pytest.mark.parametrize("browser", ["chrome", "webview"])
def test_one_measurement_and_one_that_is_interrupted_leave_nothing(bench: Bench, browser: str) -> None:
    built(VARIANT)
    words = ("run-once", VARIANT, "--models", str(CACHE), "--device", bench.phone.serial, "--browser", browser)
    before = settled(bench.phone)
    said = bench.said(*words)
    assert said.startswith("it ran\ndecode ")
    assert bench.processes() == []
    assert settled(bench.phone) == before
    with subprocess.Popen([*COMMAND, *words], env=bench.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "init" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert bench.processes() == []
    assert settled(bench.phone) == before
    assert bench.server.adb("forward", "--list").strip() == ""


def test_what_cannot_be_measured_is_refused_before_anything_is_touched(bench: Bench) -> None:
    built(VARIANT)
    words = ("run-once", VARIANT, "--models", str(CACHE), "--device", bench.phone.serial)
    wrong = bench.run(*words, "--browser", "chrome-beta")
    assert wrong.returncode == 3
    assert "has no browser chrome-beta: it has chrome, webview" in wrong.stderr
    missing = bench.run("run-once", "nosuch", "--models", str(bench.data))
    assert missing.returncode == 3
    assert f"run `fitmatrix models build --data {bench.data} nosuch`" in missing.stderr


def test_the_doctor_says_what_is_in_the_way_and_what_mends_it(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        folder = bench.data / "devices" / "android.old"
        folder.mkdir(parents=True)
        (folder / "page-port").write_text(f"{port}\n")
        bench.phone.install_chrome("150.0.1.2")
        found = bench.findings(
            "--coordinator",
            f"http://127.0.0.1:{port + 1 if port < 65_535 else 1}",
            FITMATRIX_AGENT_METRICS_PORT=str(port),
        )
    grades = {check: [one["grade"] for one in findings] for check, findings in found.items()}
    assert grades["adb"] == grades["appium"] == ["ok"]
    assert grades["coordinator"] == ["fail"]
    assert "fitmatrix coordinator" in found["coordinator"][0]["mend"]
    assert grades["ports"] == ["fail", "warn"]
    assert all(str(port) in finding["text"] for finding in found["ports"])
    (phone,) = (check for check in found if check.startswith("android.sim0001"))
    assert grades[phone] == ["fail", "ok"]
    assert "put one of version 150 into" in found[phone][0]["text"]


def test_a_phone_that_does_not_trust_the_host_is_explained(bench: Bench) -> None:
    bench.phone.set_state("unauthorized")
    done = bench.run("doctor")
    assert done.returncode == 1
    assert "unlock the phone and allow USB" in " ".join(done.stdout.split())
    assert "(unauthorized)" in bench.said("devices")


def test_beside_a_running_agent_devices_are_as_the_agent_sees_them(bench: Bench, tmp_path: Path) -> None:
    coordinator = RunningCoordinator(tmp_path / "coordinator")
    coordinator.start()
    try:
        told = bench.findings("--coordinator", coordinator.url)
        assert [told[check][0]["grade"] for check in ("coordinator", "clock")] == ["ok", "ok"]
        agent = subprocess.Popen(
            [*COMMAND, "run", "--coordinator", coordinator.url], env=bench.environment, stderr=subprocess.DEVNULL
        )
        try:
            wait_until(lambda: "ready  chrome" in bench.said("devices"), 60, "a phone that the agent has")
            table = bench.said("devices")
            assert f"The coordinator at {coordinator.url} answers." in table
            assert f"serial {bench.phone.serial}" in table
            done = bench.run("prepare", bench.phone.serial)
            assert done.returncode == 3
            assert "stop that one first" in done.stderr
            assert "an agent runs here" in bench.findings()["ports"][0]["text"]
        finally:
            agent.send_signal(signal.SIGINT)
            assert agent.wait(60) == 0
    finally:
        coordinator.stop()


def test_a_recording_has_the_facts_and_nothing_personal(bench: Bench, tmp_path: Path) -> None:
    personal = {
        "IMEI": "356938035643809",
        "telephone": "+49 171 2345678",
        "account": "anna.muster@example.org",
        "network": "Musters Wohnung",
        "hardware address": "a4:c3:f0:85:ac:2d",
        "serial": "R58M12ABCDE",
    }
    battery = (
        "Current Battery Service state:\n  USB powered: true\n  status: 2\n  present: true\n"
        "  level: 71\n  scale: 100\n  temperature: 301\n"
    )
    power = (
        "POWER MANAGER (dumpsys power)\n  mWakefulness=Awake\n"
        f"  PARTIAL_WAKE_LOCK '*sync*/com.android.contacts/com.google/{personal['account']}'\n"
        f'  SSID: "{personal["network"]}", BSSID: {personal["hardware address"]}\n'
        f"  IMEI {personal['IMEI']} line {personal['telephone']} of {personal['serial']}\n"
    )
    properties = {
        "ro.product.manufacturer": "Acme",
        "ro.product.model": "Nine",
        "ro.serialno": personal["serial"],
        "persist.radio.imei": personal["IMEI"],
        "wifi.interface.mac": personal["hardware address"],
        "ro.build.display.id": f"for {personal['serial']}",
    }
    commands = [
        {"argv": ["dumpsys", "battery"], "stdout": battery, "exit": 0},
        {"argv": ["dumpsys", "power"], "stdout": power, "exit": 0},
    ]
    real = tmp_path / "real"
    real.mkdir()
    content = {"format": 1, "recorded_at": "2026-11-20T10:00:00Z", "properties": properties, "commands": commands}
    (real / "recording.json").write_text(json.dumps(content))

    with SimulatedPhone(tmp_path / "somebodys", serial=personal["serial"], recording=real) as phone:
        phone.connect(bench.server)
        bench.phone.disconnect(bench.server)
        shown = bench.said("devices")
        said = bench.said("record", phone.serial, "--out", str(tmp_path / "kept"))
        phone.disconnect(bench.server)
    written = (tmp_path / "kept" / "recording.json").read_text()
    assert [kind for kind, value in personal.items() if value in written] == []
    assert "serial number" in said
    assert "mWakefulness=Awake" in written

    with SimulatedPhone(tmp_path / "replayed", recording=tmp_path / "kept") as phone:
        phone.connect(bench.server)
        again = bench.said("devices")
    for fact in ("emulated Acme Nine", "battery 71%, charging", "30.1 °C"):
        assert fact in shown
        assert fact in again
