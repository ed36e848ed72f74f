"""Who has a device: reservations, which end by themselves, and drains, which do not."""

from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.contract.vocabulary import Role
from orchestrator.domain.eligibility import live_reservation, moment
from orchestrator.domain.errors import ConflictError, NotFoundError
from orchestrator.domain.records import Caller, DeviceRecord, DrainRecord, ReservationRecord
from orchestrator.services.ports import Clock, Store, Transaction, Wakeup


class Custody:
    """What is asked for twice is done once. An attempt that is under way is never touched."""

    def __init__(self, store: Store, clock: Clock, wake: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake

    def reserve(self, device_id: str, caller: Caller, duration: timedelta, note: str) -> ReservationRecord:
        """From now on for `duration`, in place of what the caller had before.

        Raises ConflictError while somebody else has it.
        """
        now = self._clock()
        with self._store.write() as tx:
            device = _device(tx, device_id)
            held = live_reservation(device, now)
            if held is not None and held.by != caller.name:
                raise ConflictError(f"{_held(device_id, held)}: wait until then, or ask for it to be released")
            reservation = ReservationRecord(caller.name, now + duration, note)
            tx.devices.put(replace(device, reservation=reservation))
            tx.audit.add(caller, "device.reserve", device_id, until=reservation.until.isoformat(), note=note)
        self._wake([device_id])
        return reservation

    def release(self, device_id: str, caller: Caller) -> None:
        """Does nothing where nobody has it. Raises ConflictError unless the caller is the holder or an admin."""
        with self._store.write() as tx:
            device = _device(tx, device_id)
            held = live_reservation(device, self._clock())
            if held is not None and held.by != caller.name and caller.role is not Role.ADMIN:
                raise ConflictError(f"{_held(device_id, held)}: only {held.by} and admins can release it")
            if device.reservation is not None:
                tx.devices.put(replace(device, reservation=None))
                tx.audit.add(caller, "device.release", device_id)
        self._wake([device_id])

    def end_due(self) -> int:
        """Ends the reservations whose time is over, so that it is an event as any other end is; returns how many.

        What runs on a device does not wait for this: a reservation that has run out holds nobody up.
        """
        with self._store.read() as tx:
            if not tx.devices.reserved_until(self._clock()):
                return 0
        with self._store.write() as tx:
            ended = tx.devices.reserved_until(self._clock())
            for device in ended:
                tx.devices.put(replace(device, reservation=None))
        self._wake([device.registration.id for device in ended])
        return len(ended)

    def drain(self, device_id: str, caller: Caller, note: str) -> DrainRecord:
        """Takes a device out of service once it has ended what it does; a later word replaces the note."""
        with self._store.write() as tx:
            device = _device(tx, device_id)
            since: datetime = device.drain.since if device.drain else self._clock()
            drain = DrainRecord(caller.name, since, note)
            tx.devices.put(replace(device, drain=drain))
            tx.audit.add(caller, "device.drain", device_id, note=note)
        return drain

    def undrain(self, device_id: str, caller: Caller) -> None:
        with self._store.write() as tx:
            device = _device(tx, device_id)
            if device.drain is not None:
                tx.devices.put(replace(device, drain=None))
                tx.audit.add(caller, "device.undrain", device_id)
        self._wake([device_id])


def _device(tx: Transaction, device_id: str) -> DeviceRecord:
    device = tx.devices.get(device_id)
    if device is None:
        raise NotFoundError(f"there is no device {device_id}")
    return device


def _held(device_id: str, held: ReservationRecord) -> str:
    note = f" ({held.note})" if held.note else ""
    return f"{held.by} has {device_id} until {moment(held.until)}{note}"
