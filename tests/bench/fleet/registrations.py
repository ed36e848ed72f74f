"""Who the simulated devices are: four kinds of machines, in turn."""

from typing import Final

from orchestrator.contract.device import Browser, DeviceFacts, DeviceRegistration, Gpu
from orchestrator.contract.vocabulary import DeviceKind

_GIB: Final = 1 << 30
BROWSER: Final = Browser(name="chrome", version="156.0.8078.79")
_PHONE: Final = {"os": "android", "arch": "aarch64", "browsers": [BROWSER], "cpu_count": 8}
_KINDS: Final = (
    (
        "Simulated small phone",
        "phone 2 GiB",
        DeviceFacts(os_version="11", os_api_level=30, cpu_model="Cortex-A53", ram_bytes=2 * _GIB, **_PHONE),
    ),
    (
        "Simulated middle phone",
        "phone 4 GiB",
        DeviceFacts(os_version="13", os_api_level=33, cpu_model="Cortex-A76", ram_bytes=4 * _GIB, **_PHONE),
    ),
    (
        "Simulated large phone",
        "phone 12 GiB",
        DeviceFacts(os_version="15", os_api_level=35, cpu_model="Oryon", ram_bytes=12 * _GIB, **_PHONE),
    ),
    (
        "Simulated laptop",
        "laptop 16 GiB",
        DeviceFacts(
            os="linux",
            os_version="Debian GNU/Linux 12",
            arch="x86_64",
            cpu_model="Simulated CPU",
            cpu_count=8,
            ram_bytes=16 * _GIB,
            gpus=[Gpu(name="Simulated GPU", memory_bytes=8 * _GIB)],
            browsers=[BROWSER],
        ),
    ),
)


def device_id(agent_id: str, number: int) -> str:
    return f"{agent_id}.device-{number:03d}"


def register(agent_id: str, number: int, sharing: int = 0) -> DeviceRegistration:
    """An agent's device by its number, from 0; the first `sharing` of them share the agent's hardware."""
    model, device_class, facts = _KINDS[number % len(_KINDS)]
    return DeviceRegistration(
        id=device_id(agent_id, number),
        name=f"{agent_id} device {number}",
        kind=DeviceKind.PHYSICAL,
        model=model,
        device_class=device_class,
        exclusive_group=agent_id if number < sharing else None,
        facts=facts,
        page_origin=f"http://localhost:{20_000 + number}",
    )
