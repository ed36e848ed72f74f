"""`submit_large`: how long a job of ten thousand runs takes to be seen, and what others feel of it meanwhile."""

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Final

import httpx
import numpy as np

from orchestrator.contract.catalog import Variant
from tests.bench.fleet import Fleet, Model
from tests.bench.fleet.stage import VARIANTS, Stage, await_that, running, stage
from tests.bench.lab import Lab, MeasureError
from tests.bench.pairing import median, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial

RUNS: Final = 10_000
DEVICES: Final = 1_000
_AGENT: Final = 40
_NAME: Final = "submit_large"
_TIMES: Final = 5
_LONG_SECONDS: Final = 3_600.0
"""Of the runs that keep the devices busy, so that submitting is all that happens."""
_BUSY_SECONDS: Final = 90.0
_IDLE_SECONDS: Final = 20.0
_LEAST: Final = 100


class SubmitLarge:
    names = (f"{_NAME}/visible", f"{_NAME}/others_p99")
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        model = Model(seconds=_LONG_SECONDS)
        with stage() as place:
            fleet = Fleet(place.url, agents=DEVICES // _AGENT, devices_per_agent=_AGENT, model=model, seed=4)
            with running(fleet):
                small = str(place.submit(variants=[VARIANTS[0]])["id"])
                await_that(
                    lambda: fleet.counters.begun >= DEVICES,
                    _BUSY_SECONDS,
                    lambda: f"only {fleet.counters.begun} of {DEVICES} devices were busy",
                )
                with _Others(place.url, small) as others:
                    idle = others.during(_IDLE_SECONDS)
                    visible = [_submit_and_see(place, number) for number in range(_TIMES)]
                    meanwhile = others.between(visible)
        seconds = [seen - began for began, seen in visible]
        before, after = _p99_ms(idle), _p99_ms(meanwhile)
        lab.say(f"{_NAME}: visible after {median(seconds):.2f} s; others' p99 {after:.1f} ms against {before:.1f} ms")
        yield Measurement(
            name=f"{_NAME}/visible",
            value=median(seconds),
            unit="s",
            target="≤ 2 s",
            n=len(seconds),
            spread=value_spread(seconds),
            note=f"{RUNS} runs on {DEVICES} devices, all busy and heartbeating, until `GET /jobs/…` shows them all",
        )
        yield Measurement(
            name=f"{_NAME}/others_p99",
            value=after,
            unit="ms",
            baseline=f"p99 of the same requests with nothing submitted: {before:.3g} ms",
            ratio=after / before,
            target="≤ 3 ×",
            n=len(meanwhile),
            note=f"{_Others.WORDS}, one after the other; {len(idle)} of them before",
        )


def _submit_and_see(place: Stage, number: int) -> tuple[float, float]:
    """When it was sent, and when it was seen whole."""
    began = time.monotonic()
    repeats = RUNS // (DEVICES * len(VARIANTS))
    view = place.submit(repeats=repeats, priority=10, criteria={"max_ttft_seconds": 20 + number})
    answer = place.http.get(f"/jobs/{view['id']}")
    seen = time.monotonic()
    runs = sum(answer.json()["runs"].values())
    if runs != RUNS:
        raise MeasureError(f"the job shows {runs} runs, {RUNS} were submitted")
    time.sleep(1.0)
    return began, seen


def _p99_ms(requests: Sequence[tuple[float, float]]) -> float:
    if len(requests) < _LEAST:
        raise MeasureError(f"only {len(requests)} other requests were answered, {_LEAST} are needed")
    return float(np.percentile([ended - began for began, ended in requests], 99)) * 1000


class _Others:
    """Somebody else's requests, in turn and without a pause."""

    WORDS = "`GET` of a job, of its newest runs and of one device"

    def __init__(self, url: str, job: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=60)
        self._paths = (f"/jobs/{job}", f"/runs?job={job}&limit=20", "/devices/fleet-000.device-000")
        self._answered: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._ask, name="others", daemon=True)

    def __enter__(self) -> "_Others":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self._http.close()

    def _ask(self) -> None:
        try:
            for path in cycle(self._paths):
                if self._stop.is_set():
                    return
                began = time.monotonic()
                self._http.get(path).raise_for_status()
                self._answered.append((began, time.monotonic()))
        except Exception as error:  # noqa: BLE001 - told to whoever reads the figures, in their own thread
            self._failed = error

    def during(self, seconds: float) -> list[tuple[float, float]]:
        began = time.monotonic()
        time.sleep(seconds)
        return self.between([(began, time.monotonic())])

    def between(self, spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """The requests that were on their way at any moment of the spans; those that are take their time to end."""
        if spans:
            self._await_answer_after(spans[-1][1])
        answered = list(self._answered)
        return [one for one in answered if any(one[0] <= until and one[1] >= since for since, until in spans)]

    def _await_answer_after(self, moment: float) -> None:
        await_that(
            lambda: self._failed is not None or (bool(self._answered) and self._answered[-1][0] >= moment),
            60.0,
            lambda: "no other request was answered any more",
        )
        if self._failed is not None:
            raise MeasureError(f"another request failed: {self._failed}")


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    return [SubmitLarge()], []
