"""What an attempt needs to know of a device."""

from dataclasses import dataclass

from agents.browsers.emulated_webgpu import with_lowered_limits, without_webgpu
from agents.browsers.protocol import BrowserDriver
from agents.devices.limits import LimitDriver, LimitedGroup, Limits
from agents.probes.cdp import CdpListener
from orchestrator.contract.device import DeviceRegistration


@dataclass(frozen=True)
class Device:
    """A device that this agent owns: what is said about it and how its browser is opened."""

    registration: DeviceRegistration
    browser: BrowserDriver
    limits: Limits | None = None
    """Bounds of an emulated device; None where the browser may use the whole machine."""
    limit_driver: LimitDriver | None = None
    """How the limits are enforced."""

    @property
    def equipment(self) -> list[CdpListener]:
        """What an emulated device does to WebGPU in its browser; whether there is an adapter is the page's to say."""
        emulation = self.registration.facts.emulation
        if emulation is None:
            return []
        if not emulation.webgpu:
            return [without_webgpu()]
        return [with_lowered_limits(emulation.webgpu_limits)] if emulation.webgpu_limits else []

    def limited_group(self, name: str) -> LimitedGroup | None:
        """The group to open this device's browser in, yet to be made; None where there is nothing to limit."""
        if self.limits is None or self.limit_driver is None:
            return None
        return self.limit_driver.plan(name, self.limits)
