"""Room on disk: who is short of it is told where, how much, and what to do."""

from pathlib import Path

import pytest

from agents import disk


def test_with_enough_room_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert disk.shortage([tmp_path, tmp_path / "not" / "made" / "yet"], reserve_bytes=1) is None


def test_the_directory_that_is_short_is_named_with_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {tmp_path / "spool": 900 * disk.MIB, tmp_path / "cache": 37 * disk.MIB}
    monkeypatch.setattr(disk, "free_bytes", lambda directory: free[directory])
    assert disk.shortage(free) == (
        f"the disk below {tmp_path / 'cache'} has 37 MiB free, less than the 512 MiB that are kept for reports: delete "
        "something there, or let the model cache take less (FITMATRIX_AGENT_CACHE_GIB)"
    )


def test_the_cache_leaves_more_than_the_reserve() -> None:
    assert disk.KEEP_FREE_BYTES > disk.RESERVE_BYTES


def test_a_directory_that_is_not_there_yet_is_measured_where_it_will_be(tmp_path: Path) -> None:
    assert disk.free_bytes(tmp_path / "a" / "b") > 0
