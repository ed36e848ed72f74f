"""The harms, each done at random moments by a thread of its own, so that they fall on each other."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import psutil

from tests.chaos.diary import Diary
from tests.chaos.lab import LEASE_SECONDS, ChaosLab
from tests.chaos.orders import Cancellation, Hold
from tests.chaos.people import SUBMITTERS
from tests.processes import commands

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


def kill_submission_process(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    """One of those that take large jobs in, perhaps in the middle of one."""
    for coordinator in chance.sample(lab.coordinators, len(lab.coordinators)):
        with suppress(psutil.NoSuchProcess):
            for process, command in commands(psutil.Process(coordinator.pid).children()):
                if any("submission_process" in word for word in command):
                    with diary.note("submission process killed", f"of the coordinator at {coordinator.port}"):
                        process.kill()
                    return


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


def cancel_run(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    run = _any_of(lab, chance, "runs", state=chance.choice(["queued", "leased", "running", "running"]))
    if run is not None:
        with diary.note("run cancelled", run):
            lab.people.ask("POST", f"/runs/{run}/cancel").raise_for_status()
            lab.book.add(Cancellation(datetime.now(UTC), run_id=run))


def cancel_job(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    job = _any_of(lab, chance, "jobs", state="active")
    if job is not None:
        with diary.note("job cancelled", job):
            lab.people.ask("POST", f"/jobs/{job}/cancel").raise_for_status()
            lab.book.add(Cancellation(datetime.now(UTC), job_id=job))


def _any_of(lab: ChaosLab, chance: random.Random, what: str, **query: str) -> str | None:
    found = lab.people.ask("GET", f"/{what}", params={**query, "limit": 200}).raise_for_status().json()["items"]
    return str(chance.choice(found)["id"]) if found else None


def drain_device(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    _hold(lab, chance, diary, None, "drain", {"note": "chaos"})


def reserve_device(lab: ChaosLab, chance: random.Random, diary: Diary) -> None:
    _hold(lab, chance, diary, chance.choice(SUBMITTERS), "reservation", {"seconds": 3600, "note": "chaos"})


def _hold(
    lab: ChaosLab, chance: random.Random, diary: Diary, holder: str | None, kind: str, wish: dict[str, Any]
) -> None:
    device = chance.choice(lab.fleet.device_ids)
    held_seconds = chance.uniform(0.5, 3 * LEASE_SECONDS)
    path = f"/devices/{device}/{kind}"
    with diary.note(kind, f"of {device} for {held_seconds:.1f} s {f'by {holder}' if holder else ''}"):
        lab.people.ask("PUT", path, by=holder, json=wish).raise_for_status()
        since = datetime.now(UTC)
        time.sleep(held_seconds)
        lab.book.add(Hold(device, since, datetime.now(UTC), holder))
        lab.people.ask("DELETE", path, by=holder).raise_for_status()


HARMS: Final[dict[str, tuple[float, Sequence[tuple[int, Harm]]]]] = {
    "agents": (2.0, [(2, kill_agent), (3, kill_worker)]),
    "coordinators": (8.0, [(4, kill_coordinator), (1, kill_both_coordinators), (1, restart_coordinator)]),
    "large jobs": (4.0, [(1, kill_submission_process)]),
    "database": (14.0, [(1, restart_postgres)]),
    "broker": (4.0, [(2, restart_broker), (2, flush_broker), (2, delay_messages)]),
    "work": (3.0, [(9, cancel_run), (1, cancel_job)]),
    "drains": (3.0, [(1, drain_device)]),
    "reservations": (3.0, [(1, reserve_device)]),
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
