"""The short form of `make chaos`."""

from pathlib import Path

from tests.chaos.lab import SHORT
from tests.chaos.torment import torment

SEED = 1


def test_nothing_is_lost_and_nothing_counts_twice_whatever_breaks(tmp_path: Path) -> None:
    account = torment(SEED, SHORT, tmp_path)
    assert not account.violations, account.words()
