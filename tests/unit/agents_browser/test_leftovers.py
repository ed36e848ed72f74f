"""What an attempt leaves, with harmless processes in the browser's place."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agents.leftovers import AttemptRecord, Leftovers, processes_of, sweep
from orchestrator.contract.vocabulary import Phase

# Says when it has a child, then both wait to be killed.
PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
PARENT += "print('ready', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def temporary_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def leftovers(scratch: Path) -> Leftovers:
    leftovers = Leftovers(scratch)
    leftovers.begin(AttemptRecord(run_id="run-1", number=2, device_id="lab.machine", phase=Phase.PREPARE))
    return leftovers


@pytest.fixture
def bystander() -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "--user-data-dir=/elsewhere"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def start(*marks: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PARENT, *marks], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_dead_workers_browser_driver_and_files_are_swept_away(
    leftovers: Leftovers, scratch: Path, bystander: psutil.Process
) -> None:
    leftovers.enter(Phase.WARMUP)
    (leftovers.profile / "Default").mkdir()
    (leftovers.temporary / "socket").touch()
    leftovers.wrapper.touch()
    with (
        start(f"--user-data-dir={leftovers.profile}") as browser,
        start(f"--log-path={leftovers.driver_log}") as driver,
    ):
        assert len(processes_of(scratch)) == 4

        record = sweep(scratch)

        browser.wait()
        driver.wait()
    assert record is not None
    assert (record.run_id, record.number, record.phase, record.problems) == ("run-1", 2, Phase.WARMUP, [])
    assert processes_of(scratch) == []
    assert not record.temporary.exists()
    assert bystander.is_running()
    assert list(scratch.iterdir()) == []
    assert sweep(scratch) is None


def test_a_similar_name_is_not_ours(leftovers: Leftovers, scratch: Path) -> None:
    with start(f"--user-data-dir={leftovers.profile}-2") as other:
        assert processes_of(scratch) == []
        assert leftovers.take_away() == []
        assert other.poll() is None
        for process in psutil.Process(other.pid).children():
            process.kill()
        other.kill()


def test_the_record_is_there_before_anything_else(leftovers: Leftovers, scratch: Path) -> None:
    record = json.loads((scratch / "attempt.json").read_text())
    assert (record["run_id"], record["phase"]) == ("run-1", "prepare")
    leftovers.enter(Phase.MEASURE)
    assert json.loads((scratch / "attempt.json").read_text())["phase"] == "measure"


def test_cleanup_before_anything_began_takes_away_what_an_earlier_attempt_left(
    leftovers: Leftovers, scratch: Path
) -> None:
    temporary = leftovers.temporary
    assert Leftovers(scratch).take_away() == []
    assert not temporary.exists()
    assert list(scratch.iterdir()) == []


def test_an_unreadable_record_still_lets_the_files_go(leftovers: Leftovers, scratch: Path) -> None:
    (scratch / "attempt.json").write_text("{")
    assert sweep(scratch) is None
    assert list(scratch.iterdir()) == []


def test_what_cannot_be_taken_away_is_said_and_the_record_stays(leftovers: Leftovers, scratch: Path) -> None:
    record = json.loads((scratch / "attempt.json").read_text())
    record["group"]["directories"] = [str(scratch)]
    (scratch / "attempt.json").write_text(json.dumps(record))
    swept = sweep(scratch)
    assert swept is not None
    assert swept.problems == [f"{scratch} is not a group of this program."]
    assert (scratch / "attempt.json").exists()


def test_a_directory_without_a_record_is_left_alone(tmp_path: Path) -> None:
    assert sweep(tmp_path / "nowhere") is None
