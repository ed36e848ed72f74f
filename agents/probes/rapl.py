"""Energy by the processor's own counters (RAPL), where Linux shows them to this process.

Held by recorded trees of `/sys/class/powercap`: the machines that it was tried on have no such counters.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.contract.attempt import EnergyFigure

POWERCAP: Final = Path("/sys/class/powercap")
_READ_SECONDS: Final = 60.0
"""Counters begin anew after some 260 kJ: at 1 kW after four minutes."""
_MICRO: Final = 1_000_000


@dataclass
class _Counter:
    name: str
    file: Path
    range_microjoules: int
    last: int
    microjoules: int = 0

    def read(self) -> None:
        now = int(self.file.read_text())
        self.microjoules += now - self.last if now >= self.last else now - self.last + self.range_microjoules
        self.last = now


@dataclass
class RaplRecorder:
    """Sums the counters of processor packages and of their memory; a screen or a disk has none."""

    powercap: Path = POWERCAP
    read_seconds: float = _READ_SECONDS
    memory_kills: list[str] = field(default_factory=list)
    """Never any: an energy counter knows of none."""
    _counters: list[_Counter] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._counters = _counters(self.powercap)
        if self._counters:
            self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def write(self, _folder: Path) -> list[Path]:
        return []

    @property
    def energy(self) -> EnergyFigure | None:
        if not self._counters:
            return None
        names = ", ".join(counter.name for counter in self._counters)
        joules = sum(counter.microjoules for counter in self._counters) / _MICRO
        return EnergyFigure(method=f"RAPL: {names}"[:120], joules=joules)

    def _watch(self) -> None:
        going = True
        while going:
            going = not self._stopping.wait(self.read_seconds)
            try:
                for counter in self._counters:
                    counter.read()
            except (OSError, ValueError):
                # A part of the energy would be taken for all of it.
                self._counters = []
                return


def has_rapl(powercap: Path = POWERCAP) -> bool:
    """Whether this process may read the counters, which many systems allow their administrator alone."""
    return bool(_counters(powercap))


def _counters(powercap: Path) -> list[_Counter]:
    """Packages, and their memory, which no package's counter includes; cores and graphics are in the package's."""
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text().strip()
            if not name.startswith(("package", "dram")):
                continue
            file = zone / "energy_uj"
            most = int((zone / "max_energy_range_uj").read_text())
            found.append(_Counter(name, file, most, int(file.read_text())))
        except (OSError, ValueError):
            continue
    return found
