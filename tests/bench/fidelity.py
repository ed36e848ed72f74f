"""`engine_fidelity` and `instrumentation`: does the lab, or its ledger, slow down what it measures?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.vocabulary import Backend
from tests.bench.lab import Case, Lab, Speed
from tests.bench.pairing import Round, interleave, median, ratio_spread, ratios
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut
from tests.workbench import built

CASES: Final = {
    # Long enough that a repetition takes half a second or more on an old laptop; the tiny models need many tokens, and
    # repetitions until the browser has compiled their code to the end.
    "transformers.js/wasm": Case(
        "smollm2-135m-instruct.q8",
        Backend.WASM,
        {"prompt_tokens": 32, "generated_tokens": 24, "warmups": 1, "repetitions": 3},
    ),
    "transformers.js/webgpu": Case(
        "all-minilm-l6-v2.int8", Backend.WEBGPU, {"length": 32, "warmups": 1, "repetitions": 3}
    ),
    "mediapipe-llm/webgpu": Case(
        "gemma-tiny.int8",
        Backend.WEBGPU,
        {"prompt_tokens": 16, "generated_tokens": 96, "warmups": 1, "repetitions": 3},
    ),
    "wllama/wasm": Case(
        "smollm2-135m-instruct.gguf-q4_1",
        Backend.WASM,
        {"prompt_tokens": 32, "generated_tokens": 12, "warmups": 1, "repetitions": 3},
    ),
    "litert-lm/wasm": Case(
        "gemma3-tiny.litertlm",
        Backend.WASM,
        {"prompt_tokens": 32, "generated_tokens": 900, "warmups": 5, "repetitions": 15},
    ),
    # The engine says nothing of tokens: the length is one in words, and a long text is what makes it take long.
    "mediapipe-text/wasm": Case(
        "word-sum-classifier.fp32", Backend.WASM, {"length": 8000, "warmups": 10, "repetitions": 100}
    ),
}


@dataclass(frozen=True)
class Fidelity:
    """Both questions about one runtime on one backend, answered with the same runs of the lab."""

    engine: str
    """`<runtime>/<backend>`."""
    case: Case
    heavy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return f"engine_fidelity/{self.engine}", f"instrumentation/{self.engine}"

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        built(self.case.variant)
        seen: list[Speed] = []

        def with_all() -> float:
            seen.append(lab.lab_speed(self.case))
            return seen[-1].value

        def by_hand() -> float:
            return lab.plain_speed(self.case, seen[0]).value

        def without_instruments() -> float:
            return lab.lab_speed(self.case, instruments=False).value

        fidelity, instrumentation = self.names
        sides = {"lab": with_all}
        if fidelity in wanted:
            sides["by hand"] = by_hand
        if instrumentation in wanted:
            sides["without instruments"] = without_instruments

        def report(number: int, one: Round) -> None:
            speeds = ", ".join(f"{side} {value:.4g}" for side, value in one.items())
            shares = ", ".join(f"{one['lab'] / one[side]:.4f}" for side in list(one)[1:])
            lab.say(f"{self.engine}: round {number}: {speeds} {seen[0].unit}; ratio {shares}")

        rounds = interleave(sides, lab.patience, report)
        if fidelity in wanted:
            yield self._compared(fidelity, rounds, "by hand", seen[0], "0.99 to 1.01", "the same engine opened by hand")
        if instrumentation in wanted:
            yield self._compared(
                instrumentation, rounds, "without instruments", seen[0], "≥ 0.99", "the lab without ledger and events"
            )

    def _compared(
        self, name: str, rounds: Sequence[Round], side: str, like: Speed, target: str, words: str
    ) -> Measurement:
        shares = ratios(rounds, "lab", side)
        other = median([one[side] for one in rounds])
        return Measurement(
            name=name,
            value=median([one["lab"] for one in rounds]),
            unit=like.unit,
            baseline=f"{words}: {other:.4g} {like.unit}",
            ratio=median(shares),
            target=target,
            n=len(rounds),
            spread=ratio_spread(shares),
            note=self.case.label,
        )


def trials(variants: dict[str, Variant]) -> tuple[list[Fidelity], list[LeftOut]]:
    """A trial for each engine whose variant the catalog has."""
    found, left_out = [], []
    for engine, case in CASES.items():
        trial = Fidelity(engine, case)
        if case.variant in variants:
            found.append(trial)
        else:
            left_out += [LeftOut(name, f"the catalog has no variant {case.variant}") for name in trial.names]
    return found, left_out
