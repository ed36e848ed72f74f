"""The devices of this host: the machine itself, and those that a small file declares.

devices:
  - name: this machine
    chrome_flags: ["--enable-unsafe-webgpu"]
  - name: low-end, 512 MiB
    emulated: {memory_mib: 512, cpu_quota: 0.5, webgpu: false}
  - name: small buffers
    emulated: {webgpu_limits: {maxBufferSize: 67108864}}
phones:
  chrome_flags: ["--enable-unsafe-webgpu"]
  gates: {battery_level: 0.5, battery_celsius: 35}
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from agents.browsers.chrome import ChromeDriver, runs_as_root
from agents.browsers.discovery import ChromeInstallation, find_browsers
from agents.browsers.emulated_webgpu import BELOW_DEFAULT, DEFAULT_LIMITS
from agents.devices.android_health import Gates
from agents.devices.desktop import DesktopDevice
from agents.devices.emulated import find_limit_driver
from agents.devices.host import host_class, host_facts, host_model
from agents.devices.host_health import HostHealth
from agents.devices.limits import LimitDriver, Limits
from agents.faults import AgentError
from orchestrator.contract.base import Label
from orchestrator.contract.device import DeviceRegistration, Emulation
from orchestrator.contract.vocabulary import DeviceKind

THIS_MACHINE = "this machine"
_MIB = 2**20
_LONGEST_SLUG = 100
_OWN_FLAGS = ("--user-data-dir", "--remote-debugging", "--headless", "--no-sandbox", "--disable-dev-shm-usage")


def _is_not_the_agents(flag: str) -> str:
    if flag.startswith(_OWN_FLAGS):
        raise ValueError(f"the agent sets {flag.split('=')[0]} itself")
    return flag


Flag = Annotated[
    str, StringConstraints(pattern=r"^--[a-z0-9][^\s]*$", max_length=120), AfterValidator(_is_not_the_agents)
]


class DevicesFileError(AgentError):
    """The devices file cannot be used; the text names the file and the field."""


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EmulatedDeclaration(_Declaration):
    """Limits of an emulated device; at least one of them."""

    memory_mib: int | None = Field(default=None, ge=64, le=1024 * 1024)
    cpu_quota: float | None = Field(default=None, ge=0.05, le=1024)
    webgpu: bool = True
    webgpu_limits: dict[str, int] = Field(default_factory=dict)
    """Lower limits of WebGPU adapters, by their names in the specification."""

    @field_validator("webgpu_limits")
    @classmethod
    def _can_be_emulated(cls, limits: dict[str, int]) -> dict[str, int]:
        for name, value in limits.items():
            if name not in DEFAULT_LIMITS:
                raise ValueError(f"{name} is no limit that can be lowered; those are {', '.join(DEFAULT_LIMITS)}")
            if value < 1:
                raise ValueError(f"{name} is {value}; allowed is a positive whole number")
            if value < DEFAULT_LIMITS[name] and name not in BELOW_DEFAULT:
                raise ValueError(f"{name} is {value}; every WebGPU adapter has at least {DEFAULT_LIMITS[name]}")
        return limits

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.webgpu_limits and not self.webgpu:
            raise ValueError("webgpu_limits: there are none with webgpu: false")
        if self.memory_mib is None and self.cpu_quota is None and self.webgpu and not self.webgpu_limits:
            raise ValueError("set memory_mib, cpu_quota, webgpu_limits or webgpu: false")
        return self


class DeviceDeclaration(_Declaration):
    name: Label
    device_class: Label | None = None
    chrome_flags: list[Flag] = Field(default_factory=list, max_length=30)
    emulated: EmulatedDeclaration | None = None

    @model_validator(mode="after")
    def _has_a_usable_name(self) -> Self:
        if not _slug(self.name):
            raise ValueError("name: it has no letter or digit to make an identifier of")
        return self


class PhonesDeclaration(_Declaration):
    """What holds for every phone that is plugged into this host."""

    chrome_flags: list[Flag] = Field(default_factory=list, max_length=30)
    gates: Gates = Gates()


class DevicesFile(_Declaration):
    devices: list[DeviceDeclaration] = Field(
        default_factory=lambda: [DeviceDeclaration(name=THIS_MACHINE)], min_length=1, max_length=100
    )
    phones: PhonesDeclaration = PhonesDeclaration()

    @model_validator(mode="after")
    def _has_distinct_names(self) -> Self:
        slugs = [_slug(device.name) for device in self.devices]
        twice = {slug for slug in slugs if slugs.count(slug) > 1}
        if twice:
            raise ValueError(f"devices: two of them would be called {sorted(twice)[0]}")
        return self


def read_devices_file(file: Path) -> DevicesFile:
    """The declarations in a YAML file; raises `DevicesFileError`."""
    try:
        content: Any = yaml.safe_load(file.read_text())
    except OSError as error:
        raise DevicesFileError(f"{file}: cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise DevicesFileError(f"{file}: not YAML: {problem}") from error
    try:
        return DevicesFile.model_validate(content)
    except ValidationError as error:
        problems = [f"{_dotted(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
        raise DevicesFileError(f"{file}: {'; '.join(problems)}") from error


def discover_devices(
    declaration: Path | None,
    *,
    agent_id: str,
    chrome: Path | None = None,
    data: Path | None = None,
    notice: Callable[[str], None],
    headless: bool = True,
) -> list[DesktopDevice]:
    """The devices this host can really offer.

    `data` is where the agent keeps its files: the storage that a device must have. Without a declaration it is this
    machine alone, with its browsers as its users run them. Emulated devices that the host cannot hold within their
    limits are left out, and `notice` is told so once; so is each browser that cannot be used. Raises
    `DevicesFileError`, or `BrowserUnusableError` where there is no usable browser.
    """
    declared = (DevicesFile() if declaration is None else read_devices_file(declaration)).devices
    installations = find_browsers(chrome, notice=notice)
    if runs_as_root():
        notice("The agent runs as root, so Chrome runs without its sandbox (--no-sandbox).")
    limit_driver = find_limit_driver() if any(_limits(device) for device in declared) else None
    left_out = [device.name for device in declared if _limits(device) and limit_driver is None]
    if left_out:
        notice(
            f"Left out: {'; '.join(left_out)}. Emulated devices need cgroups that this process may write to, "
            "or systemd-run --user with the memory and cpu controllers; this host has neither."
        )
    host = HostHealth(data) if data is not None else HostHealth()
    return [
        _device(device, agent_id, installations, limit_driver, headless, host)
        for device in declared
        if device.name not in left_out
    ]


def _device(
    declared: DeviceDeclaration,
    agent_id: str,
    installations: list[ChromeInstallation],
    limit_driver: LimitDriver | None,
    headless: bool,
    host: HostHealth,
) -> DesktopDevice:
    facts = host_facts([one.browser for one in installations], list(declared.chrome_flags))
    model, device_class, kind = host_model(), host_class(facts), DeviceKind.PHYSICAL
    limits = _limits(declared)
    if declared.emulated is not None:
        kind = DeviceKind.EMULATED
        device_class = f"emulated {_in_words(declared.emulated)}"[:120]
        model = f"emulated {_in_words(declared.emulated)} on {model}"[:120]
        emulation = Emulation(
            memory_bytes=limits.memory_bytes if limits else None,
            cpu_quota=declared.emulated.cpu_quota,
            webgpu=declared.emulated.webgpu,
            webgpu_limits=declared.emulated.webgpu_limits,
        )
        memory = min(facts.ram_bytes, emulation.memory_bytes or facts.ram_bytes)
        facts = facts.model_copy(update={"emulation": emulation, "ram_bytes": memory})
    registration = DeviceRegistration(
        id=_slug(f"{agent_id}.{declared.name}"),
        name=declared.name,
        kind=kind,
        model=model,
        device_class=declared.device_class or device_class,
        # All devices of a host share its processors: two at once would measure each other.
        exclusive_group=_slug(agent_id),
        facts=facts,
    )
    flags = tuple(declared.chrome_flags)
    browsers = {one.browser.id: ChromeDriver(one, flags, headless) for one in installations}
    return DesktopDevice(registration, browsers, limits, limit_driver if limits else None, host)


def _limits(declared: DeviceDeclaration) -> Limits | None:
    """What the kernel has to enforce; None for a device that is the whole machine or merely lacks WebGPU."""
    emulated = declared.emulated
    if emulated is None or (emulated.memory_mib is None and emulated.cpu_quota is None):
        return None
    memory_bytes = emulated.memory_mib * _MIB if emulated.memory_mib is not None else None
    return Limits(memory_bytes, emulated.cpu_quota)


def _in_words(emulated: EmulatedDeclaration) -> str:
    parts = []
    if emulated.memory_mib is not None:
        parts.append(f"{emulated.memory_mib} MiB")
    if emulated.cpu_quota is not None:
        parts.append(f"{emulated.cpu_quota:g} CPU")
    if not emulated.webgpu:
        parts.append("no WebGPU")
    parts += [f"{name} {_in_units(name, value)}" for name, value in sorted(emulated.webgpu_limits.items())]
    return ", ".join(parts)


def _in_units(name: str, value: int) -> str:
    return f"{value / _MIB:g} MiB" if name.endswith("Size") and value % _MIB == 0 else str(value)


def _slug(text: str) -> str:
    """Lower-case letters, digits, dots and dashes, as the wire wants identifiers."""
    return re.sub(r"[^a-z0-9._]+", "-", text.lower())[:_LONGEST_SLUG].strip("-._")


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"
