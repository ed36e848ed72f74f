"""Ten devices on one agent, one of which hangs: the others go on, and the one ends in the right state."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.contract.vocabulary import FaultCode, Phase
from tests.integration.agents_host.lab import Lab, eventually

DEVICES = [f"host-1.device{number}" for number in range(10)]
TENTH, NINE = DEVICES[-1], DEVICES[:-1]
RUNS_EACH = 2


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[Lab]:
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    lab = Lab(tmp_path, *DEVICES)
    try:
        yield lab
    finally:
        lab.close()


def the_nine_go_on(lab: Lab, name: str) -> None:
    runs = {f"{name}-{device}-{number}": device for device in NINE for number in range(RUNS_EACH)}
    for run, device in runs.items():
        lab.send(run, device=device, behaviour="work")
    for run, device in runs.items():
        report = lab.coordinator.report_of(run)
        assert (report.device_id, report.fault) == (device, None)


def test_one_that_hangs_in_an_attempt_holds_nobody_up(lab: Lab) -> None:
    lab.start()
    for phase in ("prepare", "launch", "open", "measure", "collect", "cleanup"):
        hang = lab.place(TENTH) / f"hang-{phase}"
        hang.touch()
        lab.send(f"hanging-{phase}", device=TENTH, behaviour="work", whole=1)
        eventually((lab.place(TENTH) / f"hung-{phase}").exists, f"the tenth to hang in {phase}")
        the_nine_go_on(lab, phase)
        fault = lab.coordinator.report_of(f"hanging-{phase}").fault
        assert fault is not None, phase
        assert (fault.code, fault.transient) == (FaultCode.WORKER_LOST, True)
        assert "stuck" in fault.detail
        hang.unlink()
        lab.await_condition("ready", TENTH)
    lab.send("at-last", device=TENTH, behaviour="work")
    assert lab.coordinator.report_of("at-last").phase is Phase.COLLECT


def test_one_that_hangs_between_attempts_holds_nobody_up(lab: Lab) -> None:
    lab.start()
    for call in ("health", "restore"):
        hang = lab.place(TENTH) / f"hang-{call}"
        hang.touch()
        eventually((lab.place(TENTH) / f"hung-{call}").exists, f"the tenth to hang in {call}")
        lab.await_condition("offline", TENTH)
        the_nine_go_on(lab, call)
        assert lab.coordinator.condition(TENTH) == "offline"
        hang.unlink()
        lab.await_condition("ready", TENTH)


def test_one_that_hangs_while_it_is_opened_holds_nobody_up(lab: Lab) -> None:
    hang = lab.place(TENTH) / "hang-facts"
    hang.touch()
    lab.start_supervisor()
    for device in NINE:
        lab.await_condition("ready", device)
    eventually((lab.place(TENTH) / "hung-facts").exists, "the tenth to hang")
    the_nine_go_on(lab, "facts")
    assert lab.coordinator.condition(TENTH) == "offline"
    hang.unlink()
    lab.await_condition("ready", TENTH)
