"""How long an attempt may be in each phase."""

import pytest

from agents.phase_clock import PhaseClock
from orchestrator.contract.vocabulary import Phase


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock shows; a test turns it."""
    shown = [100.0]
    monkeypatch.setattr("agents.phase_clock.time.monotonic", lambda: shown[0])
    return shown


def test_a_phase_is_timed_from_when_it_was_first_heard_of(seconds: list[float]) -> None:
    clock = PhaseClock({Phase.INIT: 5})
    assert clock.overrun(Phase.DOWNLOAD) is None
    seconds[0] += 60
    assert clock.overrun(Phase.DOWNLOAD) is None
    assert clock.overrun(Phase.INIT) is None
    seconds[0] += 5
    assert clock.overrun(Phase.INIT) is None
    seconds[0] += 0.1
    assert clock.overrun(Phase.INIT) == "init took longer than 5 s"
    assert clock.overrun(Phase.WARMUP) is None


def test_a_call_is_bounded_by_its_phase() -> None:
    clock = PhaseClock({Phase.LAUNCH: 5})
    assert clock.limit(Phase.LAUNCH, 60) == 5
    assert clock.limit(Phase.LAUNCH, 2) == 2
    assert clock.limit(Phase.PREPARE, 60) == 60
