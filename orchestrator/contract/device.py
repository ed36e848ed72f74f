"""Devices, and what agents say about them."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import Answer, AttemptNumber, Bytes, Label, Message, Milliseconds, Nonce, Slug, Text
from orchestrator.contract.fault import Fault
from orchestrator.contract.page import GpuAdapter, ProbeResult
from orchestrator.contract.vocabulary import Condition, DeviceKind, ThermalStatus

MetricsAddress = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9.-]{1,150}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}$")]
"""A host name or address, and a port: `lab-a:9300`."""
BrowserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,20}$")]


class Browser(Message):
    """One browser target of a device; a device has at most one of a name and channel."""

    name: BrowserName
    """`chrome`, `chromium`, `edge` or `webview`."""
    version: Label
    channel: BrowserName = "stable"

    @property
    def id(self) -> str:
        """`chrome`, or `chrome-beta`: what tells the browsers of one device apart, whatever their versions."""
        return self.name if self.channel == "stable" else f"{self.name}-{self.channel}"

    @property
    def label(self) -> str:
        """`chrome 156`, or `chrome beta 157`."""
        name = self.name if self.channel == "stable" else f"{self.name} {self.channel}"
        return f"{name} {self.version.split('.')[0]}"


class Emulation(Message):
    """The limits that make a device emulated."""

    memory_bytes: Bytes | None = None
    cpu_quota: float | None = Field(default=None, gt=0, le=1024)
    """In CPUs: 0.5 is half of one."""
    webgpu: bool = True
    webgpu_limits: dict[Label, int] = Field(default_factory=dict, max_length=64)
    """WebGPU limits lowered to these, by their names in the WebGPU specification, such as `maxBufferSize`."""


class Gpu(Message):
    """A graphics processor as its driver describes it; what WebGPU makes of it is the probe's to say."""

    name: Label
    driver: Label | None = None
    memory_bytes: Bytes | None = None


class DeviceFacts(Message):
    """What is true of a device; selectors speak about these."""

    os: Label
    """`linux`, `macos`, `windows` or `android`."""
    os_version: Label
    """`Debian GNU/Linux 12`, `15.1`, `14`."""
    os_api_level: int | None = Field(default=None, ge=1, le=1000)
    """Android's API level."""
    arch: Label
    cpu_model: Label
    cpu_count: int = Field(ge=1, le=4096)
    ram_bytes: Bytes
    gpus: list[Gpu] = Field(default_factory=list, max_length=16)
    browsers: list[Browser] = Field(max_length=16)
    """Empty where the device has no browser that a page could be measured in: nothing runs on it then."""
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
    """What one browser of the device could do when it was probed last."""

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
    metrics_address: MetricsAddress | None = None
    """Where Prometheus finds the agent's own metrics; None where it serves none."""


class RefusedDevice(Answer):
    """A device that the coordinator did not take, while it took the others."""

    id: str
    reason: str
    """A sentence on why, and what to do."""


class EnrolAnswer(Answer):
    agent_token: str
    """Bearer token of this agent, to be kept: it enrols with it again, and then it stays the same."""
    broker_url: str
    heartbeat_seconds: float
    lease_seconds: float
    refused: list[RefusedDevice] = Field(default_factory=list)


class AttemptRef(Message):
    run_id: Slug
    number: AttemptNumber


class DeviceHealth(Message):
    """How a device was at one moment; null where it cannot tell or there is no such thing."""

    checked_at: AwareDatetime
    battery_level: float | None = Field(default=None, ge=0, le=1)
    battery_temperature_celsius: float | None = Field(default=None, ge=-100, le=200, allow_inf_nan=False)
    charging: bool | None = None
    thermal_status: ThermalStatus | None = None
    free_storage_bytes: Bytes | None = None
    network: bool | None = None
    """It has a network of its own."""
    screen_on: bool | None = None
    latency_ms: Milliseconds | None = None
    """From asking the device for the shortest thing to its answer."""
    clock_offset_seconds: float | None = Field(default=None, ge=-1e10, le=1e10, allow_inf_nan=False)
    """Its clock minus its host's."""


class DeviceStatus(Message):
    id: Slug
    condition: Condition = Condition.READY
    reason: Text = ""
    """Why it is not ready, in a sentence that says what to do."""
    health: DeviceHealth | None = None
    attempt: AttemptRef | None = None
    """What it is working on: keeps the lease alive."""


class Heartbeat(Message):
    devices: list[DeviceStatus] = Field(max_length=1_000)


class HeartbeatAnswer(Answer):
    fenced: list[AttemptRef]
    """Attempts whose lease is gone: stop them, nobody will count them."""


class AttemptStart(Message):
    """What a worker may say when it asks for leave to start an attempt."""

    nonce: Nonce | None = None
    """Of this delivery of the message: an answer that got lost can be asked for again, by nobody else."""


class AttemptStarted(Answer):
    run_id: str
    number: int


class WorkerLost(Message):
    """The supervisor's word about a worker that died in the middle of an attempt."""

    fault: Fault
