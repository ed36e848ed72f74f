"""Memory that a browser's processes hold on NVIDIA cards, by their driver's count.

Held by a double with recorded values: not seen on a card.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import psutil
import pynvml

from agents.probes.idle_memory import BytesByRole
from agents.probes.memory import SAMPLE_SECONDS, role_of


class NvmlProcesses(Protocol):
    """The functions of the module `pynvml` that tell of processes."""

    def nvmlInit(self) -> None: ...  # noqa: N802 - NVML's own names
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: Any, /) -> Any: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any, /) -> Any: ...  # noqa: N802 - NVML's own name


@dataclass
class NvmlMeter:
    """Reads what each process of a browser holds on all cards; one that is on two lists of a card counts once."""

    root: int
    """The browser's main process."""
    nvml: NvmlProcesses
    cards: list[Any]
    method: str = f"NVML, memory of the browser's processes, sampled every {SAMPLE_SECONDS * 1000:.0f} ms"
    sample_seconds: float = SAMPLE_SECONDS
    disturbs: bool = False

    def read(self) -> BytesByRole:
        """Never empty while the browser lives: its GPU process may hold nothing yet."""
        try:
            main = psutil.Process(self.root)
            processes = [main, *main.children(recursive=True)]
        except psutil.Error:
            return {}
        roles: dict[int, str] = {}
        for one in processes:
            with suppress(psutil.Error):  # it may have ended since
                roles[one.pid] = role_of("\0".join(one.cmdline()))
        totals: defaultdict[str, int] = defaultdict(int, {"gpu-process": 0})
        for card in self.cards:
            held: dict[int, int] = {}
            for process in self._processes(card):
                # Windows' driver model keeps the figure to itself.
                if process.pid in roles and process.usedGpuMemory is not None:
                    held[process.pid] = max(held.get(process.pid, 0), int(process.usedGpuMemory))
            for pid, size in held.items():
                totals[roles[pid]] += size
        return dict(totals)

    def _processes(self, card: Any) -> list[Any]:
        found: list[Any] = []
        for ask in (self.nvml.nvmlDeviceGetGraphicsRunningProcesses, self.nvml.nvmlDeviceGetComputeRunningProcesses):
            with suppress(pynvml.NVMLError):
                found += ask(card)
        return found


def gpu_meter(root: int, nvml: NvmlProcesses = pynvml) -> NvmlMeter | None:
    """A meter for a browser and its descendants; None where there is no NVML or no card."""
    try:
        nvml.nvmlInit()
        cards = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None
    return NvmlMeter(root, nvml, cards) if cards else None
