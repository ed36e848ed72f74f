"""`download`: the bytes of one run by three counts, beside what the publisher says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.vocabulary import Task
from tests.bench.lab import Case, Lab, MeasureError
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut

VARIANTS: Final = ("distilbert-shape.q8", "gemma-2b-shape.int4")
HEAVY_PARAMETERS: Final = 500_000_000
_SHORT: Final = {"warmups": 0, "repetitions": 1}
_WORKLOADS: Final = {Task.TEXT_GENERATION: {**_SHORT, "prompt_tokens": 16, "generated_tokens": 4}}


@dataclass(frozen=True)
class Download:
    """One run of one variant; how far it got after the download does not matter."""

    variant: Variant

    @property
    def names(self) -> tuple[str, ...]:
        return (f"download/{self.variant.id}",)

    @property
    def heavy(self) -> bool:
        return self.variant.parameters > HEAVY_PARAMETERS

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        workload = _WORKLOADS.get(self.variant.task, {**_SHORT, "length": 16})
        case = Case(self.variant.id, self.variant.backends[0], workload)
        report = lab.attempt(case).report
        count, true_bytes = report.download, lab.true_bytes(case)
        if count is None or count.devtools_bytes is None:
            raise MeasureError(f"{self.variant.id}: nothing counted the download: {report.fault}")
        (name,) = wanted
        note = "the run completed" if report.fault is None else f"{report.fault.code} in phase {report.fault.phase}"
        lab.say(f"{name}: {count.model_file_bytes} bytes of model files; {note}")

        def compared(part: str, value: int, other: int, words: str) -> Measurement:
            return Measurement(
                name=f"{name}/{part}",
                value=value,
                unit="bytes",
                baseline=f"{words}: {other:,} bytes",
                ratio=value / other,
                n=1,
                note=note,
            )

        yield compared("model-files", count.model_file_bytes, true_bytes, "size of the files")
        yield compared(
            "devtools",
            count.devtools_bytes,
            count.page_server_bytes,
            f"page server, {count.requests} requests, no headers",
        )
        if self.variant.published_bytes is not None:
            words = self.variant.published_source or "published"
            yield compared("published", count.model_file_bytes, self.variant.published_bytes, words)


def trials(variants: dict[str, Variant]) -> tuple[list[Download], list[LeftOut]]:
    """A trial for each of the variants that the catalog has."""
    missing = [variant for variant in VARIANTS if variant not in variants]
    return (
        [Download(variants[variant]) for variant in VARIANTS if variant in variants],
        [LeftOut(f"download/{variant}", f"the catalog has no variant {variant}") for variant in missing],
    )
