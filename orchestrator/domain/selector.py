"""Device selectors: CEL expressions over device facts (https://cel.dev)."""

from collections.abc import Mapping
from typing import Any

import cel

from orchestrator.contract.device import DeviceRegistration
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import DeviceKind
from orchestrator.domain.errors import InvalidRequestError

GIB = 1 << 30


def selectable_facts(device: DeviceRegistration) -> dict[str, Any]:
    """What a selector may speak of; `ram_gib` is the emulated limit on an emulated device."""
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
        "emulated": device.kind is DeviceKind.EMULATED,
        "os": facts.os,
        "os_version": facts.os_version,
        "arch": facts.arch,
        "cpu_model": facts.cpu_model,
        "cpus": float(cpus),
        "ram_gib": ram_bytes / GIB,
        "browser": {
            "name": facts.browser.name,
            "version": facts.browser.version,
            "major": int(facts.browser.version.split(".")[0]),
            "channel": facts.browser.channel,
        },
        "chrome_flags": list(facts.chrome_flags),
    }


class Selector:
    """A parsed selector. Raises InvalidRequestError naming what is wrong, with the column where it is syntax."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        try:
            self._program = cel.compile(expression)
        except (ValueError, RuntimeError) as error:
            raise self._invalid(str(error)) from error

    def matches(self, facts: Mapping[str, Any]) -> bool:
        """Whether the expression holds for a device's facts; it must be true or false."""
        try:
            result = self._program.execute(dict(facts))
        except (ValueError, RuntimeError, TypeError) as error:
            known = ", ".join(sorted(facts))
            raise self._invalid(f"{error} (facts: {known})") from error
        if not isinstance(result, bool):
            raise self._invalid(f"it gives {result!r}, not true or false")
        return result

    def _invalid(self, why: str) -> InvalidRequestError:
        return InvalidRequestError(
            "The device selector does not work.",
            [ProblemField(field="devices", value=self.expression[:200], allowed=f"a CEL expression: {why}")],
        )
