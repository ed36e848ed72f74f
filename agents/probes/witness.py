"""Everything that looks at one browser while an attempt runs in it."""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from agents.probes.cdp import CdpConnection, CdpError, CdpListener
from agents.probes.console import ConsoleProbe
from agents.probes.crash import CrashProbe
from agents.probes.idle_memory import IdleMemory
from agents.probes.memory import MemoryMeter
from agents.probes.memory_sampler import MemorySampler
from agents.probes.network import NetworkProbe
from orchestrator.contract.attempt import MemoryFigure

_SCREENSHOT_SECONDS = 5.0
_CATCH_UP_SECONDS = 3.0


class Witness:
    """Network, console, crashes and memory of one browser, from the moment it is attached."""

    def __init__(
        self,
        devtools_url: str,
        *,
        page_origin: str,
        equipment: Sequence[CdpListener],
        on_crash: Callable[[str], None],
        on_gone: Callable[[], None],
        meter: Callable[[int], MemoryMeter],
        gpu_meter: Callable[[int], MemoryMeter | None] = lambda _process: None,
    ) -> None:
        """Attach to a running browser, and equip it as the device wants it; raises `CdpError`.

        Callbacks come from another thread. `meter` makes the meter of the browser whose main process has this id,
        `gpu_meter` that of its memory on graphics cards, where there is one.
        """
        self._network = NetworkProbe(page_origin)
        self._console = ConsoleProbe()
        listeners: list[CdpListener] = [self._network, self._console, CrashProbe(on_crash), *equipment]
        self._connection = CdpConnection(devtools_url, listeners, on_closed=on_gone)
        try:
            self._connection.watch_everything()
            process = self._browser_process()
            self._memory = MemorySampler(meter(process))
            on_cards = gpu_meter(process)
            self._gpu_memory = MemorySampler(on_cards) if on_cards else None
        except CdpError:
            self._connection.close()
            raise

    def start(self, idle: IdleMemory, kind: str, stop: threading.Event) -> None:
        """Watch the memory from now on, once the baseline is known: that of a browser of this kind that rests."""
        self._memory.start(idle, kind, stop)
        if self._gpu_memory is not None:
            self._gpu_memory.start_at_once()

    def pause_while_timed(self, timed: bool) -> None:
        """Something is timed from now on, or no longer: what would disturb it waits."""
        for sampler in self._samplers:
            sampler.pause_while_timed(timed)

    def stop(self) -> None:
        for sampler in self._samplers:
            sampler.stop()
        self._connection.close()

    @property
    def _samplers(self) -> list[MemorySampler]:
        return [self._memory, *([self._gpu_memory] if self._gpu_memory is not None else [])]

    @property
    def devtools_bytes(self) -> int:
        return self._network.total_bytes

    @property
    def memory(self) -> MemoryFigure | None:
        return self._memory.figure

    @property
    def gpu_memory(self) -> MemoryFigure | None:
        return self._gpu_memory.figure if self._gpu_memory is not None else None

    @property
    def console_errors(self) -> list[str]:
        return self._console.errors

    def write_screenshot(self, file: Path) -> bool:
        """A picture of the page; False when the page could not give one, as a dead tab cannot."""
        with suppress(CdpError):
            answer = self._connection.call(
                "Page.captureScreenshot",
                {"optimizeForSpeed": True},
                session=self._connection.page_session,
                timeout_s=_SCREENSHOT_SECONDS,
            )
            file.write_bytes(base64.b64decode(answer["data"]))
            return True
        return False

    def write_logs(self, folder: Path) -> list[Path]:
        """`console.json`, `memory.json`, `network.json`, and `gpu-memory.json` where a card tells."""
        # The page's report may overtake what DevTools has to say of it.
        self._connection.catch_up(_CATCH_UP_SECONDS)
        logs = {
            "console.json": self._console.as_json(),
            "memory.json": self._memory.as_json(),
            "network.json": self._network.as_json(),
            **({"gpu-memory.json": self._gpu_memory.as_json()} if self._gpu_memory is not None else {}),
        }
        for name, content in logs.items():
            (folder / name).write_text(json.dumps(content, indent=1))
        return [folder / name for name in logs]

    def _browser_process(self) -> int:
        for process in self._connection.call("SystemInfo.getProcessInfo")["processInfo"]:
            if process["type"] == "browser":
                return int(process["id"])
        raise CdpError("DevTools does not name the browser's process")
