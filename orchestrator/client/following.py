"""Following the stream of events over however many connections: everything but the connections."""

import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import httpx
from pydantic import ValidationError

from orchestrator.client.errors import ClientError, ProblemError, Unreachable
from orchestrator.contract.events import Event, EventsReset
from orchestrator.contract.vocabulary import Topic

SILENCE_SECONDS: Final = 30.0
"""Longer than the coordinator is ever silent on a stream that lives."""
_LONGEST_PAUSE_SECONDS: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.2
_MOST_BUFFERED: Final = 1 << 20
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_PASSING: Final = (429, 502, 503, 504)
"""Answers that another moment may change."""


@dataclass(frozen=True)
class Frame:
    """One block of an event stream; without data it only says how far the stream is."""

    event: str
    data: str
    id: str


class FrameParser:
    """Server-sent events as HTML's standard reads them."""

    def __init__(self) -> None:
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Frame]:
        """The blocks that are complete with this chunk."""
        whole, end, rest = (self._rest + chunk).rpartition(b"\n")
        self._rest = rest
        if len(rest) > _MOST_BUFFERED:
            raise ClientError("the coordinator's event stream has a line without end: is it a fitmatrix coordinator?")
        frames = []
        for line in _LINE_END.split((whole + end).decode("utf-8", errors="replace"))[:-1]:
            if line:
                self._take(line)
                continue
            if self._data or self._id:
                frames.append(Frame(self._event, "\n".join(self._data), self._id))
            self._event, self._data = "", []
        return frames

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value


class Following:
    """Where a reader is in the stream, and how long it bears silence."""

    def __init__(
        self,
        url: str,
        *,
        topics: Collection[Topic | str] = (),
        job: str | None = None,
        device: str | None = None,
        after: int | None = None,
        patience_seconds: float | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """`patience_seconds`: how long a coordinator that does not answer is tried again; None: for ever."""
        self._url = url
        self._filters = {"topic": [str(topic) for topic in topics] or None, "job": job, "device": device}
        self._last = None if after is None else str(after)
        self._patience_seconds = patience_seconds
        self._silence_seconds = silence_seconds
        self._silent_since: float | None = None
        self._failures = 0
        self._parser = FrameParser()

    @property
    def how(self) -> dict[str, Any]:
        """What httpx takes for the next connection."""
        self._parser = FrameParser()
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last is not None:
            headers["Last-Event-ID"] = self._last
        return {
            "params": {name: value for name, value in self._filters.items() if value is not None},
            "headers": headers,
            "timeout": httpx.Timeout(self._silence_seconds, connect=5.0),
        }

    def heard(self, chunk: bytes) -> list[Event | EventsReset]:
        """What a chunk of the stream says; nothing where it is a sign of life."""
        self._silent_since, self._failures = None, 0
        told: list[Event | EventsReset] = []
        for frame in self._parser.feed(chunk):
            if frame.data:
                told.append(_told(frame))
            if frame.id:
                self._last = frame.id
        return told

    def pause_after(self, failure: ClientError | None) -> float:
        """Seconds until the next connection. Raises the failure where another one would not help, or no more."""
        if isinstance(failure, ProblemError) and failure.problem.status not in _PASSING:
            raise failure
        if failure is not None and not isinstance(failure, ProblemError | Unreachable):
            raise failure
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if self._patience_seconds is not None and now - self._silent_since >= self._patience_seconds:
            raise failure or Unreachable(self._url, "it ends every event stream at once")
        self._failures += 1
        return float(min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)))


def _told(frame: Frame) -> Event | EventsReset:
    model = EventsReset if frame.event == "reset" else Event
    try:
        return model.model_validate_json(frame.data)
    except ValidationError as error:
        raise ClientError(
            f"the coordinator sent an event that this version does not understand ({error.error_count()} fields of "
            f"{model.__name__}): is it of the same version?"
        ) from error


class Patience:
    """How long a coordinator's silence is borne."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._silent_since: float | None = None

    def heard(self) -> None:
        self._silent_since = None

    def bear(self, error: Unreachable) -> None:
        """Raises the error when it is too much."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since >= self._seconds:
            raise error
