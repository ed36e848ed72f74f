"""Workers are forks of a nursery: they outlive it, and it is there again when one is needed."""

import os
import signal

import psutil
import pytest

from agents.nursery import Nursery, Spawner, starter_for
from tests.integration.agents_host.lab import Lab, eventually, gone
from tests.integration.agents_host.nursling import NURSLING, ends_with


@pytest.fixture(params=[Nursery, Spawner])
def starter(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]  # a generator of either kind
    starter = request.param(NURSLING)
    yield starter
    starter.close()


def test_a_worker_speaks_by_its_standard_streams(starter: Nursery | Spawner) -> None:
    child = starter.start()
    assert ends_with(child, b"say 3\n") == (b"heard say 3\n", 3)


def test_a_workers_death_is_told_as_what_it_was(starter: Nursery | Spawner) -> None:
    child = starter.start()
    os.kill(child.pid, signal.SIGKILL)
    assert ends_with(child, b"")[1] == -signal.SIGKILL


def test_a_worker_leads_a_session_of_its_own(starter: Nursery | Spawner) -> None:
    child = starter.start()
    eventually(lambda: os.getsid(child.pid) == child.pid, "a session")
    assert ends_with(child, b"")[1] == 0


def test_workers_of_a_nursery_are_its_children() -> None:
    nursery = Nursery(NURSLING)
    one, other = nursery.start(), nursery.start()
    assert {psutil.Process(child.pid).ppid() for child in (one, other)} == {nursery.pid}
    for child in (one, other):
        ends_with(child, b"")
    pid = nursery.pid
    nursery.close()
    assert pid is not None
    eventually(lambda: gone(pid), "the nursery's end")


def test_a_worker_outlives_its_nursery_and_the_next_one_has_another() -> None:
    nursery = Nursery(NURSLING)
    child, first = nursery.start(), nursery.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    later = nursery.start()
    assert nursery.pid != first
    assert ends_with(child, b"say 4\n") == (b"heard say 4\n", None)
    assert ends_with(later, b"say 5\n") == (b"heard say 5\n", 5)
    nursery.close()


def test_a_nursery_ends_with_its_supervisor() -> None:
    nursery = Nursery(NURSLING)
    child, pid = nursery.start(), nursery.pid
    assert pid is not None
    line = nursery._line
    assert line is not None
    line._socket.close()  # as the kernel does for a supervisor that was killed
    line.process.wait(30)
    assert not gone(child.pid)
    ends_with(child, b"")


def test_this_system_forks() -> None:
    assert isinstance(starter_for(NURSLING), Nursery)


def test_an_attempt_goes_on_without_the_nursery(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    pid = lab.running("run-1")["pid"]
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    lab.release("run-1")
    assert lab.coordinator.report_of("run-1").fault is None
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert lab.running("run-2")["pid"] == pid


def test_a_worker_that_died_after_its_nursery_is_replaced(lab: Lab) -> None:
    lab.start()
    lab.send("run-1", behaviour="wait")
    pid = lab.running("run-1")["pid"]
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    fault = lab.coordinator.report_of("run-1").fault
    assert fault is not None
    assert fault.is_infrastructure
    lab.send("run-2")
    lab.coordinator.report_of("run-2")
    assert lab.running("run-2")["pid"] != pid
