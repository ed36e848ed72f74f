"""The graphics processors of this host, as their drivers describe them.

NVIDIA's cards are asked through NVML, which knows their memory; others are what the system lists. Only Linux without a
card has been seen; the rest is held by recorded answers.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import pynvml

from orchestrator.contract.device import Gpu

_DRM: Final = Path("/sys/class/drm")
_PCI_IDS: Final = (Path("/usr/share/misc/pci.ids"), Path("/usr/share/hwdata/pci.ids"))
_VENDORS: Final = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel", "0x1af4": "Red Hat", "0x15ad": "VMware"}
_NVIDIA: Final = "nvidia"
_LONGEST: Final = 120
_MOST: Final = 16
_ANSWER_SECONDS: Final = 30
_MIB: Final = 2**20
_CIM: Final = (
    "Get-CimInstance Win32_VideoController | Select-Object Name,DriverVersion,AdapterRAM,AdapterCompatibility "
    "| ConvertTo-Json"
)


class Nvml(Protocol):
    """The functions of the module `pynvml` that are used for facts."""

    def nvmlInit(self) -> None: ...  # noqa: N802 - NVML's own names
    def nvmlShutdown(self) -> None: ...  # noqa: N802 - NVML's own name
    def nvmlSystemGetDriverVersion(self) -> Any: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetName(self, handle: Any, /) -> Any: ...  # noqa: N802 - NVML's own name
    def nvmlDeviceGetMemoryInfo(self, handle: Any, /) -> Any: ...  # noqa: N802 - NVML's own name


def host_gpus() -> list[Gpu]:
    """What this host has, NVIDIA's cards first; empty where the system lists none."""
    cards = nvidia_gpus(pynvml)
    if sys.platform == "linux":
        listed = gpus_from_drm(_DRM, next((file for file in _PCI_IDS if file.is_file()), None))
    elif sys.platform == "darwin":
        listed = _asked(["system_profiler", "SPDisplaysDataType", "-json"], gpus_from_system_profiler)
    elif sys.platform == "win32":
        listed = _asked(["powershell", "-NoProfile", "-Command", _CIM], gpus_from_cim)
    else:
        listed = []
    others = [gpu for gpu in listed if not cards or _NVIDIA not in gpu.name.lower()]
    return [*cards, *others][:_MOST]


def nvidia_gpus(nvml: Nvml) -> list[Gpu]:
    """NVIDIA's cards by their own driver; empty where it is not there or does not answer."""
    with suppress(pynvml.NVMLError):
        nvml.nvmlInit()
        try:
            driver = _text(nvml.nvmlSystemGetDriverVersion())
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            return [
                Gpu(
                    name=_text(nvml.nvmlDeviceGetName(handle)),
                    driver=f"nvidia {driver}"[:_LONGEST],
                    memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
                )
                for handle in handles
            ]
        finally:
            nvml.nvmlShutdown()
    return []


def gpus_from_drm(drm: Path, pci_ids: Path | None) -> list[Gpu]:
    """The cards in `/sys/class/drm`, named by the system's list of PCI devices where it has one."""
    gpus = []
    for card in sorted(drm.glob("card*")):
        device = card / "device"
        if not card.name.removeprefix("card").isdigit() or not device.is_dir():
            continue
        with suppress(OSError):
            gpus.append(Gpu(name=_drm_name(device, pci_ids)[:_LONGEST], driver=_drm_driver(device)))
    return gpus


def pci_name(lines: Iterable[str], vendor: str, product: str) -> tuple[str | None, str | None]:
    """Names of a vendor and its product, each four hexadecimal digits, in the text of `pci.ids`."""
    found: str | None = None
    for line in lines:
        if found is None:
            if line.startswith(f"{vendor}  "):
                found = line[6:].strip()
        elif not line.startswith(("\t", "#")) and line.strip():
            break
        elif line.startswith(f"\t{product}  "):
            return found, line[7:].strip()
    return found, None


def gpus_from_system_profiler(text: str) -> list[Gpu]:
    """What macOS' `system_profiler SPDisplaysDataType -json` printed."""
    gpus = []
    for entry in json.loads(text).get("SPDisplaysDataType", []):
        name = entry.get("sppci_model") or entry.get("_name")
        if name:
            # Apple's own graphics share the machine's memory, and say none.
            memory = entry.get("spdisplays_vram") or entry.get("spdisplays_vram_shared")
            metal = str(entry.get("spdisplays_mtlgpufamilysupport", "")).removeprefix("spdisplays_")
            gpus.append(Gpu(name=str(name)[:_LONGEST], driver=metal or None, memory_bytes=_mac_bytes(memory)))
    return gpus


def gpus_from_cim(text: str) -> list[Gpu]:
    """What Windows' `Win32_VideoController` said as JSON: one object, or a list of several."""
    answer = json.loads(text)
    return [
        Gpu(
            name=str(entry["Name"])[:_LONGEST],
            driver=str(entry["DriverVersion"])[:_LONGEST] if entry.get("DriverVersion") else None,
            # A field of 32 bits: from 4 GiB on it says nothing.
            memory_bytes=entry["AdapterRAM"] if 0 < (entry.get("AdapterRAM") or 0) < 2**32 - _MIB else None,
        )
        for entry in (answer if isinstance(answer, list) else [answer])
        if entry.get("Name")
    ]


def _drm_name(device: Path, pci_ids: Path | None) -> str:
    try:
        vendor, product = ((device / name).read_text().strip() for name in ("vendor", "device"))
    except OSError:
        # Not on a PCI bus, as in most boards with an ARM processor.
        return _uevent(device).get("OF_COMPATIBLE_0") or _uevent(device).get("DRIVER") or "unnamed graphics"
    names: tuple[str | None, str | None] = (None, None)
    if pci_ids is not None:
        with pci_ids.open(encoding="utf-8", errors="replace") as lines:
            names = pci_name(lines, vendor.removeprefix("0x"), product.removeprefix("0x"))
    return f"{names[0] or _VENDORS.get(vendor, vendor)} {names[1] or product}"


def _drm_driver(device: Path) -> str | None:
    link = device / "driver"
    return link.resolve().name if link.exists() else _uevent(device).get("DRIVER")


def _uevent(device: Path) -> dict[str, str]:
    lines = (device / "uevent").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _mac_bytes(text: object) -> int | None:
    number, _, unit = str(text or "").partition(" ")
    scale = {"MB": _MIB, "GB": 2**30}.get(unit)
    return int(number) * scale if scale and number.isdigit() else None


def _asked(command: list[str], read: Callable[[str], list[Gpu]]) -> list[Gpu]:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
        return read(answer.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return []


def _text(value: Any) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value))[:_LONGEST]
