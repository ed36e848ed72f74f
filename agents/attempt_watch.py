"""Everything that watches one attempt from outside the page: the browser, the device and its health."""

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.attempt_page import AttemptPage
from agents.browsers.protocol import BrowserSession, GpuMeteredSession
from agents.devices.protocol import Device, HealthWatch, Recorder
from agents.faults import BrowserStartError, DeviceNotReadyError
from agents.probes.cdp import CdpError
from agents.probes.idle_memory import IdleMemory
from agents.probes.witness import Witness
from orchestrator.contract.attempt import EnergyFigure, MemoryFigure
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import Mark, ThermalStatus

IDLE_MEMORY: Final = "idle-memory.json"
"""In an attempt's scratch directory, and for those that come after it."""
_HEALTH_SECONDS: Final = 5.0
_THROTTLED: Final = (
    ThermalStatus.MODERATE,
    ThermalStatus.SEVERE,
    ThermalStatus.CRITICAL,
    ThermalStatus.EMERGENCY,
    ThermalStatus.SHUTDOWN,
)
"""From `moderate` on Android says that performance suffers."""


class AttemptWatch:
    """Watches from before the launch to the end; what it has seen is asked for afterwards."""

    def __init__(self, device: Device, scratch: Path) -> None:
        self._device = device
        self._idle_memory = IdleMemory(scratch / IDLE_MEMORY)
        self._recorders: list[Recorder] = []
        self._health_watch = HealthWatch(device, _HEALTH_SECONDS)
        self._witness: Witness | None = None
        self.health: list[DeviceHealth] = []

    def check_health(self) -> None:
        """Raises `DeviceNotReadyError` when nothing should be measured now, `DeviceUnreachableError` as the device."""
        health = self._device.health()
        self.health.append(health)
        unready = self._device.unreadiness(health)
        if unready is not None:
            raise DeviceNotReadyError(unready)

    def attach(
        self,
        session: BrowserSession,
        origin: str,
        *,
        flags: Sequence[str],
        stop: threading.Event,
        on_crash: Callable[[str], None],
        on_gone: Callable[[], None],
    ) -> None:
        """Watch a browser that has just started with the device's `flags`; raises `BrowserStartError`."""
        try:
            self._witness = Witness(
                session.devtools_url,
                page_origin=origin,
                equipment=self._device.equipment,
                on_crash=on_crash,
                on_gone=on_gone,
                meter=session.memory_meter,
                **({"gpu_meter": session.gpu_memory_meter} if isinstance(session, GpuMeteredSession) else {}),
            )
        except CdpError as error:
            raise BrowserStartError(f"The browser started, but then was gone: {error}") from error
        browser = session.browser
        kind = " ".join((self._device.registration.id, browser.id, browser.version, *flags))
        self._witness.start(self._idle_memory, kind, stop)

    def begin(self) -> None:
        """The page is about to be opened."""
        self._recorders = self._device.recorders()
        for recorder in self._recorders:
            recorder.start()
        self._health_watch.start()

    def pause_while_timed(self, timed: bool) -> None:
        """Something is timed from now on, or no longer: what would disturb it waits."""
        self._health_watch.pause_while_timed(timed)
        if self._witness is not None:
            self._witness.pause_while_timed(timed)

    def end(self) -> None:
        """The page has ended: stop all that looks at the device. The browser is still watched."""
        for recorder in self._recorders:
            recorder.stop()
        self.health += self._health_watch.stop()

    def look_again(self) -> None:
        """The device's health after the attempt."""
        self.health.append(self._device.health())

    def detach(self) -> None:
        # Asking politely may fail in any way; what remains is taken away in any case.
        with suppress(Exception):
            if self._witness is not None:
                self._witness.stop()

    @property
    def marks(self) -> list[Mark]:
        """What was hot before it began is not ready; what became hot was throttled."""
        throttled = any(health.thermal_status in _THROTTLED for health in self.health[1:])
        return [Mark.THROTTLED] if throttled else []

    @property
    def energy(self) -> EnergyFigure | None:
        return next((recorder.energy for recorder in self._recorders if recorder.energy), None)

    @property
    def memory_kills(self) -> list[str]:
        return [kill for recorder in self._recorders for kill in recorder.memory_kills]

    @property
    def memory(self) -> MemoryFigure | None:
        return self._witness.memory if self._witness else None

    @property
    def gpu_memory(self) -> MemoryFigure | None:
        return self._witness.gpu_memory if self._witness else None

    @property
    def devtools_bytes(self) -> int | None:
        return self._witness.devtools_bytes if self._witness else None

    @property
    def console_errors(self) -> list[str]:
        return self._witness.console_errors if self._witness else []

    def write_artifacts(self, folder: Path, page: AttemptPage | None, *, tab_lives: bool) -> list[Path]:
        """The page's events, every log, and a picture: of the page, else of the device's screen."""
        files: list[Path] = []
        if page is not None:
            events = [
                {"received_at": received.received_at.isoformat(), **received.event.model_dump(mode="json")}
                for received in page.events
            ]
            files.append(folder / "events.json")
            files[-1].write_text(json.dumps(events, indent=1))
        for recorder in self._recorders:
            files += recorder.write(folder)
        if self._witness is not None:
            files += self._witness.write_logs(folder)
            screenshot = folder / "screenshot.png"
            if (tab_lives and self._witness.write_screenshot(screenshot)) or self._device.screenshot(screenshot):
                files.append(screenshot)
        return files
