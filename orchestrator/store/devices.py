"""Agents, their devices, and the leases on them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, bindparam, case, delete, exists, func, insert, literal, select, tuple_, update
from sqlalchemy.orm import Session

from orchestrator.contract.device import DeviceHealth, DeviceProbe, DeviceRegistration
from orchestrator.contract.vocabulary import AttemptState, Condition, DeviceKind, RunState
from orchestrator.domain.records import Agent, DeviceRecord, Lease
from orchestrator.services.ports import DeviceWord
from orchestrator.store.columns import UtcDateTime
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.events import ChangeNotes
from orchestrator.store.health_history import HealthHistory
from orchestrator.store.mapping import (
    DeviceFactsRead,
    agent_columns,
    device_columns,
    dump_always,
    to_agent,
    to_device,
    to_lease,
)
from orchestrator.store.memory import Memory
from orchestrator.store.queue import chunks
from orchestrator.store.rows import AGENTS, ATTEMPTS, DEVICES, LEASES, RUNS

_FACTS: Final = ("registration", "probes")
_DEVICE: Final = select(*(column for column in DEVICES.c if column.name not in _FACTS), AGENTS.c.last_seen_at).join(
    AGENTS, AGENTS.c.id == DEVICES.c.agent_id
)
"""All of a device but what `Memory` may know already."""
_ONE_DEVICE: Final = Statement(_DEVICE.where(DEVICES.c.id == bindparam("of")))
_CHANGED_DEVICE: Final = Statement(update(DEVICES).where(DEVICES.c.id == bindparam("of")))
_NEW_DEVICE: Final = Statement(insert(DEVICES))
_WORDS: Final = Statement(
    select(DEVICES.c.id, DEVICES.c.condition, DEVICES.c.reason, DEVICES.c.quarantined_at, DEVICES.c.health_at).where(
        DEVICES.c.agent_id == bindparam("of")
    )
)
_SAME_LEASE: Final = (LEASES.c.run_id == bindparam("of"), LEASES.c.number == bindparam("of_number"))
_LEASE: Final = Statement(select(LEASES).where(*_SAME_LEASE))
_NEW_LEASE: Final = Statement(insert(LEASES))
_RENEWED_LEASE: Final = Statement(update(LEASES).where(*_SAME_LEASE))
_ENDED_LEASE: Final = Statement(delete(LEASES).where(*_SAME_LEASE))
_AGENT: Final = Statement(select(AGENTS).where(AGENTS.c.id == bindparam("of")))
_AGENT_OF_TOKEN: Final = select(AGENTS).where(AGENTS.c.token_digest == bindparam("of"))
_UPDATE_AGENT: Final = update(AGENTS).where(AGENTS.c.id == bindparam("of"))
_TOUCHED_AGENT: Final = Statement(_UPDATE_AGENT)


class LeaseRepository:
    def __init__(self, session: Session, driver: Driver) -> None:
        self._session = session
        self._driver = driver

    def add(self, *leases: Lease) -> None:
        for lease in leases:
            self._driver.write(_NEW_LEASE, vars(lease))

    def all(self) -> list[Lease]:
        return [to_lease(row) for row in self._session.execute(select(LEASES))]

    def expired(self, now: datetime) -> list[Lease]:
        return [to_lease(row) for row in self._session.execute(select(LEASES).where(LEASES.c.expires_at <= now))]

    def of_attempt(self, run_id: str, number: int) -> Lease | None:
        row = self._driver.row(_LEASE, {"of": run_id, "of_number": number})
        return to_lease(row) if row else None

    def of_devices(self, devices: Collection[str]) -> dict[str, Lease]:
        return {
            row.device_id: to_lease(row)
            for chunk in chunks(devices)
            for row in self._session.execute(select(LEASES).where(LEASES.c.device_id.in_(chunk)))
        }

    def renew(self, leases: Sequence[Lease], expires_at: datetime) -> None:
        for lease in leases:
            place = {"of": lease.run_id, "of_number": lease.number}
            self._driver.write(_RENEWED_LEASE, place | {"expires_at": expires_at})

    def renew_all(self, expires_at: datetime) -> None:
        self._session.execute(update(LEASES).values(expires_at=expires_at))

    def renew_running(self, attempts: Mapping[str, tuple[str, int]], expires_at: datetime) -> set[str]:
        held = (
            LEASES.c.device_id.in_(attempts),
            tuple_(LEASES.c.device_id, LEASES.c.run_id, LEASES.c.number).in_(
                [(device, *attempt) for device, attempt in attempts.items()]
            ),
        )
        attempt = ATTEMPTS.c.run_id == LEASES.c.run_id, ATTEMPTS.c.number == LEASES.c.number
        running = exists().where(*attempt, ATTEMPTS.c.state == AttemptState.RUNNING).correlate(LEASES)
        later = case((running, literal(expires_at, UtcDateTime())), else_=LEASES.c.expires_at)
        renewed = update(LEASES).where(*held).values(expires_at=later).returning(LEASES.c.device_id)
        return set(self._session.scalars(renewed))

    def end(self, run_id: str, number: int) -> None:
        self._driver.write(_ENDED_LEASE, {"of": run_id, "of_number": number})


class DeviceRepository:
    def __init__(self, session: Session, driver: Driver, memory: Memory, notes: ChangeNotes) -> None:
        self._session = session
        self._driver = driver
        self._memory = memory
        self._notes = notes
        self._history = HealthHistory(session, memory)
        self._read: dict[str, DeviceRecord] = {}
        """As this transaction has read and written them: only what differs is written."""

    def put(self, device: DeviceRecord) -> None:
        identifier = device.registration.id
        before = self._read.get(identifier) or self.get(identifier)
        self._notes.device(before, device)
        columns = device_columns(device, before)
        if columns:
            if before is None:
                self._driver.write(_NEW_DEVICE, columns)
            else:
                self._driver.write(_CHANGED_DEVICE, {"of": identifier, **columns})
        if device.health is not None and "health" in columns:
            self._history.note({identifier: device.health}, device.last_seen_at)
        self._read[identifier] = device

    def get(self, device_id: str) -> DeviceRecord | None:
        return next(self._made(self._driver.rows(_ONE_DEVICE, {"of": device_id})), None)

    def some(self, devices: Collection[str]) -> dict[str, DeviceRecord]:
        return {
            record.registration.id: record
            for chunk in chunks(devices)
            for record in self._records(_DEVICE.where(DEVICES.c.id.in_(chunk)))
        }

    def count(self) -> int:
        return self._session.scalar(select(func.count()).select_from(DEVICES)) or 0

    def all(self) -> list[DeviceRecord]:
        return list(self._records(_DEVICE.order_by(DEVICES.c.id)))

    def facts_revisions(self) -> dict[str, str]:
        return dict(iter(self._session.execute(select(DEVICES.c.id, DEVICES.c.facts_revision))))

    def page(self, after: str | None, limit: int) -> list[DeviceRecord]:
        query = _DEVICE.order_by(DEVICES.c.id).limit(limit)
        return list(self._records(query if after is None else query.where(DEVICES.c.id > after)))

    def of_agent(self, agent_id: str) -> list[DeviceRecord]:
        return list(self._records(_DEVICE.where(DEVICES.c.agent_id == agent_id).order_by(DEVICES.c.id)))

    def due_for_health_run(self, now: datetime, heard_since: datetime) -> list[DeviceRecord]:
        due = (DEVICES.c.condition == Condition.READY, DEVICES.c.next_health_run_at <= now)
        return list(self._records(_DEVICE.where(*due, AGENTS.c.last_seen_at >= heard_since)))

    def reserved_until(self, now: datetime) -> list[DeviceRecord]:
        return list(self._records(_DEVICE.where(DEVICES.c.reserved_until <= now)))

    def alike(self, model: str, kind: DeviceKind, heard_since: datetime, limit: int) -> Iterator[DeviceRecord]:
        leased = exists().where(LEASES.c.exclusive_group == DEVICES.c.exclusive_group).correlate(DEVICES)
        queued = exists().where(RUNS.c.state == RunState.QUEUED, RUNS.c.device_id == DEVICES.c.id).correlate(DEVICES)
        query = (
            select(DEVICES.c.id)
            .join(AGENTS, AGENTS.c.id == DEVICES.c.agent_id)
            .where(
                DEVICES.c.model == model,
                DEVICES.c.kind == kind,
                DEVICES.c.condition == Condition.READY,
                AGENTS.c.last_seen_at >= heard_since,
            )
            .order_by(case((leased, 1), else_=0), case((queued, 1), else_=0), DEVICES.c.id)
            .limit(limit)
        )
        for chunk in chunks(list(self._session.scalars(query))):
            found = self.some(chunk)
            yield from (found[identifier] for identifier in chunk)

    def words(self, agent_id: str) -> dict[str, DeviceWord]:
        rows = self._driver.rows(_WORDS, {"of": agent_id})
        return {
            row.id: DeviceWord(Condition(row.condition), row.reason, row.quarantined_at is not None, row.health_at)
            for row in rows
        }

    def note_health(self, health: Mapping[str, DeviceHealth], now: datetime) -> None:
        told = {identifier: dump_always(one) for identifier, one in health.items()}
        known: dict[str, Any] = {}
        for chunk in chunks(told):
            rows = self._session.execute(select(DEVICES.c.id, DEVICES.c.health).where(DEVICES.c.id.in_(chunk)))
            known |= {row.id: row.health for row in rows}
        changed = [{"of": name, "health": one, "health_at": now} for name, one in told.items() if known[name] != one]
        for columns in changed:
            self._driver.write(_CHANGED_DEVICE, columns)
        self._history.note(health, now)

    def _records(self, query: Select[Any]) -> Iterator[DeviceRecord]:
        return self._made(self._session.execute(query).all())

    def _made(self, rows: Sequence[Any]) -> Iterator[DeviceRecord]:
        facts = self._facts(rows)
        for row in rows:
            record = to_device(row, facts[row.id])
            self._read[row.id] = record
            yield record

    def _facts(self, rows: Sequence[Any]) -> dict[str, DeviceFactsRead]:
        """What is known of these devices, with what had to be read of the others."""
        known = {row.id: self._memory.facts.get(row.id) for row in rows}
        facts = {
            row.id: found
            for row in rows
            if (found := known[row.id]) is not None and found.revision == row.facts_revision
        }
        missing = {row.id: row.facts_revision for row in rows if row.id not in facts}
        for chunk in chunks(missing):
            query = select(DEVICES.c.id, DEVICES.c.registration, DEVICES.c.probes).where(DEVICES.c.id.in_(chunk))
            for identifier, registration, probes in self._session.execute(query):
                facts[identifier] = DeviceFactsRead(
                    missing[identifier],
                    DeviceRegistration.model_validate(registration),
                    {browser: DeviceProbe.model_validate(probe) for browser, probe in probes.items()},
                )
                self._memory.facts.put(identifier, facts[identifier])
        return facts


class AgentRepository:
    def __init__(self, session: Session, driver: Driver) -> None:
        self._session = session
        self._driver = driver

    def put(self, agent: Agent) -> None:
        columns = agent_columns(agent)
        known = self._session.execute(_UPDATE_AGENT, {"of": agent.id, **columns})
        if not known.rowcount:  # type: ignore[attr-defined]  # an UPDATE has one, whatever Result says
            self._session.execute(insert(AGENTS), columns)

    def get(self, agent_id: str) -> Agent | None:
        row = self._driver.row(_AGENT, {"of": agent_id})
        return to_agent(row) if row else None

    def touch(self, agent_id: str, now: datetime) -> None:
        self._driver.write(_TOUCHED_AGENT, {"of": agent_id, "last_seen_at": now})

    def by_token_digest(self, digest: str) -> Agent | None:
        row = self._session.execute(_AGENT_OF_TOKEN, {"of": digest}).one_or_none()
        return to_agent(row) if row else None
