"""Graphics processors, by what systems and drivers answer."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from agents.devices.gpus import gpus_from_cim, gpus_from_drm, gpus_from_system_profiler, nvidia_gpus, pci_name
from agents.probes.gpu_memory import NvmlMeter, gpu_meter
from agents.probes.memory_sampler import MemorySampler
from orchestrator.contract.device import Gpu

PCI_IDS = """#
#	List of PCI ID's
#
1002  Advanced Micro Devices, Inc. [AMD/ATI]
	1638  Cezanne [Radeon Vega Series / Radeon Vega Mobile Series]
		1043 1e52  Zenbook
8086  Intel Corporation
	9a49  TigerLake-LP GT2 [Iris Xe Graphics]
"""

MAC = """{
  "SPDisplaysDataType" : [
    {
      "_name" : "Apple M2",
      "spdisplays_mtlgpufamilysupport" : "spdisplays_metal3",
      "spdisplays_vendor" : "sppci_vendor_Apple",
      "sppci_bus" : "spdisplays_builtin",
      "sppci_cores" : "10",
      "sppci_device_type" : "spdisplays_gpu",
      "sppci_model" : "Apple M2"
    },
    {
      "_name" : "kHW_AMDRadeonPro5500MItem",
      "spdisplays_mtlgpufamilysupport" : "spdisplays_metal3",
      "spdisplays_vram" : "8 GB",
      "sppci_model" : "AMD Radeon Pro 5500M"
    }
  ]
}"""

WINDOWS = """{
    "Name":  "NVIDIA GeForce RTX 4060 Laptop GPU",
    "DriverVersion":  "32.0.15.6109",
    "AdapterRAM":  4293918720,
    "AdapterCompatibility":  "NVIDIA"
}"""
WINDOWS_TWO = """[
    {"Name":  "Intel(R) Iris(R) Xe Graphics", "DriverVersion":  "31.0.101.5186", "AdapterRAM":  134217728},
    {"Name":  null, "DriverVersion":  null, "AdapterRAM":  null}
]"""


class Nvml:
    """The functions of `pynvml`, with what a driver answers."""

    def __init__(self, processes: dict[str, list[list[tuple[int, int | None]]]] | None = None) -> None:
        self.processes = processes or {}
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "550.54.15"

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> Any:
        return index

    def nvmlDeviceGetName(self, handle: Any, /) -> Any:
        # Older versions of the module answer in bytes.
        return ["NVIDIA GeForce RTX 4090", b"NVIDIA T400 4GB"][handle]

    def nvmlDeviceGetMemoryInfo(self, handle: Any, /) -> Any:
        return SimpleNamespace(total=[25757220864, 4294967296][handle], free=1, used=1)

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: Any, /) -> Any:
        return self._listed("graphics", handle)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any, /) -> Any:
        return self._listed("compute", handle)

    def _listed(self, kind: str, handle: int) -> list[Any]:
        if kind not in self.processes:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.processes[kind][handle]]


def test_nvidias_cards_are_named_by_their_driver() -> None:
    nvml = Nvml()
    assert nvidia_gpus(nvml) == [
        Gpu(name="NVIDIA GeForce RTX 4090", driver="nvidia 550.54.15", memory_bytes=25757220864),
        Gpu(name="NVIDIA T400 4GB", driver="nvidia 550.54.15", memory_bytes=4294967296),
    ]
    assert nvml.open == 0


def test_without_nvml_there_are_none() -> None:
    class Absent(Nvml):
        def nvmlInit(self) -> None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    assert nvidia_gpus(Absent()) == []
    assert gpu_meter(1, Absent()) is None


@pytest.fixture
def drm(tmp_path: Path) -> Path:
    root = tmp_path / "drm"

    def put(card: str, uevent: str, **files: str) -> Path:
        device = root / card / "device"
        device.mkdir(parents=True)
        (device / "uevent").write_text(uevent)
        for name, text in files.items():
            (device / name).write_text(f"{text}\n")
        return device

    intel = put("card0", "DRIVER=i915\nPCI_ID=8086:9A49\n", vendor="0x8086", device="0x9a49")
    (tmp_path / "drivers/i915").mkdir(parents=True)
    (intel / "driver").symlink_to(tmp_path / "drivers/i915")
    put("card1", "DRIVER=amdgpu\n", vendor="0x1002", device="0x1638")
    put("card2", "DRIVER=vc4-drm\nOF_COMPATIBLE_0=brcm,bcm2711-vc5\n")
    (root / "card0-eDP-1").mkdir()
    (root / "renderD128").mkdir()
    return root


def test_linux_lists_cards_and_their_drivers(drm: Path, tmp_path: Path) -> None:
    ids = tmp_path / "pci.ids"
    ids.write_text(PCI_IDS)
    assert gpus_from_drm(drm, ids) == [
        Gpu(name="Intel Corporation TigerLake-LP GT2 [Iris Xe Graphics]", driver="i915"),
        Gpu(
            name="Advanced Micro Devices, Inc. [AMD/ATI] Cezanne [Radeon Vega Series / Radeon Vega Mobile Series]",
            driver="amdgpu",
        ),
        Gpu(name="brcm,bcm2711-vc5", driver="vc4-drm"),
    ]


def test_without_a_list_of_pci_devices_a_card_has_its_number(drm: Path) -> None:
    assert [gpu.name for gpu in gpus_from_drm(drm, None)] == ["Intel 0x9a49", "AMD 0x1638", "brcm,bcm2711-vc5"]
    assert gpus_from_drm(drm / "nowhere", None) == []


@pytest.mark.parametrize(
    ("vendor", "product", "names"),
    [
        ("8086", "9a49", ("Intel Corporation", "TigerLake-LP GT2 [Iris Xe Graphics]")),
        ("1002", "9a49", ("Advanced Micro Devices, Inc. [AMD/ATI]", None)),
        ("1043", "1e52", (None, None)),
    ],
)
def test_names_in_the_list_of_pci_devices(vendor: str, product: str, names: tuple[str | None, str | None]) -> None:
    assert pci_name(PCI_IDS.splitlines(keepends=True), vendor, product) == names


def test_a_mac_says_what_it_draws_with() -> None:
    assert gpus_from_system_profiler(MAC) == [
        Gpu(name="Apple M2", driver="metal3"),
        Gpu(name="AMD Radeon Pro 5500M", driver="metal3", memory_bytes=8 * 2**30),
    ]


def test_windows_lists_one_card_or_several() -> None:
    # The field for memory ends at 4 GiB, so a larger card's figure is none.
    assert gpus_from_cim(WINDOWS) == [Gpu(name="NVIDIA GeForce RTX 4060 Laptop GPU", driver="32.0.15.6109")]
    assert gpus_from_cim(WINDOWS_TWO) == [
        Gpu(name="Intel(R) Iris(R) Xe Graphics", driver="31.0.101.5186", memory_bytes=2**27)
    ]


class Process:
    """A browser's main process with its GPU process and a renderer."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cmdline(self) -> list[str]:
        return {10: ["chrome"], 11: ["chrome", "--type=gpu-process"], 12: ["chrome", "--type=renderer"]}[self.pid]

    def children(self, recursive: bool) -> list["Process"]:
        assert recursive
        return [Process(11), Process(12)]


def test_memory_on_cards_is_that_of_the_browsers_own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "Process", Process)
    listed: dict[str, list[list[tuple[int, int | None]]]] = {
        "graphics": [[(11, 700), (99, 9_000)], [(11, 50)]],
        "compute": [[(11, 700), (12, None)], []],
    }
    meter = gpu_meter(10, Nvml(listed))
    assert meter is not None
    assert meter.read() == {"gpu-process": 750}
    assert NvmlMeter(10, Nvml(), [0]).read() == {"gpu-process": 0}

    sampler = MemorySampler(meter)
    sampler.start_at_once()
    listed["graphics"][0] = [(11, 4_000)]
    sampler.stop()
    figure = sampler.figure
    assert figure is not None
    assert (figure.baseline_bytes, figure.peak_bytes) == (750, 4_050)
    assert figure.method.startswith("NVML")
