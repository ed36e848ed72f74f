from datetime import timedelta

import pytest

from orchestrator.contract.vocabulary import Condition
from orchestrator.domain.claims import refusal
from orchestrator.domain.records import DeviceRecord, Lease
from tests.unit.domain.builders import NOW, device_record

SILENCE = timedelta(seconds=20)
ALIVE = Lease("lab.desk", "lab.desk", "r-1", 1, NOW + timedelta(seconds=1))
ENDED = Lease("lab.desk", "lab.desk", "r-1", 1, NOW)
SILENT = device_record(last_seen_at=NOW - timedelta(seconds=21))
UNPLUGGED = device_record(condition=Condition.OFFLINE)


def refused(device: DeviceRecord, lease: Lease | None, agent_id: str = "other") -> str | None:
    return refusal(device, agent_id, lease, NOW, SILENCE)


@pytest.mark.parametrize("device", [device_record(), SILENT, UNPLUGGED])
@pytest.mark.parametrize("lease", [None, ALIVE, ENDED])
def test_an_agent_may_always_have_its_own_devices(device: DeviceRecord, lease: Lease | None) -> None:
    assert refused(device, lease, "lab") is None


@pytest.mark.parametrize("condition", [one for one in Condition if one is not Condition.OFFLINE])
def test_a_device_that_is_there_stays_where_it_is(condition: Condition) -> None:
    said = refused(device_record(condition=condition), None)
    assert said is not None
    assert said.startswith(f"Agent lab has this device and says that it is {condition}: unplug it there")


@pytest.mark.parametrize("device", [SILENT, UNPLUGGED])
def test_a_device_that_is_gone_moves_when_no_lease_on_it_is_alive(device: DeviceRecord) -> None:
    assert refused(device, None) is None
    assert refused(device, ENDED) is None
    said = refused(device, ALIVE)
    assert said is not None
    assert "at 03:04:06 UTC; enrol again then" in said
