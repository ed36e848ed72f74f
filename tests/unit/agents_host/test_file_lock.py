"""File locks: shared beside shared, exclusive alone, and free when the holder is gone."""

import subprocess
import sys
import threading
from pathlib import Path

from agents.file_lock import FileLock

HOLDER = """
import sys
from pathlib import Path
from agents.file_lock import FileLock
assert FileLock(Path(sys.argv[1])).try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_shared_locks_stand_beside_each_other_and_exclude_an_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    readers = [FileLock(path, shared=True), FileLock(path, shared=True)]
    writer = FileLock(path)
    assert all(reader.try_acquire() for reader in readers)
    assert not writer.try_acquire()
    for reader in readers:
        reader.release()
    assert writer.try_acquire()
    assert not readers[0].try_acquire()
    writer.release()


def test_waiting_ends_with_the_time_or_with_stop(tmp_path: Path) -> None:
    path, stop = tmp_path / "lock", threading.Event()
    with FileLock(path).held() as held:
        assert held
        assert not FileLock(path).acquire(seconds=0.01)
        stop.set()
        assert not FileLock(path).acquire(stop=stop)


def test_a_killed_holder_frees_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = FileLock(path)
        assert not lock.try_acquire()
        holder.kill()
        holder.wait(timeout=20)
        assert lock.try_acquire()
        lock.release()
