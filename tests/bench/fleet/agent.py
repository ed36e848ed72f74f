"""One simulated lab host: the supervisor's part of the protocol, and that of its devices' workers."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from pydantic import ValidationError

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import AttemptRef, AttemptStart, EnrolAnswer, EnrolRequest
from orchestrator.contract.wire import API_PREFIX, CONTRACT_VERSION
from tests.bench.fleet.device import SimulatedDevice, Status, heartbeat_body, moment_bytes
from tests.bench.fleet.http_client import HttpClient, Reply, UnreachableError
from tests.bench.fleet.log import Beat, Counters, Ending, Entry, FleetLog
from tests.bench.fleet.messages import listen
from tests.bench.fleet.model import Draw, Model
from tests.bench.fleet.registrations import register
from tests.bench.fleet.reports import Reports, health, lost

_CONNECTIONS: Final = 4
"""Of one agent to the coordinator at once."""
_START_SECONDS: Final = 0.5
_ENROL_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 2.0
_CANCEL_SECONDS: Final = 0.5
_HARDWARE_SECONDS: Final = 0.05
_RETRY_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
_AT: Final = datetime(2001, 1, 1, 1, 1, 1, tzinfo=UTC)


class EnrolmentRefusedError(Exception):
    """The coordinator does not want this agent; the message says why."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A report that waits to be acknowledged."""

    entry: Entry
    body: bytes


@dataclass
class Disk:
    """What a lab host still has after its agent was killed: in memory here, so its own writes are lost to no crash."""

    spool: deque[Spooled] = field(default_factory=deque)
    at_work: dict[str, tuple[Entry, datetime]] = field(default_factory=dict)
    """The attempt that each device is at, and when it began by the agent's clock."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Attempts that each device has begun: places in its life."""
    token: str | None = None
    """The agent's own, of its last enrolment."""


class SimulatedAgent:
    """From enrolment until it is killed; `disk` and `log` outlive it."""

    def __init__(
        self,
        agent_id: str,
        *,
        url: str,
        devices: int,
        model: Model,
        seed: int,
        reports: Reports,
        disk: Disk,
        log: FleetLog,
        counters: Counters,
        token: str | None,
        clock_offset: timedelta,
        unheard: Collection[str],
        sharing: int,
    ) -> None:
        """For the devices in `unheard` it does not listen at the broker: somebody else delivers to them."""
        self.id = agent_id
        self.devices = {
            one.id: SimulatedDevice(one) for one in (register(agent_id, n, sharing) for n in range(devices))
        }
        self._hardware: dict[str, str] = {}
        """By each exclusive group whose hardware is in use, the device that has it."""
        self._model, self._seed, self._reports = model, seed, reports
        self._disk, self._log, self._counters = disk, log, counters
        self._shared_token = token
        self._clock_offset = clock_offset
        self._unheard = unheard
        self._http = HttpClient(url, _CONNECTIONS)
        moment, blank = moment_bytes(_AT).replace(b"+00:00", b"Z"), health(_AT).model_dump_json().encode()
        self._statuses = {one: Status(one, blank, moment) for one in self.devices}
        self._answer: EnrolAnswer | None = None
        self._wake, self._report_wake = asyncio.Event(), asyncio.Event()
        self._listening = asyncio.Event()
        self._enrol_wanted = False
        self._enrolled_at = 0.0
        self._is_killed = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Returns once it is enrolled and listens at the broker; waits for a coordinator that is away.

        Raises EnrolmentRefusedError.
        """
        for entry, began in self._disk.at_work.values():
            self._report_lost(entry, began)
        self._disk.at_work.clear()
        while self._answer is None:
            try:
                await self._enrol()
            except UnreachableError:
                await asyncio.sleep(_START_SECONDS)
        heard = [one for one in self.devices if one not in self._unheard]
        if heard:
            self._spawn(listen(self._enrolment.broker_url, heard, self._receive, self._drop, self._listening.set))
            await self._listening.wait()
        self._spawn(self._beat_for_ever())
        self._spawn(self._send_reports())

    async def kill(self) -> None:
        """As the kernel does it: nothing is said to anybody."""
        self._is_killed = True
        # Until they have ended: `asyncio.wait_for`, which the broker's client uses, may swallow a cancellation (it does
        # before Python 3.12 when what it waits for ends at that very moment).
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=_CANCEL_SECONDS)
        for device in self.devices.values():
            if device.entry is not None:
                device.entry.end(Ending.KILLED)
        await self._http.close()
        self._counters.requests += self._http.requests

    def kill_worker(self, device_id: str) -> bool:
        """Ends a device's worker in the middle of its attempt; whether it had one. The agent reports it as lost."""
        device = self.devices[device_id]
        entry, known = device.entry, self._disk.at_work.pop(device_id, None)
        if entry is None or known is None or device.task is None:
            return False
        device.task.cancel()
        device.task = device.entry = None
        entry.end(Ending.KILLED)
        self._report_lost(*known)
        self._work_on(device)
        return True

    def deliver(self, payload: Any, at: float) -> None:
        """A message that came to one of its devices by another way than the agent's own connection."""
        self._receive(payload, at)

    @property
    def requests(self) -> int:
        return self._http.requests

    @property
    def _enrolment(self) -> EnrolAnswer:
        assert self._answer is not None  # `start` enrols before anything else
        return self._answer

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._clock_offset

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": f"{self.id} broke", "exception": error})

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Reply:
        try:
            return await self._http.ask(method, API_PREFIX + path, body, self._disk.token)
        except UnreachableError:
            self._counters.unreachable += 1
            raise

    async def _enrol(self) -> None:
        request = EnrolRequest(
            contract_version=CONTRACT_VERSION,
            agent_id=self.id,
            agent_version="simulated",
            hostname=self.id,
            devices=[device.registration for device in self.devices.values()],
        )
        self._enrolled_at = time.monotonic()
        self._enrol_wanted = False
        path, body = f"{API_PREFIX}/agents/enrol", request.model_dump_json().encode()
        reply = await self._http.ask("POST", path, body, self._disk.token or self._shared_token)
        if reply.status == 401 and self._disk.token is not None:
            reply = await self._http.ask("POST", path, body, self._shared_token)
        if reply.status != 200:
            raise EnrolmentRefusedError(f"{self.id}: {reply.status} {reply.body[:1000].decode(errors='replace')}")
        self._answer = EnrolAnswer.model_validate_json(reply.body)
        self._disk.token = self._answer.agent_token
        self._counters.enrolments += 1

    async def _beat_for_ever(self) -> None:
        """At its pace: what a device works on is no news that the supervisor would tell at once."""
        pace = self._enrolment.heartbeat_seconds
        beat_at = time.monotonic() + pace * random.Random(f"{self._seed}/{self.id}").random()
        while True:
            self._wake.clear()
            if self._enrol_wanted and time.monotonic() - self._enrolled_at >= _ENROL_SECONDS:
                try:
                    await self._enrol()
                except UnreachableError:
                    self._enrol_wanted = True
            if time.monotonic() >= beat_at:
                reached = await self._beat(self._attempts())
                beat_at = time.monotonic() + (pace if reached else min(pace, _AWAY_SECONDS))
            pause = min(_ENROL_SECONDS if self._enrol_wanted else pace, max(0.0, beat_at - time.monotonic()))
            timer = asyncio.get_running_loop().call_later(pause, self._wake.set)
            await self._wake.wait()
            timer.cancel()

    def _attempts(self) -> list[AttemptRef | None]:
        """What each device is said to work on: until its report has arrived, unless its lease is gone."""
        awaited = {spooled.entry.device_id: spooled.entry.ref for spooled in self._disk.spool}
        attempts = []
        for device in self.devices.values():
            attempt = device.attempt or awaited.get(device.id)
            attempts.append(None if attempt is not None and attempt == device.fenced else attempt)
        return attempts

    async def _beat(self, attempts: list[AttemptRef | None]) -> bool:
        """Whether the coordinator heard it."""
        now = moment_bytes(self._now())
        sent_at = time.monotonic()
        told = [status.body(now, attempt) for status, attempt in zip(self._statuses.values(), attempts, strict=True)]
        try:
            reply = await self._ask("POST", f"/agents/{self.id}/heartbeat", heartbeat_body(told))
        except UnreachableError:
            self._enrol_wanted = True  # it may come back with another broker
            return False
        if reply.status != 200:
            self._enrol_wanted = True
            return True
        self._counters.heartbeats += 1
        self._log.beats.setdefault(self.id, []).append(Beat(sent_at, time.monotonic()))
        for fenced in json.loads(reply.body)["fenced"]:
            attempt = AttemptRef.model_validate(fenced)
            for device, said in zip(self.devices.values(), attempts, strict=True):
                if said == attempt:
                    device.fence(attempt)
        return True

    def _drop(self) -> None:
        self._counters.dropped += 1

    def _receive(self, payload: Any, at: float) -> None:
        if self._is_killed:
            return  # a task that has swallowed its cancellation: what came at that moment is lost with the agent
        try:
            spec = AttemptSpec.model_validate(payload)
        except ValidationError:
            self._drop()
            return
        device = self.devices.get(spec.device_id)
        if device is None:
            self._drop()
            return
        self._counters.received += 1
        device.inbox.append((self._log.receive(device.id, spec.run_id, spec.number, at), spec))
        self._work_on(device)

    def _work_on(self, device: SimulatedDevice) -> None:
        if device.inbox and (device.task is None or device.task.done()):
            device.task = self._spawn(self._work(device))

    async def _work(self, device: SimulatedDevice) -> None:
        while device.inbox:
            entry, spec = device.inbox.popleft()
            device.entry = entry
            ending = await self._start(device, entry)
            if ending is None:
                await self._measure(device, entry, spec)
            else:
                entry.end(ending)
            device.entry = None
        device.task = None

    async def _start(self, device: SimulatedDevice, entry: Entry) -> Ending | None:
        """Asks for leave to begin, for as long as the lease can last; None when it was given."""
        deadline = time.monotonic() + self._enrolment.lease_seconds
        start = AttemptStart(nonce=uuid4().hex).model_dump_json().encode()
        while not device.is_fenced:
            try:
                reply = await self._ask("POST", f"/attempts/{entry.run_id}/{entry.number}/start", start)
            except UnreachableError:
                reply = None
            if reply is not None and reply.status == 200:
                self._counters.begun += 1
                entry.began_at = time.monotonic()
                return None
            if reply is not None and reply.status != 401:
                self._counters.refused += 1
                return Ending.REFUSED
            if time.monotonic() >= deadline:
                return Ending.UNREACHED
            await device.pause(_START_SECONDS)
        self._counters.fenced += 1
        return Ending.FENCED

    async def _measure(self, device: SimulatedDevice, entry: Entry, spec: AttemptSpec) -> None:
        began = self._now()
        self._disk.at_work[device.id] = (entry, began)
        place = self._disk.attempts.get(device.id, 0)
        self._disk.attempts[device.id] = place + 1
        draw = self._model.draw(self._seed, device.id, place)
        try:
            if await self._has_hardware(device):
                entry.ran_at = time.monotonic()
                await device.pause(draw.seconds)
        finally:
            self._leave_hardware(device)
        if device.is_fenced:
            self._counters.fenced += 1
            draw = Draw(draw.seconds, Ending.FENCED, 0)
        body = self._reports.body(spec, draw, began, self._now())
        entry.end(draw.ending)
        self._disk.at_work.pop(device.id)
        self._spool(Spooled(entry, body))

    async def _has_hardware(self, device: SimulatedDevice) -> bool:
        """Waits until no device that shares it runs any more, as workers do; False where the lease ends before."""
        group = device.registration.exclusive_group
        while group in self._hardware:
            if await device.pause(_HARDWARE_SECONDS):
                return False
        if group is not None:
            self._hardware[group] = device.id
        return not device.is_fenced

    def _leave_hardware(self, device: SimulatedDevice) -> None:
        group = device.registration.exclusive_group
        if group is not None and self._hardware.get(group) == device.id:
            del self._hardware[group]

    def _report_lost(self, entry: Entry, began: datetime) -> None:
        self._spool(Spooled(entry, lost(entry.run_id, entry.number, entry.device_id, began, self._now())))

    def _spool(self, spooled: Spooled) -> None:
        self._disk.spool.append(spooled)
        self._report_wake.set()

    async def _send_reports(self) -> None:
        """One after the other, each until it is acknowledged or refused for good."""
        failures = 0
        spool = self._disk.spool
        while True:
            while spool:
                if await self._send(spool[0]):
                    failures = 0
                    spool.popleft()
                else:
                    await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                    failures += 1
            self._report_wake.clear()
            await self._report_wake.wait()

    async def _send(self, spooled: Spooled) -> bool:
        """Whether it is done with."""
        entry = spooled.entry
        entry.reported_at = entry.reported_at or time.monotonic()
        try:
            reply = await self._ask("PUT", f"/attempts/{entry.run_id}/{entry.number}/report", spooled.body)
        except UnreachableError:
            return False
        if reply.status == 401:
            self._enrol_wanted = True
            self._wake.set()
            return False
        if reply.status != 200:
            self._counters.rejected += 1
            return True
        entry.acknowledged_at = time.monotonic()
        entry.counted = bool(json.loads(reply.body)["counted"])
        if entry.counted:
            self._counters.counted += 1
        else:
            self._counters.late += 1
        return True
