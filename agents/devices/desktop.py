"""The host itself as a device, or a smaller one that is emulated on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.browsers.emulated_webgpu import with_lowered_limits, without_webgpu
from agents.browsers.protocol import BrowserDriver
from agents.devices.awake import KeepAwake
from agents.devices.host_health import HostHealth, host_unreadiness
from agents.devices.journal import Journal
from agents.devices.limits import LimitDriver, LimitedGroup, Limits
from agents.devices.protocol import Recorder
from agents.faults import AgentError
from agents.probes.cdp import CdpListener
from agents.probes.rapl import RaplRecorder, has_rapl
from orchestrator.contract.device import DeviceHealth, DeviceRegistration


@dataclass(frozen=True)
class DesktopDevice:
    """A device whose browsers run on this host."""

    registration: DeviceRegistration
    browsers: Mapping[str, BrowserDriver]
    """By the browser's id."""
    limits: Limits | None = None
    """Bounds of an emulated device; None where the browser may use the whole machine."""
    limit_driver: LimitDriver | None = None
    """How the limits are enforced."""
    host: HostHealth = field(default_factory=HostHealth, compare=False)
    awake: KeepAwake = field(default_factory=KeepAwake, compare=False)

    @property
    def equipment(self) -> list[CdpListener]:
        """What an emulated device does to WebGPU in its browser; whether there is an adapter is the page's to say."""
        emulation = self.registration.facts.emulation
        if emulation is None:
            return []
        if not emulation.webgpu:
            return [without_webgpu()]
        return [with_lowered_limits(emulation.webgpu_limits)] if emulation.webgpu_limits else []

    def browser(self, browser_id: str, /) -> BrowserDriver:
        found = self.browsers.get(browser_id)
        if found is None:
            raise AgentError(f"This host has no browser {browser_id}; it has {', '.join(self.browsers) or 'none'}.")
        return found

    def limited_group(self, name: str, /) -> LimitedGroup | None:
        if self.limits is None or self.limit_driver is None:
            return None
        return self.limit_driver.plan(name, self.limits)

    def health(self, *, brief: bool = False) -> DeviceHealth:  # noqa: ARG002 - all of it takes 0.1 ms here
        return self.host.ask()

    def unreadiness(self, health: DeviceHealth, /) -> str | None:
        return host_unreadiness(health, self.host.folder)

    def prepare(self, _journal: Journal, _page_port: int, /) -> None:
        """The browser is on this host: beyond its own profile and group the machine only has to stay awake."""
        self.awake.begin()

    def restore(self, _journal: Journal, /) -> list[str]:
        self.awake.end()
        return []

    def loss(self) -> str | None:
        return None

    def recorders(self) -> list[Recorder]:
        return [RaplRecorder()] if has_rapl() else []

    def screenshot(self, _file: Path, /) -> bool:
        return False
