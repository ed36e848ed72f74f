"""`load`: from the first request to a model that is ready, with empty caches and then again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.vocabulary import Backend, CacheState, Protocol
from tests.bench.lab import Case, Lab, MeasureError
from tests.bench.pairing import median, ratio_spread, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut

RUNS: Final = 3
_ONCE: Final = {"protocol": Protocol.LOAD, "warmups": 0, "repetitions": 1}
_SHORT: Final = {**_ONCE, "prompt_tokens": 16, "generated_tokens": 4}
CASES: Final = (
    Case("all-minilm-l6-v2.int8", Backend.WASM, {**_ONCE, "length": 32}),
    Case("smollm2-135m-instruct.q8", Backend.WASM, _SHORT),
    Case("gemma-tiny.int8", Backend.WEBGPU, _SHORT),
)


@dataclass(frozen=True)
class Load:
    """One variant, loaded twice in each of a few fresh browsers."""

    case: Case
    heavy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (f"load/{self.case.variant}",)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        cold: list[float] = []
        warm: list[float] = []
        for number in range(1, RUNS + 1):
            loads = {sample.cache: sample for sample in lab.run(self.case).completed.loads}
            if set(loads) != set(CacheState):
                raise MeasureError(
                    f"the page loaded {self.case.variant} only {', '.join(loads) or 'in an unknown state'}"
                )
            cold.append(loads[CacheState.COLD].load_ms / 1000)
            warm.append(loads[CacheState.WARM].load_ms / 1000)
            lab.say(f"load/{self.case.variant}: run {number}: cold {cold[-1]:.2f} s, warm {warm[-1]:.2f} s")
        (name,) = wanted
        shares = [after / before for after, before in zip(warm, cold, strict=True)]
        where = f"on {self.case.backend}"
        yield Measurement(
            name=f"{name}/cold", value=median(cold), unit="s", n=RUNS, spread=value_spread(cold), note=where
        )
        yield Measurement(
            name=f"{name}/warm",
            value=median(warm),
            unit="s",
            baseline=f"the same browser's first load: {median(cold):.3g} s",
            ratio=median(shares),
            n=RUNS,
            spread=ratio_spread(shares),
            note=where,
        )


def trials(variants: dict[str, Variant]) -> tuple[list[Load], list[LeftOut]]:
    """A trial for each of the variants that the catalog has."""
    found = [Load(case) for case in CASES if case.variant in variants]
    missing = [case.variant for case in CASES if case.variant not in variants]
    return found, [LeftOut(f"load/{variant}", f"the catalog has no variant {variant}") for variant in missing]
