"""What a running agent says of its devices to whoever asks on the same host: a small file, replaced whole."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, ValidationError

from agents.fleet import Roll
from orchestrator.contract.base import Message
from orchestrator.contract.device import DeviceRegistration, DeviceStatus
from orchestrator.contract.vocabulary import Condition


class DeviceView(Message):
    """One device as its host sees it."""

    registration: DeviceRegistration
    serial: str | None = None
    status: DeviceStatus
    doing: str = ""
    """What it measures just now."""


class StrangerView(Message):
    """A phone that could not be opened so far."""

    serial: str
    state: str
    explanation: str


class HostStatus(Message):
    written_at: AwareDatetime
    coordinator: str
    reached: bool
    """The coordinator answered when it was asked last."""
    devices: list[DeviceView]
    strangers: list[StrangerView]

    @classmethod
    def of(
        cls,
        roll: Roll,
        statuses: Sequence[DeviceStatus],
        refused: Mapping[str, str],
        doing: Mapping[str, str],
        *,
        coordinator: str,
        reached: bool,
    ) -> Self:
        said = {status.id: status for status in statuses}
        views = []
        for member in roll.members:
            device_id = member.registration.id
            reason = refused.get(device_id) or member.absence or "it is not enrolled yet"
            status = said.get(device_id) or DeviceStatus(id=device_id, condition=Condition.OFFLINE, reason=reason)
            serial = member.phone.serial if member.phone else None
            views.append(
                DeviceView(
                    registration=member.registration, serial=serial, status=status, doing=doing.get(device_id, "")
                )
            )
        return cls(
            written_at=datetime.now(UTC),
            coordinator=coordinator,
            reached=reached,
            devices=views,
            strangers=[
                StrangerView(serial=one.serial, state=one.state, explanation=one.explanation) for one in roll.strangers
            ],
        )


class StatusFile:
    """The file. Its writer is the one agent of a data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: HostStatus | None = None

    def write(self, status: HostStatus) -> None:
        """Does nothing when only the time has changed. A disk that takes nothing is no reason to stop."""
        if self._written is not None and self._written.model_copy(update={"written_at": status.written_at}) == status:
            return
        half = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            half.write_text(status.model_dump_json())
            half.replace(self._path)
        except OSError:
            return
        self._written = status

    def read(self) -> HostStatus | None:
        """What the agent said last; None when none runs or it is of another version."""
        try:
            return HostStatus.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
