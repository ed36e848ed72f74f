"""A cache whose users are killed at any point stays usable."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.model_cache import ModelCache, WantedFile
from tests.integration.agents_host.cache_user import Directory
from tests.integration.agents_host.lab import sha256

USER = Path(__file__).with_name("cache_user.py")
FILES, FILE_BYTES, CAP_BYTES = 5, 60_000, 150_000
USERS, KILLS = 2, 8


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "files"
    directory.mkdir()
    for _ in range(FILES):
        content = os.urandom(FILE_BYTES)
        (directory / sha256(content)).write_bytes(content)
    return directory


@contextmanager
def user(cache: Path, files: Path, root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of using the cache; killed at the end."""
    command = [sys.executable, str(USER), str(cache), str(files), str(CAP_BYTES)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_killed_users_leave_a_cache_that_gives_the_right_bytes(
    tmp_path: Path, files: Path, pytestconfig: pytest.Config
) -> None:
    root = tmp_path / "cache"
    cache, source = ModelCache(root, cap_bytes=CAP_BYTES), Directory(files, breaks=False)
    dice = random.Random(1)
    for _ in range(KILLS):
        with user(root, files, pytestconfig.rootpath) as one, user(root, files, pytestconfig.rootpath) as other:
            for victim in (one, other):
                time.sleep(dice.uniform(0, 0.2))  # the point at which it dies is any
                assert victim.poll() is None
                victim.kill()
                assert victim.communicate()[0] == ""
        for file in files.iterdir():
            wanted = {"m": WantedFile(file.name, FILE_BYTES)}
            with cache.use(wanted, source=source, stop=threading.Event()) as paths:
                assert paths["m"].read_bytes() == file.read_bytes()
        assert cache.bytes() <= CAP_BYTES
