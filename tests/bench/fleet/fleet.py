"""Many agents in one process: an event loop in a thread of its own, told what to do from any other thread."""

import asyncio
import threading
from collections.abc import Collection, Coroutine, Mapping
from concurrent.futures import Future
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, TypeVar

from tests.bench.fleet.agent import Disk, SimulatedAgent
from tests.bench.fleet.log import Beat, Counters, Entry, FleetLog
from tests.bench.fleet.model import Model
from tests.bench.fleet.registrations import device_id
from tests.bench.fleet.reports import Reports

_AT_ONCE: Final = 8
"""Agents that enrol at the same time."""
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0
_NO_OFFSETS: Final[Mapping[str, timedelta]] = MappingProxyType({})

Result = TypeVar("Result")


class FleetError(Exception):
    """The fleet did not come up; the message says why."""


class Fleet:
    """`agents` lab hosts with `devices_per_agent` devices each, at one coordinator.

    Agents are called `<name>-000`, `<name>-001`, …, their devices `<agent>.device-000`, …. What devices did is kept in
    `entries`: one entry for each delivered message, with moments of `time.monotonic`. Kept, too, are reports that were
    not acknowledged: an agent that was killed and restarted sends them first, as one with a disk does.

    Killing and restarting work on single agents, and `kill_worker` on a device's worker. Every method is safe to call
    from any thread but the fleet's own.
    """

    def __init__(
        self,
        coordinator_url: str,
        *,
        agents: int = 1,
        devices_per_agent: int = 40,
        model: Model | None = None,
        seed: int = 0,
        name: str = "fleet",
        token: str | None = None,
        clock_offsets: Mapping[str, timedelta] = _NO_OFFSETS,
        unheard: Collection[str] = (),
        sharing: int = 0,
    ) -> None:
        """`token` lets agents enrol; `clock_offsets` says by agent how far its clock is ahead. The first `sharing`
        devices of each agent share hardware.

        Messages for the devices in `unheard` are not taken from the broker: hand them to `deliver`.
        """
        self.agent_ids = [f"{name}-{number:03d}" for number in range(agents)]
        self.device_ids = [device_id(agent, number) for agent in self.agent_ids for number in range(devices_per_agent)]
        self.model = model or Model()
        self._url, self._per_agent, self._seed, self._token = coordinator_url, devices_per_agent, seed, token
        self._clock_offsets, self._unheard = clock_offsets, frozenset(unheard)
        self._sharing = sharing
        self._reports = Reports(self.model, seed)
        self._log = FleetLog()
        self._counters = Counters()
        self._disks = {agent: Disk() for agent in self.agent_ids}
        self._agents: dict[str, SimulatedAgent] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._broken: list[str] = []
        self._loop.set_exception_handler(lambda _loop, context: self._broken.append(_words(context)))

    def __enter__(self) -> "Fleet":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, seconds: float = _START_SECONDS) -> None:
        """Returns once every agent is enrolled and listens; raises FleetError, and leaves nothing running then."""
        self._thread.start()
        try:
            self._do(self._start(self.agent_ids), seconds)
        except Exception as error:
            enrolled = self.counters.enrolments
            self.stop()
            why = _why(error) or f"{enrolled} of {len(self.agent_ids)} agents were enrolled after {seconds:.0f} s"
            raise FleetError(f"the fleet did not come up: {why}") from error

    def stop(self) -> None:
        """Ends everything as it stands, without a word to the coordinator."""
        if not self._thread.is_alive():
            return
        self._do(self._kill(list(self._agents)), _STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)

    def kill(self, agent_id: str) -> None:
        """Ends an agent with all its workers, as SIGKILL does."""
        self._do(self._kill([agent_id]), _STOP_SECONDS)

    def restart(self, agent_id: str, seconds: float = _START_SECONDS) -> None:
        """Starts an agent that was killed; returns once it is enrolled and listens. It reports what was interrupted."""
        self._do(self._start([agent_id]), seconds)

    def is_running(self, agent_id: str) -> bool:
        return agent_id in self._agents

    def kill_worker(self, device: str) -> bool:
        """Ends a device's worker in the middle of an attempt; False where it was at none."""

        async def end() -> bool:
            agent = self._agents.get(_agent_of(device))
            return agent is not None and agent.kill_worker(device)

        return self._do(end(), _STOP_SECONDS)

    def deliver(self, device: str, payload: Any, at: float) -> None:
        """A message that came to a device by another way; `at` is when, by `time.monotonic`."""
        agent = self._agents.get(_agent_of(device))
        if agent is not None:
            self._loop.call_soon_threadsafe(agent.deliver, payload, at)

    @property
    def counters(self) -> Counters:
        """As they are now."""
        now = self._counters.copy()
        now.requests += sum(agent.requests for agent in list(self._agents.values()))
        return now

    @property
    def entries(self) -> list[Entry]:
        """Of all devices; each device's in the order in which its messages came."""
        return list(self._log)

    def entries_of(self, device: str) -> list[Entry]:
        return self._log.of(device)

    @property
    def beats(self) -> dict[str, list[Beat]]:
        """Every agent's heartbeats that were answered."""
        return {agent: list(beats) for agent, beats in self._log.beats.items()}

    @property
    def busy(self) -> int:
        """Devices that are in the middle of an attempt."""
        return sum(len(disk.at_work) for disk in self._disks.values())

    @property
    def unsent(self) -> int:
        """Reports that were not acknowledged yet."""
        return sum(len(disk.spool) for disk in self._disks.values())

    @property
    def troubles(self) -> list[str]:
        """What went wrong in the simulator itself: always a mistake of its own."""
        return list(self._broken)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
        future: Future[Result] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    async def _start(self, agent_ids: Collection[str]) -> None:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def start(agent_id: str) -> None:
            async with turn:
                agent = self._agents[agent_id] = self._new(agent_id)
                await agent.start()

        async with asyncio.TaskGroup() as group:
            for agent_id in agent_ids:
                if agent_id not in self._agents:
                    group.create_task(start(agent_id))

    async def _kill(self, agent_ids: Collection[str]) -> None:
        for agent_id in agent_ids:
            agent = self._agents.pop(agent_id, None)
            if agent is not None:
                await agent.kill()

    def _new(self, agent_id: str) -> SimulatedAgent:
        return SimulatedAgent(
            agent_id,
            url=self._url,
            devices=self._per_agent,
            model=self.model,
            seed=self._seed,
            reports=self._reports,
            disk=self._disks[agent_id],
            log=self._log,
            counters=self._counters,
            token=self._token,
            clock_offset=self._clock_offsets.get(agent_id, timedelta()),
            unheard=self._unheard,
            sharing=self._sharing,
        )


def _agent_of(device: str) -> str:
    return device.partition(".")[0]


def _why(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _why(error.exceptions[0])
    return str(error)


def _words(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context['message']}: {error!r}" if error is not None else str(context["message"])
