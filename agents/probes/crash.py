"""Crashes of the page's tab."""

from collections.abc import Callable

from agents.probes.cdp import Parameters


class CrashProbe:
    """Calls `on_crash` with the status and code by which a page's renderer ended.

    A kill for memory is `killed (code 9)`, like any SIGKILL: only the cgroup's counter tells them apart.
    """

    commands: tuple[tuple[str, Parameters], ...] = ()

    def __init__(self, on_crash: Callable[[str], None]) -> None:
        self._on_crash = on_crash
        self._pages: set[str] = set()

    def hear(self, method: str, parameters: Parameters, _session: str | None, /) -> None:
        if method == "Target.attachedToTarget" and parameters["targetInfo"]["type"] == "page":
            self._pages.add(parameters["targetInfo"]["targetId"])
        elif method == "Target.targetCrashed" and parameters["targetId"] in self._pages:
            self._on_crash(f"{parameters['status']} (code {parameters['errorCode']})")
