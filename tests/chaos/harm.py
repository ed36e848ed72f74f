"""The harms, each done at random moments by a thread of its own, so that they fall on each other."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from tests.chaos.diary import Diary
from tests.chaos.lab import ChaosLab
from tests.integration.coordinator.lab import LEASE_SECONDS

Harm = Callable[[ChaosLab, random.Random, Diary], None]


def kill_agent(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    agent = chance.choice(lab.fleet.agent_ids)
    away_seconds = chance.uniform(0.0, 1.5 * LEASE_SECONDS)
    with diary.note("agent killed", f"{agent} for {away_seconds:.1f} s"):
        lab.fleet.kill(agent)
        time.sleep(away_seconds)
        lab.fleet.restart(agent)


def kill_worker(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    for device in chance.sample(lab.fleet.device_ids, len(lab.fleet.device_ids)):
        if lab.fleet.kill_worker(device):
            with diary.note("worker killed", device):
                return


def kill_coordinator(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    """One of two: when it was the one that dispatches, the other takes over."""
    victim = chance.choice(lab.coordinators)
    away_seconds = chance.uniform(0.0, 2 * LEASE_SECONDS)
    with diary.note("coordinator killed", f"the one at {victim.port} for {away_seconds:.1f} s"):
        victim.kill()
        time.sleep(away_seconds)
        lab.revive(victim)


def kill_both_coordinators(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    away_seconds = chance.uniform(0.0, 1.5 * LEASE_SECONDS)
    with diary.note("both coordinators killed", f"for {away_seconds:.1f} s"):
        for victim in lab.coordinators:
            victim.kill()
        time.sleep(away_seconds)
        for victim in chance.sample(lab.coordinators, len(lab.coordinators)):
            lab.revive(victim)


def restart_coordinator(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    """In order: it gives the dispatcher's lease back."""
    victim = chance.choice(lab.coordinators)
    with diary.note("coordinator restarted", f"the one at {victim.port}"):
        victim.stop()
        lab.revive(victim)


def restart_postgres(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    crash, away_seconds = chance.random() < 0.5, chance.uniform(0.0, 1.5)
    with diary.note("PostgreSQL crashed" if crash else "PostgreSQL restarted", f"away for {away_seconds:.1f} s"):
        lab.restart_postgres(crash, away_seconds)


def restart_broker(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    with diary.note("broker restarted", "with empty memory"):
        lab.restart_broker()


def flush_broker(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    with diary.note("broker flushed", ""):
        lab.broker.flushall()


def delay_messages(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    """The broker stands still: what is sent meanwhile arrives later, or is given up by its sender."""
    seconds = chance.uniform(0.3, LEASE_SECONDS)
    with diary.note("broker paused", f"for {seconds:.1f} s"):
        lab.broker.client_pause(round(seconds * 1000))
        time.sleep(seconds)


HARMS: Final[dict[str, tuple[float, Sequence[tuple[int, Harm]]]]] = {
    "agents": (2.0, [(2, kill_agent), (3, kill_worker)]),
    "coordinators": (8.0, [(4, kill_coordinator), (1, kill_both_coordinators), (1, restart_coordinator)]),
    "database": (14.0, [(1, restart_postgres)]),
    "broker": (4.0, [(2, restart_broker), (2, flush_broker), (2, delay_messages)]),
}
"""By what they are done to: the mean pause between two in seconds, and their weights."""


class Tormentor(threading.Thread):
    """Does its harms until it is told to stop; whatever it broke runs again then."""

    def __init__(self, name: str, lab: ChaosLab, diary: Diary, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.error: BaseException | None = None
        self._lab = lab
        self._diary = diary
        self._chance = random.Random(f"{seed}/{name}")
        self._pause_seconds, weighted = HARMS[name]
        self._pause_seconds *= lab.shape.pace
        self._weights = [weight for weight, _ in weighted]
        self._harms = [harm for _, harm in weighted]
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._chance.uniform(0.5, 1.5) * self._pause_seconds):
                (harm,) = self._chance.choices(self._harms, self._weights)
                harm(self._lab, self._chance, self._diary)
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for this thread
            self.error = error

    def stop(self) -> None:
        self._stopping.set()

    def wait(self, seconds: float) -> None:
        """Raises what went wrong with the tormenting itself."""
        self.join(seconds)
        if self.is_alive():
            raise TimeoutError(f"what was done to the {self.name} has no end")
        if self.error is not None:
            raise self.error
