"""Takes WebGPU from a browser, or makes it smaller, for emulated devices.

No switch does either: since Chrome has shipped WebGPU its runtime switch is gone, and `--enable-unsafe-webgpu`
overrides the others. So the browser's DevTools changes `navigator.gpu` in each page and each worker before its first
line runs.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from agents.probes.cdp import Parameters

DEFAULT_LIMITS: Final[Mapping[str, int]] = {
    "maxTextureDimension1D": 8192,
    "maxTextureDimension2D": 8192,
    "maxTextureDimension3D": 2048,
    "maxTextureArrayLayers": 256,
    "maxBindGroups": 4,
    "maxBindGroupsPlusVertexBuffers": 24,
    "maxBindingsPerBindGroup": 1000,
    "maxDynamicUniformBuffersPerPipelineLayout": 8,
    "maxDynamicStorageBuffersPerPipelineLayout": 4,
    "maxSampledTexturesPerShaderStage": 16,
    "maxSamplersPerShaderStage": 16,
    "maxStorageBuffersPerShaderStage": 8,
    "maxStorageTexturesPerShaderStage": 4,
    "maxUniformBuffersPerShaderStage": 12,
    "maxUniformBufferBindingSize": 65_536,
    "maxStorageBufferBindingSize": 134_217_728,
    "maxVertexBuffers": 8,
    "maxBufferSize": 268_435_456,
    "maxVertexAttributes": 16,
    "maxVertexBufferArrayStride": 2048,
    "maxInterStageShaderVariables": 16,
    "maxColorAttachments": 8,
    "maxColorAttachmentBytesPerSample": 32,
    "maxComputeWorkgroupStorageSize": 16_384,
    "maxComputeInvocationsPerWorkgroup": 256,
    "maxComputeWorkgroupSizeX": 256,
    "maxComputeWorkgroupSizeY": 256,
    "maxComputeWorkgroupSizeZ": 64,
    "maxComputeWorkgroupsPerDimension": 65_535,
}
"""The limits of WebGPU's specification of which more is better, with what every adapter has at the least."""

BELOW_DEFAULT: Final = ("maxBufferSize", "maxStorageBufferBindingSize", "maxUniformBufferBindingSize")
"""Limits that can be emulated below their defaults, where no real device enforces them."""

_WITHOUT_WEBGPU: Final = """
for (const name of ["Navigator", "WorkerNavigator"]) {
  if (name in globalThis) delete globalThis[name].prototype.gpu;
}
"""


class NewTargetScript:
    """A DevTools listener that only runs a script in new targets, before their own."""

    def __init__(self, source: str) -> None:
        self.commands: tuple[tuple[str, Parameters], ...] = (
            # Pages know the first two commands, workers the third; what a target does not know it refuses.
            ("Page.enable", {}),
            ("Page.addScriptToEvaluateOnNewDocument", {"source": source}),
            ("Runtime.evaluate", {"expression": source}),
        )

    def hear(self, method: str, parameters: Parameters, session: str | None, /) -> None:
        """Nothing to hear."""


def without_webgpu() -> NewTargetScript:
    """`navigator.gpu` is gone, as in a browser without WebGPU."""
    return NewTargetScript(_WITHOUT_WEBGPU)


def with_lowered_limits(limits: Mapping[str, int]) -> NewTargetScript:
    """Adapters and devices have at most these limits (docs/measuring.md says what of it is emulated)."""
    return NewTargetScript(f"({_lowering()})({json.dumps(dict(limits))})")


@cache
def _lowering() -> str:
    return Path(__file__).with_name("lowered_limits.js").read_text(encoding="utf-8").strip()
