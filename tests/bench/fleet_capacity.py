"""`fleet_capacity`: what a coordinator takes for twenty thousand devices that only say that they are there."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.contract.catalog import Variant
from tests.bench.fleet import Fleet
from tests.bench.fleet.stage import await_that, running, stage
from tests.bench.fleet.usage import BROKER, COORDINATOR, pss_bytes, rss_bytes
from tests.bench.lab import Lab
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial

DEVICES: Final = 20_000
_AGENT: Final = 40
_HEARTBEAT_SECONDS: Final = 5.0
_WINDOW_SECONDS: Final = 60.0
_NAME: Final = "fleet_capacity"


class FleetCapacity:
    names = (f"{_NAME}/cpu", f"{_NAME}/memory")
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        agents = DEVICES // _AGENT
        with stage(heartbeat_seconds=f"{_HEARTBEAT_SECONDS:g}") as place:
            fleet = Fleet(place.url, agents=agents, devices_per_agent=_AGENT, seed=3)
            empty = pss_bytes(place.processes())
            with running(fleet):
                await_that(
                    lambda: fleet.counters.heartbeats >= agents,
                    60.0,
                    lambda: f"only {fleet.counters.heartbeats} heartbeats of {agents} agents had been heard",
                )
                watch, before = place.watch(), fleet.counters
                time.sleep(_WINDOW_SECONDS)
                usage, after = watch.read(), fleet.counters
                pss, rss = pss_bytes(place.processes()), rss_bytes(place.processes())
        heard, due = after.heartbeats - before.heartbeats, agents * usage.seconds / _HEARTBEAT_SECONDS
        words = (
            f"{agents} agents of {_AGENT} devices; {heard} heartbeats heard in {usage.seconds:.0f} s, {due:.0f} were "
            f"due, {after.unreachable - before.unreachable} unanswered; {usage.words}"
        )
        lab.say(f"{_NAME}: {usage.cores[COORDINATOR]:.2f} cores, PSS {pss / 1e6:.0f} MB; {words}")
        yield Measurement(
            name=f"{_NAME}/cpu",
            value=usage.cores[COORDINATOR],
            unit="cores",
            target="≤ 1 core",
            n=heard,
            note=f"the coordinator's process, its broker's {usage.cores[BROKER]:.2f} not counted; {words}",
        )
        yield Measurement(
            name=f"{_NAME}/memory",
            value=pss,
            unit="bytes",
            baseline=f"the same coordinator without a device: {empty:,} bytes",
            ratio=pss / empty,
            target=f"≤ {2**30:,} bytes",
            n=1,
            note=f"PSS of the coordinator's process, its RSS is {rss:,} bytes; {words}",
        )


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    return [FleetCapacity()], []
