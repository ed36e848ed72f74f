"""`matrix_query`, `accept_report` and `scrape`: what they cost when a lab has run for years."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
import numpy as np

from orchestrator.contract.catalog import Variant
from tests.bench.fleet.stage import POSTGRESQL, SQLITE, missing_postgres
from tests.bench.history import AGENT, MOST_CELLS, coordinator_with_past
from tests.bench.lab import Lab, MeasureError
from tests.bench.pairing import median, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial
from tests.integration.coordinator.lab import VARIANT, HandAgent, RunningCoordinator

RUNS: Final = (10_000, 100_000, 1_000_000)
QUERIES: Final = (
    "",
    "rows=model,backend&columns=device_class",
    "rows=size_class&columns=facts.os",
    "rows=technique&columns=device_model",
    "rows=family,quantization&columns=device_class&backend=wasm",
    "rows=variant,backend&columns=device&origin=emulated",
    "model=Past+03",
    f"device={AGENT}.device-003",
)
"""The whole matrix, cells taken together by facts and classes, and parts of it."""
_ROUNDS: Final = 50
_SCRAPES: Final = 20
_QUERY: Final = "matrix_query"
_REPORT: Final = "accept_report"
_SCRAPE: Final = "scrape"
_GROUPS: Final = (_QUERY, _REPORT, _SCRAPE)


@dataclass
class _Times:
    """Milliseconds."""

    first: list[float] = field(default_factory=list)
    """Of each query, the first time that it is asked."""
    queries: list[float] = field(default_factory=list)
    largest_bytes: int = 0
    reports: list[float] = field(default_factory=list)
    scrapes: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    """Of other requests, while scrapes are under way."""
    start: "_Start | None" = None


@dataclass(frozen=True)
class _Start:
    """How a scrape fares that comes while the coordinator starts."""

    ready_ms: float
    """From the start of its process until it says that it is ready."""
    first_ms: float
    """Of the first scrape that it answers at all."""
    first_is_whole: bool
    """With cells."""
    next_ms: float
    """Of the first one after it was ready."""


class MatrixScale:
    heavy = False

    def __init__(self, database: str, runs: int, least: dict[str, float]) -> None:
        """`least`: what was measured with the fewest runs on the same occasion, to be compared with."""
        self._database = database
        self._runs = runs
        self._least = least
        self.names = tuple(f"{group}/{database}/{runs}" for group in _GROUPS)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        names = {name.partition("/")[0]: name for name in wanted}
        with coordinator_with_past(self._database, self._runs) as (coordinator, agent):
            times = _measured(coordinator, agent, with_scrapes=_SCRAPE in names)
        for group, name in names.items():
            made = _measurement(name, group, times, self._least.get(group))
            if self._runs == RUNS[0]:
                self._least[group] = made.value
            lab.say(f"{name}: {made.value:.1f} ms; {made.note}")
            yield made


def _measured(coordinator: RunningCoordinator, agent: HandAgent, *, with_scrapes: bool) -> _Times:
    times = _Times()
    with httpx.Client(base_url=coordinator.url, timeout=120) as http:
        _submit(http, agent.device_id)
        for query in QUERIES:
            times.first.append(_asked(http, query, times))
        for _ in range(_ROUNDS):
            spec = agent.take()
            began = time.perf_counter()
            answer = agent.report(spec)
            times.reports.append((time.perf_counter() - began) * 1000)
            if not answer.json()["counted"]:
                raise MeasureError("a report was not counted")
            times.queries += [_asked(http, query, times) for query in QUERIES]
        for _ in range(_SCRAPES if with_scrapes else 0):
            agent.report(agent.take())
            with _asking_beside(coordinator, times.beside):
                times.scrapes.append(_scrape(coordinator)[0])
    if with_scrapes:
        times.start = _start_anew(coordinator)
    return times


def _scrape(coordinator: RunningCoordinator) -> tuple[float, bool]:
    """Milliseconds, and whether there were cells. By the leanest client: what is measured is the coordinator."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"{coordinator.url}/metrics", timeout=120) as answer:
        text = answer.read()
    return (time.perf_counter() - began) * 1000, b"\nfitmatrix_cell_runs{" in text


@contextmanager
def _asking_beside(coordinator: RunningCoordinator, times: list[float]) -> Iterator[None]:
    """Somebody else, who asks for something small all the time."""
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=coordinator.url, timeout=120) as http:
            while not is_over.is_set():
                began = time.perf_counter()
                http.get("/healthz").raise_for_status()
                times.append((time.perf_counter() - began) * 1000)

    with ThreadPoolExecutor(1) as other:
        asking = other.submit(ask)
        try:
            yield
        finally:
            is_over.set()
            asking.result()


def _start_anew(coordinator: RunningCoordinator) -> _Start:
    def first_answer() -> tuple[float, bool]:
        while True:
            try:
                return _scrape(coordinator)
            except urllib.error.URLError:
                time.sleep(0.02)  # nobody listens yet

    coordinator.stop()
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as prometheus:
        first = prometheus.submit(first_answer)
        coordinator.start()
        ready_ms = (time.perf_counter() - began) * 1000
        next_ms, _ = _scrape(coordinator)
        return _Start(ready_ms, *first.result(), next_ms)


def _asked(http: httpx.Client, query: str, times: _Times) -> float:
    began = time.perf_counter()
    answer = http.get(f"/api/v1/matrix/view?{query}")
    took = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    if answer.content.count(b'"row":') == 0:
        raise MeasureError(f"there was nothing in the matrix with {query or 'no filter'}")
    times.largest_bytes = max(times.largest_bytes, len(answer.content))
    return took


def _submit(http: httpx.Client, device_id: str) -> None:
    job = {"name": "load", "variants": [VARIANT], "backends": ["wasm"], "devices": f'id == "{device_id}"'}
    answer = http.post("/api/v1/jobs", json=job | {"repeats": _ROUNDS + _SCRAPES})
    if answer.status_code != httpx.codes.CREATED:
        raise MeasureError(f"the coordinator took no job: {answer.status_code} {answer.text[:300]}")


def _measurement(name: str, group: str, times: _Times, least: float | None) -> Measurement:
    compared = {} if least is None else {"baseline": f"with {RUNS[0]} runs: {least:.3g} ms"}
    if group == _QUERY:
        value = float(np.percentile(times.queries, 95))
        return Measurement(
            name=name,
            value=value,
            unit="ms",
            target="≤ 50 ms",
            n=len(times.queries),
            ratio=None if least is None else value / least,
            spread=None,
            note=(
                f"p95 over HTTP of {len(QUERIES)} layouts and filters over {MOST_CELLS} cells, each after a report has "
                f"changed a cell; median {median(times.queries):.2g} ms; the largest answer is "
                f"{times.largest_bytes / 1e6:.2g} MB; asked for the first time {median(times.first):.2g} ms, at most "
                f"{max(times.first):.3g} ms"
            ),
            **compared,
        )
    found = times.reports if group == _REPORT else times.scrapes
    words = {
        _REPORT: "one report at a time over HTTP, into a cell that has one in 10,000 of all runs",
        _SCRAPE: f"`/metrics` over {MOST_CELLS} cells, each time after a report",
    }
    return Measurement(
        name=name,
        value=median(found),
        unit="ms",
        target="≤ 250 ms" if group == _SCRAPE else None,
        n=len(found),
        ratio=None if least is None else median(found) / least,
        spread=value_spread(found),
        note=f"{words[group]}; p95 {float(np.percentile(found, 95)):.3g} ms{_told_of_start(times, group)}",
        **compared,
    )


def _told_of_start(times: _Times, group: str) -> str:
    start = times.start
    if start is None or group != _SCRAPE:
        return ""
    whole = "with all cells" if start.first_is_whole else "without cells"
    return (
        f"; meanwhile other requests take {median(times.beside):.2g} ms, at most {max(times.beside):.3g} ms; the first "
        f"scrape after a start takes {start.first_ms:.3g} ms, {whole}, the one after it was ready, "
        f"{start.ready_ms / 1000:.2g} s after the start, {start.next_ms:.3g} ms"
    )


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    missing = missing_postgres()
    databases = [SQLITE] if missing else [SQLITE, POSTGRESQL]
    made: list[Trial] = []
    for database in databases:
        least: dict[str, float] = {}
        made += [MatrixScale(database, runs, least) for runs in RUNS]
    return made, [LeftOut(f"{group}/{POSTGRESQL}", missing) for group in _GROUPS] if missing else []
