"""`model_serving`: how fast the page server hands out a large model, beside nginx's sendfile, and what memory it takes.

`python -m tests.bench.serving URL` is the client: it reads the answer's body to the end and prints bytes and seconds.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agents.browsers.protocol import BrowserSession, LaunchPlan
from agents.devices.journal import Journal
from agents.leftovers import AttemptRecord, Leftovers
from orchestrator.contract.catalog import Variant
from orchestrator.contract.vocabulary import Phase
from tests.bench.lab import Lab, MeasureError
from tests.bench.pairing import Round, interleave, median, ratio_spread, ratios
from tests.bench.plain import PAGES
from tests.bench.record import Measurement
from tests.bench.servers import MODEL_FILE, PAGE_FILES, Served, nginx, page_server
from tests.bench.trial import LeftOut
from tests.waiting import wait_until

MODEL_BYTES: Final = 1_300_000_000
_BLOCK_BYTES: Final = 1 << 20
_LAUNCH_SECONDS: Final = 60.0
_READ_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Serving:
    """Both servers read in turn: by a plain socket, and by a browser."""

    nginx: str
    """Its binary."""
    heavy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return "model_serving/socket", "model_serving/browser", "model_serving/memory"

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        by_socket, by_browser, memory = self.names
        with (
            tempfile.TemporaryDirectory(prefix="fm-serving-") as scratch,
            page_server(_fill(Path(scratch) / "files")) as ours,
            nginx(Path(scratch) / "files", self.nginx, Path(scratch)) as theirs,
        ):
            idle_bytes = ours.process.memory_info().rss
            if by_socket in wanted or memory in wanted:
                rounds = self._compare(lab, by_socket, ours, theirs, _read_by_socket)
                if by_socket in wanted:
                    yield _figure(by_socket, rounds, "a socket in a process of its own", "≥ 0.8")
                if memory in wanted:
                    yield _growth(memory, ours, idle_bytes, len(rounds))
            if by_browser in wanted:
                with _browser(lab, Path(scratch) / "browser") as session:
                    rounds = self._compare(
                        lab, by_browser, ours, theirs, lambda served: _read_by_browser(session, served)
                    )
                yield _figure(by_browser, rounds, "fetch, chunk by chunk, in one browser", None)

    def _compare(
        self, lab: Lab, name: str, ours: Served, theirs: Served, read: Callable[[Served], float]
    ) -> list[Round]:
        def report(number: int, one: Round) -> None:
            speeds = ", ".join(f"{side} {value:.2f} GB/s" for side, value in one.items())
            lab.say(f"{name}: round {number}: {speeds}; ratio {one['page server'] / one['nginx']:.3f}")

        for served in (ours, theirs):
            read(served)  # from the disk, the first time
        return interleave({"page server": lambda: read(ours), "nginx": lambda: read(theirs)}, lab.patience, report)


def trials(variants: dict[str, Variant]) -> tuple[list[Serving], list[LeftOut]]:
    """One trial where there is an nginx to compare with."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        return [], [LeftOut("model_serving", "nginx is missing: run deploy/setup/nginx.sh")]
    return [Serving(binary)], []


def _figure(name: str, rounds: Sequence[Round], reader: str, target: str | None) -> Measurement:
    shares = ratios(rounds, "page server", "nginx")
    return Measurement(
        name=name,
        value=median([one["page server"] for one in rounds]),
        unit="GB/s",
        baseline=f"nginx with sendfile: {median([one['nginx'] for one in rounds]):.3g} GB/s",
        ratio=median(shares),
        target=target,
        n=len(rounds),
        spread=ratio_spread(shares),
        note=f"a file of {MODEL_BYTES / 1e9:.1f} GB, read by {reader}",
    )


def _growth(name: str, ours: Served, idle_bytes: int, rounds: int) -> Measurement:
    peak_bytes = _peak_bytes(ours.process.pid)
    return Measurement(
        name=name,
        value=peak_bytes - idle_bytes,
        unit="bytes",
        baseline=f"the idle server: {idle_bytes:,} bytes",
        ratio=peak_bytes / idle_bytes,
        n=1,
        note=f"growth of the largest resident set; a file of {MODEL_BYTES / 1e9:.1f} GB was read {rounds + 1} times",
    )


def _peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError as error:
        raise MeasureError("the largest resident set of a process is read on Linux only") from error
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak) * 1024


def _fill(folder: Path) -> Path:
    """The page that reads, and a model of noise."""
    (folder / "model").mkdir(parents=True)
    for name in PAGE_FILES:
        shutil.copyfile(PAGES / name, folder / name)
    block = os.urandom(_BLOCK_BYTES)
    with (folder / "model" / MODEL_FILE).open("wb") as stream:
        for start in range(0, MODEL_BYTES, _BLOCK_BYTES):
            stream.write(block[: MODEL_BYTES - start])
    for path in (folder.parent, folder, folder / "model"):
        path.chmod(0o755)
    return folder


def _read_by_socket(served: Served) -> float:
    """GB/s."""
    client = subprocess.run(
        [sys.executable, "-m", __name__, f"{served.url}model/{MODEL_FILE}"], capture_output=True, text=True, check=False
    )
    if client.returncode != 0:
        raise MeasureError(f"the client failed: {client.stderr.strip().splitlines()[-1:]}")
    return _speed(client.stdout, served)


def _read_by_browser(session: BrowserSession, served: Served) -> float:
    # A word of its own each time: until the page is there, the browser still shows the last one's title.
    query = f"?{uuid.uuid4().hex}"
    session.open(f"{served.url}{PAGE_FILES[0]}{query}")
    prefix = f"read {query} "
    title = wait_until(lambda: _title(session, prefix), _READ_SECONDS, "the page having read the model")
    return _speed(title.removeprefix(prefix), served)


def _speed(said: str, served: Served) -> float:
    count, seconds = said.split()
    if int(count) != MODEL_BYTES:
        raise MeasureError(f"{served.url} gave {count} of {MODEL_BYTES} bytes")
    return int(count) / 1e9 / float(seconds)


def _title(session: BrowserSession, prefix: str) -> str | None:
    """The title of the browser's page, once it begins so."""
    address = urlsplit(session.devtools_url)
    with urllib.request.urlopen(f"http://{address.netloc}/json/list") as answer:
        titles: list[str] = [page["title"] for page in json.load(answer)]
    return next((title for title in titles if title.startswith(prefix)), None)


@contextmanager
def _browser(lab: Lab, scratch: Path) -> Iterator[BrowserSession]:
    left = Leftovers(scratch)
    left.begin(AttemptRecord(run_id="serving", number=1, device_id=lab.device.registration.id, phase=Phase.LAUNCH))
    session = None
    try:
        plan = LaunchPlan(
            profile=left.profile,
            temporary=left.temporary,
            log=left.driver_log,
            wrapper=None,
            journal=Journal(scratch / "journal.json"),
            timeout_s=_LAUNCH_SECONDS,
        )
        browser = lab.device.browser(lab.device.registration.facts.browsers[0].id)
        session = browser.launch(plan, threading.Event())
        yield session
    finally:
        with suppress(Exception):
            if session is not None:
                session.close()
        problems = left.take_away()
    if problems:
        raise MeasureError(" ".join(problems))


def _read(url: str) -> None:
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 80
    buffer, count, head = bytearray(_BLOCK_BYTES), 0, b""
    began = time.perf_counter()
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"GET {address.path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        while b"\r\n\r\n" not in head:
            head += connection.recv(_BLOCK_BYTES)
        count = len(head.partition(b"\r\n\r\n")[2])
        while received := connection.recv_into(buffer):
            count += received
    print(count, time.perf_counter() - began)


if __name__ == "__main__":
    _read(sys.argv[1])
