"""What a browser takes when it rests, remembered from one attempt to the next.

Chrome goes on starting for half a second and more after it takes commands: the network service, a spare renderer. Until
that is done its memory means little (the same browser gave 331 to 369 MiB at once, 376 to 379 MiB later). A fresh
profile makes each start like the one before, so the rest of one start is the baseline of those that follow, as long as
they begin alike.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel, TypeAdapter, ValidationError

BytesByRole = dict[str, int]

_VALID: Final = timedelta(days=1)
_SAME_SHARE: Final = 0.05
_MOST: Final = 20
MAIN_ROLE: Final = "browser"
"""The role of a browser's main process."""


class Rest(BaseModel):
    """One browser that was watched until it rested."""

    kind: str
    """Everything that a browser's idle memory depends on, as far as it is known."""
    measured_at: datetime
    first_main_bytes: int
    """Of the main process at the first reading."""
    by_role: BytesByRole


_RESTS = TypeAdapter(list[Rest])


class IdleMemory:
    """A file of rests, newest last. One process at a time may use it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def recall(self, kind: str, first_main_bytes: int) -> BytesByRole | None:
        """The rest of a browser of this kind that began like this one; None when it has to be measured.

        The first reading tells when something has changed that the kind does not name: another Chrome on the same
        machine, with which it shares pages, or a system that is short of memory.
        """
        for rest in self._rests():
            like = abs(rest.first_main_bytes - first_main_bytes) <= _SAME_SHARE * rest.first_main_bytes
            if rest.kind == kind and like:
                return rest.by_role
        return None

    def keep(self, kind: str, first_main_bytes: int, by_role: BytesByRole) -> None:
        """Remember a rest in place of an earlier one of its kind."""
        rest = Rest(kind=kind, measured_at=datetime.now(UTC), first_main_bytes=first_main_bytes, by_role=by_role)
        rests = [*(one for one in self._rests() if one.kind != kind), rest]
        half = self._file.with_suffix(".part")
        half.write_bytes(_RESTS.dump_json(rests[-_MOST:]))
        half.replace(self._file)

    def _rests(self) -> list[Rest]:
        try:
            rests = _RESTS.validate_json(self._file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return []
        now = datetime.now(UTC)
        return [rest for rest in rests if rest.measured_at <= now < rest.measured_at + _VALID]
