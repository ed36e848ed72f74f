"""Getting a phone out of trouble without a person: by waiting, by a restart, by switching its USB port off and on.

The rungs are climbed one after another while the trouble lasts, a bounded number of times a day. What was done is on
disk, so that an agent that restarts does not begin anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ValidationError

from agents.devices.adb import Adb
from agents.devices.usb_power import UsbPort, cycle_power, find_port, find_uhubctl
from agents.faults import AgentError

COOL_DOWN: Final = timedelta(minutes=3)
"""So long nothing is done: most phones cool or charge in the end."""
SETTLE: Final = timedelta(minutes=10)
"""So long after a restart or a power cycle."""
_A_DAY: Final = timedelta(days=1)
_MOST_REBOOTS: Final = 2
_MOST_POWER_CYCLES: Final = 2


class RecoveryStep(StrEnum):
    WAIT = "wait"
    REBOOT = "reboot"
    POWER_CYCLE = "power-cycle"
    GIVE_UP = "give-up"


@dataclass(frozen=True)
class Recovery:
    """What was done about a phone in trouble."""

    step: RecoveryStep
    text: str
    """In a sentence, for the device's reason."""
    again_at: datetime
    """When to look at the phone again; earlier it may be gone, or nothing will have changed."""


class RecoveryRecord(BaseModel):
    trouble_since: AwareDatetime | None = None
    reboots: list[AwareDatetime] = []
    power_cycles: list[AwareDatetime] = []
    usb_port: UsbPort | None = None
    """Where the phone was seen last: one that is gone cannot be looked for."""


class AndroidRecovery:
    """The recovery of one phone. Not for two processes at once."""

    def __init__(
        self,
        adb: Adb,
        serialno: str,
        file: Path,
        *,
        uhubctl: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._adb = adb
        self._serialno = serialno
        self._file = file
        self._uhubctl = uhubctl or find_uhubctl()
        self._now = now

    def recover(self) -> Recovery:
        """Do the next thing about a phone that is in trouble. Returns within a minute, and raises nothing."""
        record, now = self._read(), self._now()
        record.trouble_since = record.trouble_since or now
        if self._uhubctl is not None:
            record.usb_port = find_port(self._uhubctl, self._serialno) or record.usb_port
        step = next_step(record, now, can_switch=self._uhubctl is not None and record.usb_port is not None)
        try:
            recovery = self._take(step, record, now)
        except AgentError as error:
            # A phone that does not even take the order to restart is left to the next rung.
            recovery = Recovery(step, f"{step} failed: {error}", now + COOL_DOWN)
        self._write(record)
        return recovery

    def recovered(self) -> None:
        """The phone is all right again: its next trouble starts with waiting."""
        record = self._read()
        if record.trouble_since is not None:
            record.trouble_since = None
            self._write(record)

    def _take(self, step: RecoveryStep, record: RecoveryRecord, now: datetime) -> Recovery:
        serial = self._adb.serial
        if step is RecoveryStep.REBOOT:
            record.reboots.append(now)
            self._adb.reboot()
            return Recovery(step, f"{serial} was restarted, since waiting did not help.", now + SETTLE)
        if step is RecoveryStep.POWER_CYCLE and self._uhubctl is not None and record.usb_port is not None:
            record.power_cycles.append(now)
            cycle_power(self._uhubctl, record.usb_port)
            return Recovery(step, f"The USB port of {serial} was switched off and on again.", now + SETTLE)
        if step is RecoveryStep.WAIT:
            since, actions = record.trouble_since or now, [*record.reboots, *record.power_cycles]
            until = max([since + COOL_DOWN, *(action + SETTLE for action in actions)])
            return Recovery(step, f"{serial} is given time until {until:%H:%M} UTC.", until)
        return Recovery(
            RecoveryStep.GIVE_UP,
            f"{serial} stays in trouble after waiting and restarting: somebody has to look at it.",
            now + timedelta(hours=1),
        )

    def _read(self) -> RecoveryRecord:
        try:
            return RecoveryRecord.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return RecoveryRecord()

    def _write(self, record: RecoveryRecord) -> None:
        recent = self._now() - _A_DAY
        record.reboots = [one for one in record.reboots if one > recent]
        record.power_cycles = [one for one in record.power_cycles if one > recent]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        half = self._file.with_suffix(".part")
        half.write_text(record.model_dump_json())
        half.replace(self._file)


def next_step(record: RecoveryRecord, now: datetime, *, can_switch: bool) -> RecoveryStep:
    """Which rung comes next for a phone that is still in trouble."""
    since = record.trouble_since or now
    if now < since + COOL_DOWN or any(now < one + SETTLE for one in [*record.reboots, *record.power_cycles]):
        return RecoveryStep.WAIT
    if len([one for one in record.reboots if one > now - _A_DAY]) < _MOST_REBOOTS:
        return RecoveryStep.REBOOT
    if can_switch and len([one for one in record.power_cycles if one > now - _A_DAY]) < _MOST_POWER_CYCLES:
        return RecoveryStep.POWER_CYCLE
    return RecoveryStep.GIVE_UP
