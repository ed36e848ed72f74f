"""The lab that is tormented: two coordinators on one database and one broker, and a simulated fleet."""

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import redis

from orchestrator.dispatch.broker import EmbeddedBroker
from tests.bench.fleet import Ending, Fleet, Model
from tests.chaos.front import Front
from tests.chaos.orders import OrderBook
from tests.chaos.patience import persist
from tests.chaos.people import People
from tests.integration.coordinator.lab import VARIANT, RunningCoordinator, pretend_all_built
from tests.postgres import PostgresCluster

_ENDINGS: Final = {
    Ending.FITS: 0.84,
    Ending.TOO_SLOW: 0.05,
    Ending.WRONG_OUTPUT: 0.03,
    Ending.OUT_OF_MEMORY: 0.05,
    Ending.LAB_FAULT: 0.03,
}
_REBOOT_SECONDS: Final = 10.0
LEASE_SECONDS: Final = 3.0
"""Short, so that much happens in minutes."""
_TIMES: Final = {"lease_seconds": f"{LEASE_SECONDS:g}", "heartbeat_seconds": "1"}


@dataclass(frozen=True)
class Shape:
    """How large the lab is, and for how long it is tormented."""

    runs: int
    agents: int
    devices_per_agent: int
    sharing: int
    """So many of an agent's devices share hardware, so that one of them runs at a time."""
    run_seconds: float
    """Median time that a simulated device takes for one."""
    harm_seconds: float
    """Longest; it ends earlier when every run has ended."""
    patience_seconds: float
    """Longest time after it in which there may be no less to do than before."""
    pace: float
    """Multiplies the pauses between harms."""
    large_job_every: int
    """One of so many jobs is taken in by a process of its own; with 0 none is."""


SHORT: Final = Shape(
    runs=100,
    agents=4,
    devices_per_agent=3,
    sharing=2,
    run_seconds=0.6,
    harm_seconds=20,
    patience_seconds=60,
    pace=0.6,
    large_job_every=0,
)
LONG: Final = Shape(
    runs=2_000,
    agents=8,
    devices_per_agent=5,
    sharing=2,
    run_seconds=2.0,
    harm_seconds=360,
    patience_seconds=90,
    pace=1.0,
    large_job_every=8,
)


class ChaosLab:
    """Everything that runs, with what can be done to it; agents' clocks are minutes off, to either side."""

    def __init__(self, scratch: Path, postgres: PostgresCluster, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.postgres = postgres
        self.database_url = postgres.new_database()
        self._scratch = scratch
        self._seed = seed
        self._stack = ExitStack()
        self._broker = EmbeddedBroker(scratch / "broker")
        self.coordinators: list[RunningCoordinator] = []
        self.front: Front
        self.fleet: Fleet
        self.people: People
        self.book = OrderBook()

    def __enter__(self) -> "ChaosLab":
        with ExitStack() as stack:
            self._broker.start()
            stack.callback(self._broker.stop)
            for name in ("first", "second"):
                coordinator = self._coordinator(name)
                self.coordinators.append(coordinator)
                stack.callback(coordinator.stop)
                coordinator.start()
            self.front = stack.enter_context(Front([one.port for one in self.coordinators]))
            self.people = stack.enter_context(People(self.front.url))
            self.fleet = stack.enter_context(self._fleet())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _coordinator(self, name: str) -> RunningCoordinator:
        data = self._scratch / name
        pretend_all_built(data)
        coordinator = RunningCoordinator(
            data, database_url=self.database_url, broker_url=self._broker.url, health_variant=VARIANT, **_TIMES
        )
        coordinator.log = self._scratch / f"{name}.log"
        return coordinator

    def _fleet(self) -> Fleet:
        chance = random.Random(f"{self._seed}/clocks")
        names = [f"fleet-{number:03d}" for number in range(self.shape.agents)]
        return Fleet(
            self.front.url,
            agents=self.shape.agents,
            devices_per_agent=self.shape.devices_per_agent,
            sharing=self.shape.sharing,
            model=Model(seconds=self.shape.run_seconds, endings=_ENDINGS),
            seed=self._seed,
            name="fleet",
            clock_offsets={name: timedelta(minutes=chance.uniform(-30, 30)) for name in names},
        )

    @property
    def broker_url(self) -> str:
        return self._broker.url

    @property
    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self._broker.url, socket_timeout=_REBOOT_SECONDS)

    def revive(self, coordinator: RunningCoordinator) -> None:
        """As a service manager does: again and again, while its database may be away."""

        def start() -> None:
            coordinator.kill()  # one that has not become ready in time may still be starting
            coordinator.start()

        persist(start, AssertionError)

    def restart_broker(self) -> None:
        """It comes back at its address by itself, with an empty memory."""
        self.broker.shutdown(nosave=True)
        persist(self.broker.ping, redis.RedisError)

    def restart_postgres(self, crash: bool, away_seconds: float) -> None:
        if crash:
            self.postgres.crash()
        else:
            self.postgres.stop()
        time.sleep(away_seconds)
        self.postgres.start()
