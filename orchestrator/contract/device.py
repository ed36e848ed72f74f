"""Devices, and what agents say about them."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import Answer, Bytes, Label, Message, Slug, Text
from orchestrator.contract.fault import Fault
from orchestrator.contract.page import GpuAdapter, ProbeResult
from orchestrator.contract.vocabulary import DeviceKind


class Browser(Message):
    name: Label
    """`chrome` or `chromium`."""
    version: Label
    channel: Label = "stable"

    @property
    def label(self) -> str:
        return f"{self.name} {self.version.split('.')[0]}"


class Emulation(Message):
    """The limits that make a device emulated."""

    memory_bytes: Bytes | None = None
    cpu_quota: float | None = Field(default=None, gt=0, le=1024)
    """In CPUs: 0.5 is half of one."""
    webgpu: bool = True
    webgpu_limits: dict[Label, int] = Field(default_factory=dict, max_length=64)
    """WebGPU limits lowered to these, by their names in the WebGPU specification, such as `maxBufferSize`."""


class DeviceFacts(Message):
    """What is true of a device; selectors speak about these."""

    os: Label
    os_version: Label
    arch: Label
    cpu_model: Label
    cpu_count: int = Field(ge=1, le=4096)
    ram_bytes: Bytes
    browser: Browser
    chrome_flags: list[Label] = Field(default_factory=list, max_length=32)
    """The device's declared profile: flags beyond a plain start that may change results."""
    emulation: Emulation | None = None


class DeviceRegistration(Message):
    id: Slug
    name: Label
    kind: DeviceKind
    model: Label
    device_class: Label
    exclusive_group: Slug | None = None
    """Devices of one group share hardware: at most one of them runs at a time, or they would measure each other."""
    facts: DeviceFacts
    page_origin: Annotated[str, StringConstraints(pattern=r"^http://localhost:\d{1,5}$")] | None = None


class DeviceProbe(Message):
    """What the device's browser could do when it was probed last."""

    measured_at: AwareDatetime
    run_id: Slug
    browser: Browser
    device_memory_gib: float | None
    hardware_concurrency: int
    cross_origin_isolated: bool
    adapter: GpuAdapter | None
    """None where WebGPU gave no adapter."""
    result: ProbeResult


class EnrolRequest(Message):
    contract_version: int
    agent_id: Slug
    agent_version: Label
    hostname: Label
    devices: list[DeviceRegistration] = Field(max_length=1_000)


class EnrolAnswer(Answer):
    agent_token: str
    """Bearer token of this agent; a new enrolment replaces it."""
    broker_url: str
    heartbeat_seconds: float
    lease_seconds: float


class AttemptRef(Message):
    run_id: Slug
    number: int = Field(ge=1)


class DeviceStatus(Message):
    id: Slug
    available: bool
    reason: Text = ""
    """Why it is not available, in a sentence."""
    attempt: AttemptRef | None = None
    """What it is working on: keeps the lease alive."""


class Heartbeat(Message):
    devices: list[DeviceStatus] = Field(max_length=1_000)


class HeartbeatAnswer(Answer):
    fenced: list[AttemptRef]
    """Attempts whose lease is gone: stop them, nobody will count them."""


class AttemptStarted(Answer):
    run_id: str
    number: int


class WorkerLost(Message):
    """The supervisor's word about a worker that died in the middle of an attempt."""

    fault: Fault
