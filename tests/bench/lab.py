"""Both sides of a comparison: the lab's whole attempt, and the same engine opened by hand."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from agents.devices.protocol import Device
from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import Timeouts, Workload, Workloads
from orchestrator.contract.vocabulary import Backend, Task
from tests.bench.pairing import Patience, median
from tests.bench.plain import PlainPages
from tests.bench.record import Machine
from tests.workbench import Tried, Workbench, built

DEVICE: Final = "desk"
PLAIN_SECONDS: Final = 300.0
PATIENCE: Final = Timeouts(whole=600, silence=300)
_GIB: Final = 2**30


class MeasureError(RuntimeError):
    """A figure could not be measured: one sentence on why."""


@dataclass(frozen=True)
class Case:
    """One variant on one backend with one workload."""

    variant: str
    backend: Backend
    workload: Mapping[str, Any]
    """Fields of the workload of the variant's task, such as `generated_tokens`."""

    @property
    def label(self) -> str:
        """What is run, in words."""
        shape = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.workload.items())
        return f"{self.variant}: {shape}"

    def workload_of(self, variant: Variant) -> Workload:
        return Workloads.model_validate({variant.task: self.workload}).of(variant.task)


@dataclass(frozen=True)
class Speed:
    """Of one browser process: the median of its repetitions."""

    value: float
    unit: str
    tokens_in: int
    tokens_out: int


@dataclass
class Lab:
    """A workbench and the plain pages beside it, and how much time a comparison may take."""

    workbench: Workbench
    plain_pages: PlainPages
    patience: Patience
    say: Callable[[str], None]

    @property
    def device(self) -> Device:
        return self.workbench.devices[DEVICE]

    @cached_property
    def machine(self) -> Machine:
        """Read from the system and the browser."""
        facts = self.device.registration.facts
        browser = facts.browsers[0]
        told = self.plain_pages.open("adapter", self.device, {}, {}, PLAIN_SECONDS)
        return Machine(
            cpu=facts.cpu_model,
            cores=facts.cpu_count,
            ram_gib=round(facts.ram_bytes / _GIB),
            os=facts.os_version if facts.os == "linux" else f"{facts.os} {facts.os_version}",
            browser=f"{browser.name} {browser.version}",
            gpu_adapter=told["adapter"],
        )

    @property
    def today(self) -> datetime.date:
        return datetime.datetime.now(datetime.UTC).date()

    def run(self, case: Case, *, validate: bool = False, instruments: bool = True) -> Tried:
        """One whole attempt that completed; raises MeasureError with the fault of one that did not."""
        tried = self.attempt(case, validate=validate, instruments=instruments)
        fault = tried.report.fault
        if fault is not None:
            raise MeasureError(f"{case.variant} on {case.backend}: {fault.code} in phase {fault.phase}: {fault.detail}")
        return tried

    def attempt(self, case: Case, *, validate: bool = False, instruments: bool = True) -> Tried:
        """One whole attempt, however it ended."""
        variant = built(case.variant)
        if not validate:
            variant = variant.model_copy(update={"validation": None})
        return self.workbench.run(
            variant,
            case.backend,
            DEVICE,
            workload=case.workload_of(variant),
            timeouts=PATIENCE,
            instruments=instruments,
        )

    def true_bytes(self, case: Case) -> int:
        """Size of the variant's files on disk."""
        return sum(file.stat().st_size for file in self.workbench.files_of(built(case.variant)).values())

    def lab_speed(self, case: Case, *, instruments: bool = True) -> Speed:
        """What the lab says."""
        tried = self.run(case, instruments=instruments)
        page, figures = tried.completed, tried.judgement.figures
        measured = page.gpu_memory or page.wasm_peak_bytes
        if not instruments and measured:
            raise MeasureError("the page kept its ledger although it was told to do without its instruments")
        if page.generation_samples:
            last = page.generation_samples[-1]
            return _speed(figures.decode_tokens_per_second, "tok/s", last.tokens_in, last.tokens_out)
        return _speed(figures.inferences_per_second, "inferences/s", 0, 0)

    def plain_speed(self, case: Case, like: Speed) -> Speed:
        """What a plain page says that reads and writes as many tokens as the lab did; raises MeasureError if not."""
        variant = built(case.variant)
        workload = case.workload_of(variant).model_dump(mode="json")
        if variant.task is Task.TEXT_GENERATION:
            workload["prompt_tokens"] = like.tokens_in
        order = {
            "task": variant.task,
            "backend": case.backend,
            "options": variant.options,
            "files": [file.path for file in variant.files],
            "workload": workload,
        }
        files = self.workbench.files_of(variant)
        told = self.plain_pages.open(variant.runtime, self.device, order, files, PLAIN_SECONDS)
        samples = told["samples"]
        last = samples[-1]
        if variant.task is not Task.TEXT_GENERATION:
            return Speed(median([sample["speed"] for sample in samples]), like.unit, 0, 0)
        if (last["tokens_in"], last["tokens_out"]) != (like.tokens_in, like.tokens_out):
            raise MeasureError(
                f"the sides do not do the same: {like.tokens_in} tokens in and {like.tokens_out} out in the lab, "
                f"{last['tokens_in']} in and {last['tokens_out']} out by hand"
            )
        return Speed(median([sample["speed"] for sample in samples]), like.unit, last["tokens_in"], last["tokens_out"])


def _speed(value: float | None, unit: str, tokens_in: int, tokens_out: int) -> Speed:
    if value is None:
        raise MeasureError("the run has no speed")
    return Speed(value, unit, tokens_in, tokens_out)
