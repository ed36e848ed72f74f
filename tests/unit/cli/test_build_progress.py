"""What a build says: a line for each step, and on a terminal one line that is renewed."""

import sys

import pytest

from orchestrator.cli.build_progress import CLEAR_LINE, BuildProgress
from orchestrator.models.build import Progress


def run(report: BuildProgress) -> None:
    with report:
        report(Progress("tiny.q8", "downloading", 0.1))
        report(Progress("tiny.q8", "downloading", 1.0, done_bytes=25_000_000, total_bytes=100_000_000))
        report(Progress("tiny.q8", "downloading", 2.0, done_bytes=50_000_000))
        report(Progress("tiny.q8", "built", 3.0, finished=True))


def test_a_log_gets_no_counters(capsys: pytest.CaptureFixture[str]) -> None:
    run(BuildProgress())
    assert capsys.readouterr().out == "… tiny.q8: downloading (0.1 s)\n✔ tiny.q8: built (3.0 s)\n"


def test_a_terminal_gets_one_line_that_is_gone_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(BuildProgress())
    first, *counters, last = capsys.readouterr().out.split(CLEAR_LINE)
    assert first == "… tiny.q8: downloading (0.1 s)\n"
    assert counters == ["  25 MB of 100 MB, 25 %", "  50 MB"]
    assert last == "✔ tiny.q8: built (3.0 s)\n"


def test_an_interrupted_build_leaves_a_clean_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(KeyboardInterrupt), BuildProgress() as report:
        report(Progress("tiny.q8", "downloading", 1.0, done_bytes=1, total_bytes=2))
        raise KeyboardInterrupt
    assert capsys.readouterr().out.endswith(CLEAR_LINE)
