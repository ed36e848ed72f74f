"""How long runs will take, by how long such runs took."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.contract.vocabulary import Backend

NEWEST_WEIGHT: Final = 0.3
"""Of the newest run in the mean, once there are a few."""


@dataclass(frozen=True)
class Duration:
    """Device time of a variant's runs on one backend and one device model."""

    variant_digest: str
    backend: Backend
    device_model: str
    variant_bytes: int
    seconds: float
    """Mean, the newest weighing most."""
    runs: int


def after_run(known: Duration, seconds: float) -> Duration:
    """The duration after one more run: a plain mean of the first few, then one that forgets."""
    weight = max(NEWEST_WEIGHT, 1 / (known.runs + 1))
    return replace(known, seconds=known.seconds + weight * (seconds - known.seconds), runs=known.runs + 1)


class Estimator:
    """Asks the most similar runs there were: the same variant on this device model, the same variant on others, the
    variant nearest in size on this backend (on this model, where there is one), and where nothing ran yet, the bound.
    """

    def __init__(self, known: Iterable[Duration]) -> None:
        self._exact: dict[tuple[str, Backend, str], Duration] = {}
        self._by_variant: dict[tuple[str, Backend], list[Duration]] = {}
        self._by_model: dict[tuple[Backend, str], list[Duration]] = {}
        self._by_backend: dict[Backend, list[Duration]] = {}
        for one in known:
            self._exact[one.variant_digest, one.backend, one.device_model] = one
            self._by_variant.setdefault((one.variant_digest, one.backend), []).append(one)
            self._by_model.setdefault((one.backend, one.device_model), []).append(one)
            self._by_backend.setdefault(one.backend, []).append(one)

    def seconds(self, digest: str, backend: Backend, model: str, variant_bytes: int, most: float) -> float:
        """Device time of one run, `most` at most: an attempt is ended then."""
        exact = self._exact.get((digest, backend, model))
        if exact is not None:
            return min(most, exact.seconds)
        same = self._by_variant.get((digest, backend))
        if same:
            return min(most, _mean(same))
        similar = self._by_model.get((backend, model)) or self._by_backend.get(backend)
        if not similar:
            return most
        nearest = min(_distance(one, variant_bytes) for one in similar)
        return min(most, _mean([one for one in similar if _distance(one, variant_bytes) == nearest]))


def _mean(durations: Sequence[Duration]) -> float:
    return sum(one.seconds * one.runs for one in durations) / sum(one.runs for one in durations)


def _distance(duration: Duration, variant_bytes: int) -> float:
    """Between two sizes, as a ratio."""
    return abs(math.log(max(1, duration.variant_bytes) / max(1, variant_bytes)))
