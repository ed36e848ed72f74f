"""The queue of runs, read by skipping from one entry of its index to the next."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Row, bindparam, exists, literal_column, select, text
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import RunState
from orchestrator.domain.fair_share import Usage
from orchestrator.domain.placement import Head
from orchestrator.store.columns import UtcDateTime
from orchestrator.store.driver import Driver, Statement
from orchestrator.store.rows import DEVICES, RUNS, SUBMITTERS

CHUNK: Final = 500
"""Values in one statement's list: databases bound them."""

# Not a join with the agents: PostgreSQL would begin with all that were heard, whichever devices are asked for.
_WAITING: Final = """
SELECT d.id FROM devices AS d
WHERE d.condition = 'ready' AND (SELECT a.last_seen_at FROM agents AS a WHERE a.id = d.agent_id) >= :heard_since
  AND NOT EXISTS (SELECT 1 FROM leases AS l WHERE l.exclusive_group = d.exclusive_group)
  AND EXISTS (SELECT 1 FROM runs AS r WHERE r.state = 'queued' AND r.device_id = d.id)
"""
_OF_THESE: Final = "AND d.exclusive_group IN (SELECT w.exclusive_group FROM devices AS w WHERE w.id IN :devices)"

_WAITING_OF_ALL: Final = text(_WAITING).bindparams(bindparam("heard_since", type_=UtcDateTime()))
_WAITING_OF_THESE: Final = text(_WAITING + _OF_THESE).bindparams(
    bindparam("heard_since", type_=UtcDateTime()), bindparam("devices", expanding=True)
)

# Each SELECT of a minimum or maximum is one step down ix_runs_queue: the browsers of a device that runs wait for, the
# highest priority of each (or, one after the other, all of them), its submitters, and of each submitter the first run.
# That one is read by another statement: PostgreSQL expects a thousand times the rows of a recursion, and would join
# them by reading every run there is.
_FIRST: Final = text("""
WITH RECURSIVE lane(device_id, browser) AS (
  SELECT d.id, (SELECT min(r.browser) FROM runs AS r WHERE r.state = 'queued' AND r.device_id = d.id)
  FROM devices AS d WHERE d.id IN :devices
  UNION ALL
  SELECT l.device_id, (SELECT min(r.browser) FROM runs AS r
    WHERE r.state = 'queued' AND r.device_id = l.device_id AND r.browser > l.browser)
  FROM lane AS l WHERE l.browser IS NOT NULL
), level(device_id, browser, priority) AS (
  SELECT l.device_id, l.browser, (SELECT max(r.priority) FROM runs AS r
    WHERE r.state = 'queued' AND r.device_id = l.device_id AND r.browser = l.browser)
  FROM lane AS l WHERE l.browser IS NOT NULL
  UNION ALL
  SELECT l.device_id, l.browser, (SELECT max(r.priority) FROM runs AS r
    WHERE r.state = 'queued' AND r.device_id = l.device_id AND r.browser = l.browser AND r.priority < l.priority)
  FROM level AS l WHERE l.priority > :stop_at
), share(device_id, browser, priority, submitter) AS (
  SELECT l.device_id, l.browser, l.priority, (SELECT min(r.submitter) FROM runs AS r
    WHERE r.state = 'queued' AND r.device_id = l.device_id AND r.browser = l.browser AND r.priority = l.priority)
  FROM level AS l WHERE l.priority IS NOT NULL
  UNION ALL
  SELECT s.device_id, s.browser, s.priority, (SELECT min(r.submitter) FROM runs AS r
    WHERE r.state = 'queued' AND r.device_id = s.device_id AND r.browser = s.browser AND r.priority = s.priority
      AND r.submitter > s.submitter)
  FROM share AS s WHERE s.submitter IS NOT NULL
)
SELECT (SELECT r.id FROM runs AS r WHERE r.state = 'queued' AND r.device_id = s.device_id AND r.browser = s.browser
    AND r.priority = s.priority AND r.submitter = s.submitter
  ORDER BY r.job_created_at, r.repeat, r.variant_bytes LIMIT 1)
FROM share AS s WHERE s.submitter IS NOT NULL
""").bindparams(bindparam("devices", expanding=True))
_HEAD: Final = select(
    *(RUNS.c[name] for name in ("id", "device_id", "browser", "priority", "submitter")),
    *(RUNS.c[name] for name in ("job_created_at", "repeat", "variant_bytes")),
)
_HEADS: Final = _HEAD.where(RUNS.c.id.in_(bindparam("of", expanding=True)))
_EVERY_PRIORITY: Final = -1
_HIGHEST_PRIORITY: Final = 1_000
"""More than any there is: the descent stops at once."""

_HEALTH: Final = _HEAD.where(
    RUNS.c.purpose == literal_column("'health'"),  # as ix_runs_health says it
    RUNS.c.state == literal_column("'queued'"),
    RUNS.c.device_id.in_(bindparam("devices", expanding=True)),
)
_SUBMITTER: Final = Statement(select(SUBMITTERS).where(SUBMITTERS.c.name == bindparam("of")))
_SUBMITTERS: Final = select(SUBMITTERS).where(SUBMITTERS.c.name.in_(bindparam("of", expanding=True)))
# Both databases say it with the same words; SQLAlchemy would need one statement for each.
_PUT_SUBMITTER: Final = Statement(
    text(
        "INSERT INTO submitters (name, used_seconds, as_of) VALUES (:name, :used_seconds, :as_of) "
        "ON CONFLICT (name) DO UPDATE SET used_seconds = excluded.used_seconds, as_of = excluded.as_of"
    ).bindparams(bindparam("as_of", type_=UtcDateTime())),
    SUBMITTERS,
)


def chunks(values: Collection[str]) -> Iterable[list[str]]:
    """The values, so many at a time as one statement may name."""
    remaining = iter(values)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk


class QueueRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def waiting(self, devices: Collection[str] | None, heard_since: datetime) -> list[str]:
        if devices is None or len(devices) > CHUNK:
            return list(self._session.scalars(_WAITING_OF_ALL, {"heard_since": heard_since}))
        if not devices:
            return []
        values = {"heard_since": heard_since, "devices": sorted(devices)}
        return list(self._session.scalars(_WAITING_OF_THESE, values))

    def heads(self, devices: Collection[str], *, every_priority: bool = False) -> list[Head]:
        stop_at = _EVERY_PRIORITY if every_priority else _HIGHEST_PRIORITY
        found: list[Head] = []
        for chunk in chunks(devices):
            first = self._session.scalars(_FIRST, {"devices": chunk, "stop_at": stop_at}).all()
            for named in chunks(first):
                found += map(_to_head, self._session.execute(_HEADS, {"of": named}))
        return found

    def health_heads(self, devices: Collection[str]) -> list[Head]:
        return [
            _to_head(row) for chunk in chunks(devices) for row in self._session.execute(_HEALTH, {"devices": chunk})
        ]

    def has_queued(self, devices: Collection[str]) -> set[str]:
        found: set[str] = set()
        for chunk in chunks(devices):
            queued = exists().where(RUNS.c.state == RunState.QUEUED, RUNS.c.device_id == DEVICES.c.id)
            found |= set(self._session.scalars(select(DEVICES.c.id).where(DEVICES.c.id.in_(chunk), queued)))
        return found


def _to_head(row: Row[Any]) -> Head:
    return Head(
        row.id,
        row.device_id,
        row.browser,
        row.priority,
        row.submitter,
        row.job_created_at,
        row.repeat,
        row.variant_bytes,
    )


class SubmitterRepository:
    def __init__(self, session: Session, driver: Driver) -> None:
        self._session = session
        self._driver = driver

    def usage(self, names: Iterable[str]) -> dict[str, Usage]:
        found: dict[str, Usage] = {}
        for chunk in chunks(sorted(set(names))):
            if len(chunk) == 1:  # as it mostly is, and without a list in half the time
                rows = self._driver.rows(_SUBMITTER, {"of": chunk[0]})
            else:
                rows = list(self._session.execute(_SUBMITTERS, {"of": chunk}))
            found |= {row.name: Usage(row.used_seconds, row.as_of) for row in rows}
        return found

    def put(self, usage: Mapping[str, Usage]) -> None:
        for name, one in usage.items():
            self._driver.write(_PUT_SUBMITTER, {"name": name, "used_seconds": one.seconds, "as_of": one.as_of})
