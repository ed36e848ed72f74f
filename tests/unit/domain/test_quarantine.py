from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contract.device import DeviceHealth, DeviceStatus
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Condition, FaultCode, FaultOrigin, Phase, Purpose, Verdict
from orchestrator.domain.quarantine import (
    FAULT_LIMIT,
    HEALTH_RUN_DELAYS,
    after_failed_health_run,
    after_fault,
    after_result,
    heard,
    speaks_against_device,
    wants_health_run,
)
from orchestrator.domain.records import DeviceRecord, QuarantineRecord
from tests.unit.domain.builders import NOW, device, device_record, run

INTERVAL = timedelta(hours=24)
MEASURE, HEALTH = run(), run(purpose=Purpose.HEALTH)
UNREACHABLE = Fault(
    origin=FaultOrigin.AGENT,
    code=FaultCode.DEVICE_UNREACHABLE,
    phase=Phase.OPEN,
    transient=True,
    detail="The cable was pulled.",
)


def fault(code: FaultCode, origin: FaultOrigin = FaultOrigin.AGENT) -> Fault:
    return UNREACHABLE.model_copy(update={"code": code, "origin": origin})


def after_faults(record: DeviceRecord, faults: Sequence[Fault], now: datetime = NOW) -> DeviceRecord:
    for one in faults:
        record = after_fault(record, one, now)
    return record


SICK = after_faults(device_record(), [UNREACHABLE] * FAULT_LIMIT)


@pytest.mark.parametrize(
    ("one", "speaks"),
    [
        (fault(FaultCode.DEVICE_UNREACHABLE), True),
        (fault(FaultCode.BROWSER_START), True),
        (fault(FaultCode.STORAGE_FULL), True),
        (fault(FaultCode.LEASE_EXPIRED, FaultOrigin.COORDINATOR), True),
        (fault(FaultCode.AGENT_ERROR), True),
        (fault(FaultCode.AGENT_ERROR).model_copy(update={"transient": False}), False),
        (fault(FaultCode.DOWNLOAD, FaultOrigin.COORDINATOR), False),
        (fault(FaultCode.DOWNLOAD), False),
        (fault(FaultCode.HASH_MISMATCH), False),
        (fault(FaultCode.AGENT_STOPPED), False),
        (fault(FaultCode.DEVICE_NOT_READY), False),
        (fault(FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE), False),
        (fault(FaultCode.CRASH, FaultOrigin.BROWSER), False),
    ],
)
def test_which_faults_speak_against_a_device(one: Fault, speaks: bool) -> None:
    assert speaks_against_device(one) is speaks


def test_faults_in_a_row_quarantine_with_a_sentence_that_names_the_last() -> None:
    one_less = after_faults(device_record(), [UNREACHABLE] * (FAULT_LIMIT - 1))
    assert (one_less.quarantine, one_less.infrastructure_faults) == (None, FAULT_LIMIT - 1)
    assert SICK.quarantine == QuarantineRecord(
        NOW,
        "3 attempts in a row failed for reasons of the lab, the last with device-unreachable in open: "
        "The cable was pulled.",
    )
    assert SICK.next_health_run_at == NOW, "the first health run comes at once"


@given(
    st.lists(
        st.sampled_from([UNREACHABLE, fault(FaultCode.DOWNLOAD), fault(FaultCode.AGENT_STOPPED), Verdict.FAILS]),
        max_size=12,
    )
)
def test_only_faults_in_a_row_count(history: list[Fault | Verdict]) -> None:
    record, row, longest = device_record(), 0, 0
    for one in history:
        if isinstance(one, Verdict):
            record, row = after_result(record, MEASURE, one, NOW, INTERVAL), 0
        else:
            record, row = after_fault(record, one, NOW), row + speaks_against_device(one)
        longest = max(longest, row)
        assert record.infrastructure_faults == row
    assert (record.quarantine is not None) == (longest >= FAULT_LIMIT)


@pytest.mark.parametrize("verdict", [Verdict.FITS, Verdict.TOO_SLOW])
def test_a_health_run_that_shows_that_the_device_works_ends_a_quarantine(verdict: Verdict) -> None:
    well = after_result(SICK, HEALTH, verdict, NOW, INTERVAL)
    assert (well.quarantine, well.infrastructure_faults, well.failed_health_runs) == (None, 0, 0)
    assert well.next_health_run_at == NOW + INTERVAL


@pytest.mark.parametrize("verdict", [Verdict.FAILS, Verdict.WRONG_OUTPUT])
def test_another_health_run_does_not(verdict: Verdict) -> None:
    still = after_result(SICK, HEALTH, verdict, NOW, INTERVAL)
    assert still.quarantine == SICK.quarantine
    assert still.next_health_run_at == NOW + HEALTH_RUN_DELAYS[0]


def test_a_measurement_that_was_under_way_does_not_end_a_quarantine() -> None:
    assert after_result(SICK, MEASURE, Verdict.FITS, NOW, INTERVAL).quarantine == SICK.quarantine


def test_a_quarantine_of_the_agents_does_not_end_while_it_lasts() -> None:
    said = heard(SICK, DeviceStatus(id="lab.desk", condition=Condition.QUARANTINED, reason="Dirty."), NOW)
    assert after_result(said, HEALTH, Verdict.FITS, NOW, INTERVAL).quarantine == SICK.quarantine


@given(st.integers(min_value=0, max_value=20))
def test_failed_health_runs_come_further_and_further_apart_but_never_stop(failed: int) -> None:
    record = SICK
    for _ in range(failed):
        record = after_failed_health_run(record, NOW)
    later = after_failed_health_run(record, NOW)
    expected = [timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 30)]
    assert later.next_health_run_at - NOW == expected[min(failed, 4)]


def test_faults_of_a_device_in_quarantine_do_not_begin_another() -> None:
    later = NOW + timedelta(minutes=5)
    again = after_fault(SICK, UNREACHABLE, later)
    assert (again.quarantine, again.infrastructure_faults) == (SICK.quarantine, FAULT_LIMIT + 1)
    assert again.next_health_run_at == SICK.next_health_run_at


def test_a_device_that_is_not_ready_rests_by_the_fault_until_its_agents_next_word() -> None:
    resting = after_fault(device_record(), fault(FaultCode.DEVICE_NOT_READY), NOW)
    assert (resting.condition, resting.reason) == (Condition.RESTING, "The cable was pulled.")
    assert (resting.infrastructure_faults, resting.quarantine) == (0, None)
    assert heard(resting, DeviceStatus(id="lab.desk"), NOW).condition is Condition.READY


def test_a_device_that_its_agent_quarantines_is_quarantined_with_the_agents_reason() -> None:
    status = DeviceStatus(id="lab.desk", condition=Condition.QUARANTINED, reason="A forward could not be removed.")
    said = heard(device_record(), status, NOW)
    assert said.quarantine == QuarantineRecord(NOW, "A forward could not be removed.")
    ready = heard(said, DeviceStatus(id="lab.desk"), NOW + timedelta(hours=1))
    assert ready.quarantine == said.quarantine
    assert wants_health_run(ready, NOW + timedelta(hours=1))


def test_health_is_kept_until_the_agent_says_something_newer() -> None:
    health = DeviceHealth(checked_at=NOW, battery_level=0.5)
    record = heard(device_record(), DeviceStatus(id="lab.desk", health=health), NOW)
    assert heard(record, DeviceStatus(id="lab.desk"), NOW).health == health


def test_who_wants_a_health_run() -> None:
    assert wants_health_run(SICK, NOW)
    assert not wants_health_run(device_record(), NOW)
    assert wants_health_run(device_record(next_health_run_at=NOW), NOW), "long without a success"
    assert not wants_health_run(replace(SICK, condition=Condition.RESTING), NOW)
    assert not wants_health_run(replace(SICK, registration=device(browsers=[])), NOW)


def test_a_device_that_works_is_left_alone_for_the_interval() -> None:
    due = device_record(next_health_run_at=NOW)
    for verdict in (Verdict.FITS, Verdict.TOO_SLOW):
        assert after_result(due, MEASURE, verdict, NOW, INTERVAL).next_health_run_at == NOW + INTERVAL
    assert after_result(due, MEASURE, Verdict.FAILS, NOW, INTERVAL).next_health_run_at == NOW


def test_a_scheduled_health_run_whose_model_fails_is_not_repeated_at_once() -> None:
    due = device_record(next_health_run_at=NOW)
    assert after_result(due, HEALTH, Verdict.FAILS, NOW, INTERVAL).next_health_run_at == NOW + INTERVAL
