"""`throughput`: completed runs a second that one coordinator and its load manage together, on either database."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.contract.catalog import Variant
from tests.bench.fleet import Fleet, Model
from tests.bench.fleet.stage import POSTGRESQL, SQLITE, await_that, missing_postgres, running, stage
from tests.bench.lab import Lab, MeasureError
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial

DEVICES: Final = 1_000
_AGENT: Final = 40
_RUN_SECONDS: Final = 1.0
"""Short, so that a thousand devices could do several times the runs that are asked for."""
_JOBS: Final = 5
_REPEATS: Final = 5
_WARM_SECONDS: Final = 60.0
_WINDOW_SECONDS: Final = 40.0
_TARGET: Final = "≥ 200 runs/s"


class Throughput:
    heavy = False

    def __init__(self, database: str) -> None:
        self._database = database
        self.names = (f"throughput/{database}",)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        model = Model(seconds=_RUN_SECONDS, staggered=True)
        with stage(self._database) as place:
            fleet = Fleet(place.url, agents=DEVICES // _AGENT, devices_per_agent=_AGENT, model=model, seed=2)
            with running(fleet):
                queued = place.submit_often(_JOBS, repeats=_REPEATS)
                await_that(
                    lambda: fleet.counters.counted >= DEVICES,
                    _WARM_SECONDS,
                    lambda: f"only {fleet.counters.counted} runs were complete",
                )
                watch, before, began_at = place.watch(), fleet.counters, time.monotonic()
                time.sleep(_WINDOW_SECONDS)
                usage, after, seconds = watch.read(), fleet.counters, time.monotonic() - began_at
                dry = sum(_ran_dry(fleet, device, queued // DEVICES) for device in fleet.device_ids)
        if dry:
            raise MeasureError(f"the queue ran dry for {dry} devices: more runs have to be submitted")
        done = after.counted - before.counted
        (name,) = wanted
        lab.say(f"{name}: {done / seconds:.1f} runs/s; {usage.saturated}; {usage.words}")
        yield Measurement(
            name=name,
            value=done / seconds,
            unit="runs/s",
            target=_TARGET,
            n=done,
            note=(
                f"{DEVICES} simulated devices, runs of about {_RUN_SECONDS:g} s, {seconds:.0f} s long; "
                f"{(after.requests - before.requests) / seconds:.0f} requests/s of which "
                f"{(after.heartbeats - before.heartbeats) / seconds:.0f} heartbeats of {_AGENT} devices; "
                f"what saturates first: {usage.saturated}; {usage.words}"
            ),
        )


def _ran_dry(fleet: Fleet, device_id: str, runs: int) -> bool:
    return sum(entry.began_at is not None for entry in fleet.entries_of(device_id)) >= runs


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    missing = missing_postgres()
    if missing is not None:
        return [Throughput(SQLITE)], [LeftOut(f"throughput/{POSTGRESQL}", missing)]
    return [Throughput(SQLITE), Throughput(POSTGRESQL)], []
