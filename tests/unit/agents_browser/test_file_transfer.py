"""Files on their way to a browser that reads slowly, or not to the end: what is counted is what reached it."""

import fcntl
import hashlib
import os
import socket
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agents.attempt_page import AttemptPage
from agents.page_server import PageServer
from tests.unit.agents_browser.test_page_server import page_spec
from tests.waiting import wait_until

LARGE, SMALL = 96 * 2**20, 2 * 2**20
"""Of a large file most has not even been read from disk when the browser stops; a small one fits into the sockets."""
FILES = {"large.bin": LARGE, "small.bin": SMALL}


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def page(server: PageServer, tmp_path: Path) -> AttemptPage:
    files = {name: tmp_path / name for name in FILES}
    for name, size in FILES.items():
        files[name].write_bytes(os.urandom(2**20) * (size // 2**20))
    return server.open_attempt(page_spec(), page_files={}, model_files=files, media_types={})


class SlowBrowser:
    """A connection that has asked for a file and reads only as much as it is told."""

    def __init__(self, page: AttemptPage, name: str) -> None:
        port = int(page.public_url.split(":")[2].split("/")[0])
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._socket.connect(("127.0.0.1", port))
        head = f"GET /run/run-1.1/model/{name} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"
        self._socket.sendall(head.encode())
        self._stream = self._socket.makefile("rb", buffering=0)
        while self._stream.readline() != b"\r\n":
            pass
        self.has_read = 0

    def read(self, count: int) -> None:
        while count:
            chunk = self._socket.recv(min(count, 65_536))
            self.has_read += len(chunk)
            count -= len(chunk)

    def read_to_the_end(self) -> None:
        self._socket.settimeout(20)
        while chunk := self._socket.recv(65_536):
            self.has_read += len(chunk)

    @property
    def waiting(self) -> int:
        """Bytes that have arrived and were not read."""
        return int(struct.unpack("i", fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)))[0])

    def die(self) -> None:
        self._stream.close()
        self._socket.close()


def descriptors() -> int:
    """How many this process has open, the server's connections among them."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("read_bytes", [0, 700_001])
def test_what_a_dead_browser_had_received_is_counted_to_the_byte(page: AttemptPage, name: str, read_bytes: int) -> None:
    browser = SlowBrowser(page, name)
    browser.read(read_bytes)
    seen: list[tuple[int, int]] = []

    def is_stuck() -> bool:
        seen.append((browser.waiting, page.served.total))
        return len(seen) >= 20 and len(set(seen[-20:])) == 1 and browser.waiting > 0

    wait_until(is_stuck, what="both sockets being full")
    arrived = browser.has_read + browser.waiting
    assert page.served.total > arrived
    browser.die()
    wait_until(lambda: page.served.total <= arrived, what="the rest taken off the count")
    assert page.served.model_files == arrived


def test_what_arrives_after_the_attempt_is_neither_counted_nor_taken_off(page: AttemptPage) -> None:
    before = descriptors()
    browser = SlowBrowser(page, "large.bin")
    browser.read(700_001)
    page.close()
    at_the_end = page.served.total
    browser.read(40 * 2**20)
    browser.die()
    wait_until(lambda: descriptors() <= before, what="the end of the answer")
    assert page.served.by_path == {"model/large.bin": at_the_end}


def test_a_slow_browser_gets_every_byte_and_holds_up_nobody(page: AttemptPage, tmp_path: Path) -> None:
    slow = SlowBrowser(page, "large.bin")
    url = f"{page.public_url}model/small.bin"
    assert httpx.get(url).content == (tmp_path / "small.bin").read_bytes()
    slow.read(LARGE)
    slow.die()
    assert page.served.by_path == {"model/large.bin": LARGE, "model/small.bin": SMALL}


def test_one_connection_serves_one_file_after_the_other(page: AttemptPage, tmp_path: Path) -> None:
    with httpx.Client() as client:
        for name in [*FILES, *FILES]:
            sha256 = hashlib.sha256(client.get(f"{page.public_url}model/{name}").content).hexdigest()
            assert sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert page.served.total == 2 * (LARGE + SMALL)
    assert page.served.requests == 4


def test_connections_are_given_back(page: AttemptPage) -> None:
    before = descriptors()
    for _ in range(5):
        browser = SlowBrowser(page, "large.bin")
        browser.read(100)
        browser.die()
    wait_until(lambda: descriptors() <= before, what="no descriptor left behind")


def test_a_file_that_becomes_shorter_ends_the_answer(page: AttemptPage, tmp_path: Path) -> None:
    browser = SlowBrowser(page, "large.bin")
    shorter = 30 * 2**20
    with (tmp_path / "large.bin").open("r+b") as stream:
        stream.truncate(shorter)
    browser.read_to_the_end()
    browser.die()
    assert browser.has_read <= shorter
    assert page.served.total <= shorter
