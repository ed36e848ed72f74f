"""What makes an agent heartbeat before it is time."""

from agents.supervisor import _essence
from orchestrator.contract.device import AttemptRef, DeviceHealth, DeviceStatus
from orchestrator.contract.vocabulary import Condition
from tests.unit.domain.builders import NOW

IDLE = DeviceStatus(id="phone")


def test_a_condition_and_its_reason_are_told_at_once() -> None:
    broken = DeviceStatus(id="phone", condition=Condition.OFFLINE, reason="unplugged")
    assert _essence([IDLE]) != _essence([broken])
    assert _essence([broken]) != _essence([broken.model_copy(update={"reason": "unauthorized"})])
    assert _essence([IDLE]) != _essence([])


def test_an_attempt_and_a_devices_health_wait_for_the_next_heartbeat() -> None:
    """An agent of forty busy devices would otherwise speak of all of them at the beginning and the end of each run."""
    working = DeviceStatus(id="phone", attempt=AttemptRef(run_id="r-1", number=1))
    warm = DeviceStatus(id="phone", health=DeviceHealth(checked_at=NOW))
    assert _essence([IDLE]) == _essence([working]) == _essence([warm])
