"""How devices were in the last days."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.vocabulary import ThermalStatus
from orchestrator.domain.health_history import STEP, is_telling
from orchestrator.store.memory import Memory
from orchestrator.store.rows import HEALTH_SAMPLES


class HealthHistory:
    def __init__(self, session: Session, memory: Memory) -> None:
        self._session = session
        self._memory = memory

    def note(self, health: Mapping[str, DeviceHealth], now: datetime) -> None:
        """Adds a sample of those devices of which there is something to tell, in one statement.

        What this process noted last decides, without asking the database; where it does not know, or another
        coordinator was there before, the key holds: a device has one sample in a minute.
        """
        minute = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % STEP
        rows: list[dict[str, Any]] = []
        for device_id, one in health.items():
            if is_telling(self._memory.samples.get(device_id), one, now):
                self._memory.samples.put(device_id, one.model_copy(update={"checked_at": now}))
                rows.append(
                    {
                        "device_id": device_id,
                        "at": minute,
                        "battery_level": one.battery_level,
                        "battery_temperature_celsius": one.battery_temperature_celsius,
                        "thermal_status": one.thermal_status,
                        "free_storage_bytes": one.free_storage_bytes,
                        "latency_ms": one.latency_ms,
                    }
                )
        if rows:
            dialect = postgresql if self._session.get_bind().dialect.name == "postgresql" else sqlite
            self._session.execute(dialect.insert(HEALTH_SAMPLES).on_conflict_do_nothing(), rows)

    def of_device(self, device_id: str, since: datetime) -> list[DeviceHealth]:
        query = (
            select(HEALTH_SAMPLES)
            .where(HEALTH_SAMPLES.c.device_id == device_id, HEALTH_SAMPLES.c.at >= since)
            .order_by(HEALTH_SAMPLES.c.at)
        )
        return [
            DeviceHealth(
                checked_at=row.at,
                battery_level=row.battery_level,
                battery_temperature_celsius=row.battery_temperature_celsius,
                thermal_status=ThermalStatus(row.thermal_status) if row.thermal_status else None,
                free_storage_bytes=row.free_storage_bytes,
                latency_ms=row.latency_ms,
            )
            for row in self._session.execute(query)
        ]

    def oldest(self) -> datetime | None:
        found: datetime | None = self._session.scalar(select(func.min(HEALTH_SAMPLES.c.at)))
        return found

    def forget(self, before: datetime) -> None:
        self._session.execute(delete(HEALTH_SAMPLES).where(HEALTH_SAMPLES.c.at < before))
