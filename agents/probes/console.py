"""The console of the page and of all its workers."""

from datetime import UTC, datetime
from typing import Any

from agents.probes.cdp import Parameters

_MOST_ENTRIES = 2_000
_LONGEST_TEXT = 4_000
_ERRORS = ("error", "assert", "exception")


class ConsoleProbe:
    """Keeps console calls, the browser's own log entries and uncaught exceptions, in order of arrival."""

    commands: tuple[tuple[str, Parameters], ...] = (("Runtime.enable", {}), ("Log.enable", {}))

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._left_out = 0
        self._targets: dict[str, str] = {}

    def hear(self, method: str, parameters: Parameters, session: str | None, /) -> None:
        if method == "Target.attachedToTarget":
            self._targets[parameters["sessionId"]] = parameters["targetInfo"]["type"]
        elif method == "Runtime.consoleAPICalled":
            self._add(session, parameters["type"], " ".join(_as_text(item) for item in parameters["args"]))
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            # What a worker logs comes from its own session; here its parent repeats it.
            if entry["source"] != "worker":
                self._add(session, entry["level"], f"{entry['text']} {entry.get('url', '')}".strip())
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self._add(session, "exception", _as_text(details.get("exception") or {"value": details["text"]}))

    @property
    def errors(self) -> list[str]:
        """The texts of errors and uncaught exceptions, each once."""
        return list(dict.fromkeys(entry["text"] for entry in self._entries if entry["level"] in _ERRORS))

    def as_json(self) -> dict[str, Any]:
        return {"entries": list(self._entries), "left_out": self._left_out}

    def _add(self, session: str | None, level: str, text: str) -> None:
        if len(self._entries) >= _MOST_ENTRIES:
            self._left_out += 1
            return
        self._entries.append(
            {
                "at": datetime.now(UTC).isoformat(),
                "target": self._targets.get(session or "", "browser"),
                "level": level,
                "text": text[:_LONGEST_TEXT],
            }
        )


def _as_text(remote_object: Parameters) -> str:
    """A DevTools remote object as the console would print it."""
    for key in ("value", "unserializableValue", "description", "type"):
        if remote_object.get(key) is not None:
            return str(remote_object[key])
    return ""
