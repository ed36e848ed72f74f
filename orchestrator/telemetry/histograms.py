"""Histograms with classic buckets, and with native ones beside them for those who can read them."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import BucketSpan, NativeHistogram

SCHEMA: Final = 3
"""Each power of two is divided into 2 ** 3 buckets: each is 9 % wider than the one before."""
ZERO_THRESHOLD: Final = 2.0**-20
"""Up to a microsecond took no time: so there are at most some 300 buckets from there to a month."""
_STEPS: Final = tuple(2 ** (step / 2**SCHEMA - 1) for step in range(2**SCHEMA))
"""The bounds of the buckets from a half to one."""


class SpeakingHistogram(Collector):
    """Seconds, counted twice. What is told at one moment agrees, since both are counted and read under one lock."""

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._lock = Lock()
        self._classic = Histogram(name, meaning, labels, buckets=buckets, registry=None)
        self._native: dict[tuple[str, ...], _Native] = {}
        if not labels:
            self._native[()] = _Native()
        registry.register(self)

    def observe(self, seconds: float, labels: Sequence[str] = (), exemplar: Mapping[str, str] | None = None) -> None:
        """`labels` are the values, in the order of their names."""
        seconds = max(seconds, 0.0)  # a clock was set back
        with self._lock:
            classic = self._classic.labels(*labels) if labels else self._classic
            classic.observe(seconds, dict(exemplar) if exemplar else None)
            self._native.setdefault(tuple(labels), _Native()).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            (classic,) = self._classic.collect()
            told = HistogramFamily(classic, {labels: native.told() for labels, native in self._native.items()})
        yield told


class HistogramFamily(Metric):
    """The classic samples, as the text formats write them, and the native histograms by the values of their labels."""

    def __init__(self, classic: Metric, native: Mapping[tuple[str, ...], NativeHistogram]) -> None:
        super().__init__(classic.name, classic.documentation, classic.type, classic.unit)
        self.samples = classic.samples
        self.native = native


def bucket_of(value: float) -> int:
    """The number of the native bucket of a positive value: bucket n ends with 2 ** (n / 2 ** SCHEMA)."""
    fraction, exponent = math.frexp(value)
    return bisect_left(_STEPS, fraction) + (exponent - 1) * len(_STEPS)


class _Native:
    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._zero = 0
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._sum += value
        if value <= ZERO_THRESHOLD:
            self._zero += 1
        else:
            self._counts[bucket_of(value)] += 1

    def told(self) -> NativeHistogram:
        """Neighbouring buckets make up a span; each count is told by its difference to the one before."""
        spans: list[BucketSpan] = []
        numbers = sorted(self._counts)
        end = 0
        for number in numbers:
            if spans and number == end:
                spans[-1] = BucketSpan(spans[-1].offset, spans[-1].length + 1)
            else:
                spans.append(BucketSpan(number - end, 1))
            end = number + 1
        counts = [self._counts[number] for number in numbers]
        return NativeHistogram(
            count_value=self._zero + sum(counts),
            sum_value=self._sum,
            schema=SCHEMA,
            zero_threshold=ZERO_THRESHOLD,
            zero_count=self._zero,
            pos_spans=spans,
            pos_deltas=[after - before for before, after in pairwise([0, *counts])],
        )
