"""`engines` and `quantization`: one model in every build that the catalog has, side by side."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import Backend, Task, Weights
from orchestrator.models.build import BuildError
from tests.bench.lab import Case, Lab, MeasureError
from tests.bench.pairing import Patience, Round, interleave, median, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut
from tests.workbench import built

WORKLOAD: Final = {"prompt_tokens": 32, "generated_tokens": 12, "warmups": 1, "repetitions": 2}
PATIENCE: Final = Patience(least=1, most=3, seconds=60.0)
MOST_PARAMETERS: Final = 200_000_000
"""Of a model that is compared without being asked for by name."""
MOST_SOFTWARE_PARAMETERS: Final = 10_000_000
"""Of a model that is worth running on WebGPU where the CPU has to pretend to be a GPU."""
SOFTWARE_ADAPTERS: Final = ("swiftshader", "llvmpipe", "basic render")

COLUMNS: Final = {
    "decode": ("decode_tokens_per_second", "tok/s"),
    "ttft": ("ttft_seconds", "s"),
    "download": ("download_bytes", "bytes"),
    "memory": ("peak_memory_bytes", "bytes"),
    "agreement": ("agreement", "share"),
}
"""Each figure's last name, the run's figure behind it, and its unit."""


@dataclass(frozen=True)
class Comparison:
    """Every build of one model on each of its backends."""

    model: str
    variants: tuple[Variant, ...]

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")

    @property
    def names(self) -> tuple[str, ...]:
        """Engines where there are several builds or engines; quantizations where one engine has several builds."""
        quantizations = (f"quantization/{self.slug}",) if self._several_builds() else ()
        return f"engines/{self.slug}", *quantizations

    @property
    def heavy(self) -> bool:
        """Models too large to run in passing, and those whose text says nothing."""
        synthetic = any(variant.weights is Weights.SYNTHETIC for variant in self.variants)
        return synthetic or self.variants[0].parameters > MOST_PARAMETERS

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        rows = self._rows(lab)
        engine = self._several_builds()
        if not any(name.startswith("engines/") for name in wanted):
            rows = [row for row in rows if row.variant.runtime == engine]
        seen: defaultdict[str, list[RunFigures]] = defaultdict(list)

        def side(row: _Row) -> Callable[[], float]:
            def run() -> float:
                seen[row.name].append(lab.run(row.case, validate=True).judgement.figures)
                return seen[row.name][-1].decode_tokens_per_second or 0.0

            return run

        def report(number: int, one: Round) -> None:
            lab.say(
                f"{self.model}: round {number}: {', '.join(f'{row} {speed:.4g} tok/s' for row, speed in one.items())}"
            )

        interleave({row.name: side(row) for row in rows}, PATIENCE, report)
        for name in wanted:
            mine = [row for row in rows if name.startswith("engines/") or row.variant.runtime == engine]
            yield from _table(name, mine, seen)

    def _several_builds(self) -> str | None:
        """The engine that has this model in the most different numbers of bits, if in more than one."""
        quantizations: defaultdict[str, set[str]] = defaultdict(set)
        for variant in self.variants:
            quantizations[variant.runtime].add(variant.quantization)
        engine = max(quantizations, key=lambda runtime: len(quantizations[runtime]))
        return engine if len(quantizations[engine]) > 1 else None

    def _rows(self, lab: Lab) -> "list[_Row]":
        adapter = (lab.machine.gpu_adapter or "").lower()
        is_slow = any(word in adapter for word in SOFTWARE_ADAPTERS)
        rows = []
        for variant in self.variants:
            try:
                built(variant.id)
            except BuildError as error:
                lab.say(f"left out: {error}")
                continue
            for backend in variant.backends:
                if backend is Backend.WEBGPU and is_slow and variant.parameters > MOST_SOFTWARE_PARAMETERS:
                    lab.say(f"left out: {variant.id} on webgpu: too slow on the software adapter {adapter}")
                else:
                    rows.append(_Row(variant, backend))
        if not rows:
            raise MeasureError(f"no build of {self.model} can be measured here")
        return rows


@dataclass(frozen=True)
class _Row:
    variant: Variant
    backend: Backend

    @property
    def name(self) -> str:
        return f"{self.variant.id}.{self.backend}"

    @property
    def case(self) -> Case:
        return Case(self.variant.id, self.backend, WORKLOAD)


def _table(name: str, rows: Sequence[_Row], seen: Mapping[str, Sequence[RunFigures]]) -> Iterator[Measurement]:
    """The figures of each row; speeds are compared with the first row's."""
    first = median([figures.decode_tokens_per_second or 0.0 for figures in seen[rows[0].name]])
    for row in rows:
        for column, (figure, unit) in COLUMNS.items():
            values = [value for one in seen[row.name] if (value := getattr(one, figure)) is not None]
            if not values:
                continue
            compared = column == "decode" and row is not rows[0] and first > 0
            yield Measurement(
                name=f"{name}/{row.name}/{column}",
                value=median(values),
                unit=unit,
                baseline=f"{rows[0].name}: {first:.4g} {unit}" if compared else None,
                ratio=median(values) / first if compared else None,
                n=len(values),
                spread=value_spread(values),
                note=row.case.label,
            )


def trials(variants: dict[str, Variant]) -> tuple[list[Comparison], list[LeftOut]]:
    """A comparison for each generating model of which there is more than one build."""
    models: defaultdict[str, list[Variant]] = defaultdict(list)
    for variant in variants.values():
        if variant.task is Task.TEXT_GENERATION:
            models[variant.model].append(variant)
    return [Comparison(model, tuple(some)) for model, some in models.items() if len(some) > 1], []
