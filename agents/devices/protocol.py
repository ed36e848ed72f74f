"""What an attempt needs to know of a device."""

from dataclasses import dataclass

from agents.browsers.protocol import BrowserDriver
from agents.devices.limits import LimitDriver, LimitedGroup, Limits
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
    def has_webgpu(self) -> bool:
        """False for an emulated device from which WebGPU is taken; whether there is an adapter is the page's to say."""
        emulation = self.registration.facts.emulation
        return emulation is None or emulation.webgpu

    def limited_group(self, name: str) -> LimitedGroup | None:
        """The group to open this device's browser in, yet to be made; None where there is nothing to limit."""
        if self.limits is None or self.limit_driver is None:
            return None
        return self.limit_driver.plan(name, self.limits)
