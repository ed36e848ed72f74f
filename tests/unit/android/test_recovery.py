"""How often a phone in trouble is restarted, over hours that pass at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.devices.adb import Adb, AdbSettings
from agents.devices.android_recovery import AndroidRecovery, RecoveryStep

_HUBS = (
    "Current status for hub 1-1 [2109:2817 USB2.0 Hub, USB 2.10, 4 ports, ppps]\n"
    "  Port 3: 0503 power highspeed enable connect [04e8:6860 SAMSUNG SAMSUNG_Android R58M12ABCDE]\n"
)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Lab:
    """Programs that keep a list of what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.program("adb", 'echo "$@" >> "$0.calls"')

    def program(self, name: str, script: str) -> Path:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def calls(self, name: str) -> list[str]:
        file = self.folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []

    def recovery(self, uhubctl: Path | None = None) -> AndroidRecovery:
        """As a new process would make it."""
        adb = Adb("R58M12ABCDE", AdbSettings(self.folder / "adb", 15199))
        return AndroidRecovery(adb, "R58M12ABCDE", self.folder / "recovery.json", uhubctl=uhubctl, now=self.clock)

    def steps(self, hours: float, uhubctl: Path | None = None) -> list[RecoveryStep]:
        """What is done when the trouble lasts and every answer's time is waited for."""
        end, steps = self.clock.now + timedelta(hours=hours), []
        while self.clock.now < end:
            recovery = self.recovery(uhubctl).recover()
            steps.append(recovery.step)
            assert recovery.again_at > self.clock.now
            self.clock.now = recovery.again_at
        return steps


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return Lab(tmp_path)


def test_a_phone_is_given_time_before_it_is_restarted(lab: Lab) -> None:
    first = lab.recovery().recover()
    assert first.step is RecoveryStep.WAIT
    assert "00:03 UTC" in first.text
    assert lab.calls("adb") == []


def test_restarts_are_bounded_and_then_a_person_is_asked(lab: Lab) -> None:
    steps = lab.steps(hours=20)
    assert [step for step in steps if step is not RecoveryStep.WAIT][:3] == [
        RecoveryStep.REBOOT,
        RecoveryStep.REBOOT,
        RecoveryStep.GIVE_UP,
    ]
    assert len([call for call in lab.calls("adb") if call.endswith("reboot")]) == 2
    assert "somebody has to look" in lab.recovery().recover().text


def test_the_next_day_it_is_tried_again(lab: Lab) -> None:
    lab.steps(hours=30)
    assert len(lab.calls("adb")) == 4


def test_a_switchable_port_is_the_last_resort(lab: Lab) -> None:
    uhubctl = lab.program("uhubctl", f'echo "$@" >> "$0.calls"\nprintf "{_HUBS}"')
    steps = [step for step in lab.steps(hours=10, uhubctl=uhubctl) if step is not RecoveryStep.WAIT]
    assert steps[:5] == [RecoveryStep.REBOOT] * 2 + [RecoveryStep.POWER_CYCLE] * 2 + [RecoveryStep.GIVE_UP]
    assert [call for call in lab.calls("uhubctl") if call] == ["-l 1-1 -p 3 -a cycle -d 10"] * 2


def test_a_phone_that_is_gone_is_looked_for_at_its_last_port(lab: Lab) -> None:
    uhubctl = lab.program("uhubctl", f'printf "{_HUBS}"')
    lab.recovery(uhubctl).recover()
    lab.program("adb", "echo \"error: device 'R58M12ABCDE' not found\" >&2; exit 1")
    uhubctl = lab.program("uhubctl", 'echo "$@" >> "$0.calls"')
    steps = lab.steps(hours=2, uhubctl=uhubctl)
    assert RecoveryStep.POWER_CYCLE in steps
    assert "-l 1-1 -p 3 -a cycle -d 10" in lab.calls("uhubctl")


def test_a_refused_restart_is_a_sentence_and_counts(lab: Lab) -> None:
    lab.program("adb", "echo 'error: device offline' >&2; exit 1")
    lab.recovery().recover()
    lab.clock.now += timedelta(minutes=4)
    recovery = lab.recovery().recover()
    assert recovery.step is RecoveryStep.REBOOT
    assert "is offline" in recovery.text
    assert lab.recovery().recover().step is RecoveryStep.WAIT


def test_a_phone_that_is_well_again_starts_anew(lab: Lab) -> None:
    lab.recovery().recover()
    lab.clock.now += timedelta(minutes=4)
    lab.recovery().recovered()
    assert lab.recovery().recover().step is RecoveryStep.WAIT


def test_a_spoilt_record_is_begun_anew(lab: Lab) -> None:
    (lab.folder / "recovery.json").write_text("{half")
    assert lab.recovery().recover().step is RecoveryStep.WAIT
