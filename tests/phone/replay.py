"""Answers of a real phone, recorded and given again.

The form is one file, `recording.json`; `README.md` beside this module describes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import loads
from pathlib import Path

FORMAT = 1
FILE_NAME = "recording.json"


class RecordingError(Exception):
    """The recording cannot be read."""


@dataclass(frozen=True)
class RecordedAnswer:
    """What a command wrote, and its exit status."""

    stdout: str
    exit: int


@dataclass(frozen=True)
class Recording:
    """A phone's properties, and its answers by command line."""

    recorded_at: str
    properties: dict[str, str] = field(default_factory=dict)
    commands: dict[tuple[str, ...], RecordedAnswer] = field(default_factory=dict)

    def answer(self, words: Sequence[str]) -> RecordedAnswer | None:
        """The recorded answer to exactly this command line."""
        return self.commands.get(tuple(words))


def read_recording(directory: Path) -> Recording:
    """Raises RecordingError."""
    path = directory / FILE_NAME
    try:
        said = loads(path.read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            raise RecordingError(f"{path} has format {said['format']}; this program reads format {FORMAT}.")
        commands = {
            tuple(str(word) for word in command["argv"]): RecordedAnswer(str(command["stdout"]), int(command["exit"]))
            for command in said["commands"]
        }
        properties = {str(name): str(value) for name, value in said["properties"].items()}
        return Recording(str(said["recorded_at"]), properties, commands)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f"{path} is not a recording: {error!r}. Record the phone again.") from error
