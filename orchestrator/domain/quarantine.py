"""When a device is taken out of service, and how it comes back.

Everything that decides is in the device's record, so that a coordinator that starts anew goes on where it stopped.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.device import DeviceStatus
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Condition, FaultCode, FaultOrigin, Purpose, Verdict
from orchestrator.domain.records import DeviceRecord, QuarantineRecord, Run

FAULT_LIMIT: Final = 3
"""Faults in a row that put a device into quarantine."""
HEALTH_RUN_DELAYS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30))
"""How long after each failed health run the next one comes; the last goes on for ever."""
_NOT_THE_DEVICE: Final = frozenset(
    {
        FaultCode.DEVICE_NOT_READY,
        FaultCode.AGENT_STOPPED,
        FaultCode.DOWNLOAD,
        FaultCode.HASH_MISMATCH,
        FaultCode.TIMEOUT,
    }
)
"""Of an agent's faults those that say nothing against the device: it rests, what it needed could not be fetched, or its
job allows it less time than it needs to begin.
"""
_WORKED: Final = frozenset({Verdict.FITS, Verdict.TOO_SLOW})


def speaks_against_device(fault: Fault) -> bool:
    """Whether a fault counts towards the quarantine of the device it came from.

    What another attempt could not help, such as a spec that the page refuses, would be the same on any device.
    """
    if fault.code is FaultCode.LEASE_EXPIRED:
        return True
    return fault.origin is FaultOrigin.AGENT and fault.transient and fault.code not in _NOT_THE_DEVICE


def heard(device: DeviceRecord, status: DeviceStatus, now: datetime) -> DeviceRecord:
    """The record after its agent said how the device is."""
    told = replace(
        device,
        condition=status.condition,
        reason=status.reason,
        health=status.health or device.health,
        last_seen_at=now,
    )
    if status.condition is Condition.QUARANTINED and device.quarantine is None:
        return _quarantined(told, status.reason or "Its agent took it out of service without a reason.", now)
    return told


def after_fault(device: DeviceRecord, fault: Fault, now: datetime) -> DeviceRecord:
    """The record after an attempt that the lab failed."""
    if fault.code is FaultCode.DEVICE_NOT_READY:
        # Until its agent's next word: otherwise the device would be given the same run again at once.
        return replace(device, condition=Condition.RESTING, reason=fault.detail)
    if not speaks_against_device(fault):
        return device
    faults = device.infrastructure_faults + 1
    device = replace(device, infrastructure_faults=faults)
    if device.quarantine is None and faults >= FAULT_LIMIT:
        return _quarantined(device, _fault_words(faults, fault), now)
    return device


def after_failed_health_run(device: DeviceRecord, now: datetime) -> DeviceRecord:
    """The record after a health run that did not show that the device works."""
    delay = HEALTH_RUN_DELAYS[min(device.failed_health_runs, len(HEALTH_RUN_DELAYS) - 1)]
    return replace(device, failed_health_runs=device.failed_health_runs + 1, next_health_run_at=now + delay)


def after_result(device: DeviceRecord, run: Run, verdict: Verdict, now: datetime, interval: timedelta) -> DeviceRecord:
    """The record after an attempt that ended with a result; a device that works is looked after in an `interval`."""
    device = replace(device, infrastructure_faults=0)
    if verdict in _WORKED:
        passed = run.purpose is Purpose.HEALTH and device.condition is not Condition.QUARANTINED
        quarantine = None if passed else device.quarantine
        if device.quarantine is None or passed:
            return replace(device, quarantine=quarantine, failed_health_runs=0, next_health_run_at=now + interval)
        return device
    if run.purpose is not Purpose.HEALTH:
        return device
    if device.quarantine is None:
        # The lab did its part: that the tiny model fails here would be no other in a minute.
        return replace(device, next_health_run_at=now + interval)
    return after_failed_health_run(device, now)


def wants_health_run(device: DeviceRecord, now: datetime) -> bool:
    """Whether a health run of it is due, provided that none is on its way and that its agent is there."""
    able = device.condition is Condition.READY and bool(device.registration.facts.browsers)
    return able and device.next_health_run_at <= now


def _quarantined(device: DeviceRecord, reason: str, now: datetime) -> DeviceRecord:
    return replace(device, quarantine=QuarantineRecord(now, reason), failed_health_runs=0, next_health_run_at=now)


def _fault_words(faults: int, last: Fault) -> str:
    detail = f": {last.detail.rstrip('.')}" if last.detail else ""
    return (
        f"{faults} attempts in a row failed for reasons of the lab, the last with {last.code} in {last.phase}{detail}."
    )
