"""Device selectors: CEL expressions over device facts (https://cel.dev)."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, Final

from orchestrator.contract.device import Browser, DeviceFacts, DeviceProbe, DeviceRegistration, Gpu
from orchestrator.contract.page import GpuAdapter, WasmFeatures
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Backend, DeviceKind
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.expression import MOST_SECONDS, Expression, ExpressionError, Facts

GIB = 1 << 30


WEBGPU_LIMITS: Final = (
    "maxBindGroups",
    "maxBindingsPerBindGroup",
    "maxBufferSize",
    "maxComputeInvocationsPerWorkgroup",
    "maxComputeWorkgroupSizeX",
    "maxComputeWorkgroupSizeY",
    "maxComputeWorkgroupSizeZ",
    "maxComputeWorkgroupStorageSize",
    "maxComputeWorkgroupsPerDimension",
    "maxDynamicStorageBuffersPerPipelineLayout",
    "maxDynamicUniformBuffersPerPipelineLayout",
    "maxSampledTexturesPerShaderStage",
    "maxSamplersPerShaderStage",
    "maxStorageBufferBindingSize",
    "maxStorageBuffersPerShaderStage",
    "maxStorageTexturesPerShaderStage",
    "maxTextureArrayLayers",
    "maxTextureDimension1D",
    "maxTextureDimension2D",
    "maxTextureDimension3D",
    "maxUniformBufferBindingSize",
    "maxUniformBuffersPerShaderStage",
    "minStorageBufferOffsetAlignment",
    "minUniformBufferOffsetAlignment",
)
"""What a selector may ask of every device, probed or not: the limits that compute shaders meet."""


def selectable_facts(
    device: DeviceRegistration, browser: Browser, probe: DeviceProbe | None = None, classes: Sequence[str] = ()
) -> dict[str, Any]:
    """What a selector may speak of, for one browser of a device and the probe of that browser.

    `ram_gib` is the emulated limit on an emulated device; `classes` are the lab's device classes that it belongs to
    with this browser.

    What only a probe can tell is there for every device: until one was made, and where the browser did not say, it
    is false, zero or empty, so that a selector never stumbles over a device that has not been probed.
    """
    facts = device.facts
    emulation = facts.emulation
    ram_bytes = facts.ram_bytes
    cpus: float = facts.cpu_count
    if emulation is not None:
        ram_bytes = emulation.memory_bytes or ram_bytes
        cpus = emulation.cpu_quota or cpus
    return {
        "id": device.id,
        "name": device.name,
        "model": device.model,
        "device_class": device.device_class,
        "classes": list(classes),
        "emulated": device.kind is DeviceKind.EMULATED,
        "os": facts.os,
        "os_version": facts.os_version,
        "os_api_level": facts.os_api_level or 0,
        "arch": facts.arch,
        "cpu_model": facts.cpu_model,
        "cpus": float(cpus),
        "ram_gib": ram_bytes / GIB,
        "gpus": [
            {"name": gpu.name, "driver": gpu.driver or "", "memory_gib": (gpu.memory_bytes or 0) / GIB}
            for gpu in facts.gpus
        ],
        "browser": {
            "id": browser.id,
            "name": browser.name,
            "version": browser.version,
            "major": major_version(browser),
            "channel": browser.channel,
        },
        "chrome_flags": list(facts.chrome_flags),
        **_probed_facts(probe),
    }


def major_version(browser: Browser) -> int:
    """The first number of its version; 0 where it does not begin with one."""
    first = browser.version.split(".")[0]
    return int(first) if first.isascii() and first.isdigit() else 0


def _probed_facts(probe: DeviceProbe | None) -> dict[str, Any]:
    adapter = probe.adapter if probe else None
    result = probe.result if probe else None
    gpu = adapter or GpuAdapter()
    limits = dict.fromkeys(WEBGPU_LIMITS, 0) | {name: int(value) for name, value in gpu.limits.items()}
    speeds = {product.backend: product.gflops for product in result.matrix_products} if result else {}
    return {
        "probed": probe is not None,
        "webgpu": adapter is not None,
        "gpu": {
            "vendor": gpu.vendor or "",
            "architecture": gpu.architecture or "",
            "device": gpu.device or "",
            "description": gpu.description or "",
            "software": gpu.fallback,
            "features": list(gpu.features),
            "limits": limits,
            "allocated_bytes": (result.gpu_allocated_bytes if result else None) or 0,
        },
        "wasm": {name: result is not None and getattr(result.wasm, name) for name in WasmFeatures.model_fields},
        "gflops": {backend.value: speeds.get(backend, 0.0) for backend in Backend},
        "device_memory_gib": (probe.device_memory_gib if probe else None) or 0.0,
        "hardware_concurrency": probe.hardware_concurrency if probe else 0,
        "cross_origin_isolated": probe is not None and probe.cross_origin_isolated,
        "storage_quota_bytes": (result.storage_quota_bytes if result else None) or 0,
        "download_bytes_per_second": (result.download_bytes_per_second if result else None) or 0.0,
    }


_SAMPLE_DEVICE: Final = DeviceRegistration(
    id="sample",
    name="sample",
    kind=DeviceKind.PHYSICAL,
    model="sample",
    device_class="sample",
    facts=DeviceFacts(
        os="linux",
        os_version="12",
        arch="x86_64",
        cpu_model="sample",
        cpu_count=8,
        ram_bytes=16 * GIB,
        gpus=[Gpu(name="sample")],
        browsers=[Browser(name="chrome", version="120.0")],
    ),
)
SAMPLE: Final = selectable_facts(_SAMPLE_DEVICE, _SAMPLE_DEVICE.facts.browsers[0])
"""Every fact that there is: what an expression may speak of, and of which type."""


class Selector:
    """A parsed selector. Raises InvalidRequestError saying what is wrong, with the column."""

    def __init__(
        self,
        expression: str,
        *,
        sample: Mapping[str, Any] = SAMPLE,
        most_seconds: float | None = MOST_SECONDS,
        classes: Collection[str] | None = None,
    ) -> None:
        """`classes` are the lab's: no other can be asked for. None where they are not known."""
        self.expression = expression
        try:
            self._parsed = Expression(expression, sample, most_seconds)
            if classes is not None:
                self._parsed.check_members("classes", partial(_class_complaint, classes))
        except ExpressionError as error:
            raise self._invalid(str(error)) from error

    def matches(self, facts: Facts) -> bool:
        """Whether the expression holds for a device's facts; it must be true or false."""
        try:
            result = self._parsed.value(facts)
        except ExpressionError as error:
            raise self._invalid(str(error)) from error
        if not isinstance(result, bool):
            raise self._invalid(f"it gives {result!r}, not true or false")
        return result

    def _invalid(self, why: str) -> InvalidRequestError:
        return InvalidRequestError(
            "The device selector does not work.",
            [ProblemField(field="devices", value=self.expression[:200], allowed=f"a CEL expression: {why[:1500]}")],
        )


def _class_complaint(classes: Collection[str], wanted: str) -> str | None:
    """What is said of a class that the lab does not have."""
    if wanted in classes:
        return None
    if not classes:
        return f"there is no device class {wanted}: the coordinator has no lab file that declares classes"
    like = get_close_matches(wanted, classes, n=1)
    meant = f"; did you mean {like[0]}?" if like else ""
    return f"there is no device class {wanted}; the lab file has {', '.join(sorted(classes))}{meant}"
