"""Devices that share hardware: the coordinator gives one of them work at a time, and their host sees to the rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.agents_host.lab import Lab, eventually

FIRST, SECOND = "host-1.twin0", "host-1.twin1"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[Lab]:
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    lab = Lab(tmp_path, FIRST, SECOND)
    try:
        yield lab
    finally:
        lab.close()


def test_what_follows_a_withdrawn_attempt_waits_until_that_has_ended(lab: Lab) -> None:
    """The coordinator forgets it at once, and may lease the other device before this one has heard of that."""
    lab.start()
    lab.send("withdrawn", device=FIRST, behaviour="wait")
    lab.running("withdrawn", device=FIRST)
    lab.send("next", device=SECOND)
    eventually(lambda: "next.1" in lab.coordinator.started, "the next one to be let begin")
    beats = len(lab.coordinator.heartbeats)
    eventually(lambda: len(lab.coordinator.heartbeats) >= beats + 3, "time in which it could begin")
    assert lab.coordinator.reports == []
    lab.coordinator.fenced = [{"run_id": "withdrawn", "number": 1}]
    ended = lab.coordinator.report_of("withdrawn")
    began = lab.coordinator.report_of("next")
    assert ended.fault is not None
    assert began.fault is None
    assert began.started_at >= ended.finished_at


def test_an_attempt_that_is_withdrawn_while_it_waits_waits_no_longer(lab: Lab) -> None:
    lab.start()
    lab.send("first", device=FIRST, behaviour="wait")
    lab.running("first", device=FIRST)
    lab.send("second", device=SECOND)
    eventually(lambda: "second.1" in lab.coordinator.started, "the second to be let begin")
    lab.coordinator.fenced = [{"run_id": "second", "number": 1}]
    fault = lab.coordinator.report_of("second").fault
    assert fault is not None
    assert fault.detail == "A device that shares this one's hardware has not ended its attempt."
    assert [report.run_id for report in lab.coordinator.reports] == ["second"]
