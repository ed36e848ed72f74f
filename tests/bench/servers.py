"""A page server and nginx, each in a process of its own, with the same files at the same paths.

`python -m tests.bench.servers FOLDER` is the page server's process; it serves until its standard input ends.
"""

import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from agents.page_server import PageServer
from orchestrator.contract.job import ProbeWorkload
from orchestrator.contract.page import PageSpec
from orchestrator.contract.vocabulary import Backend, Task, Weights
from orchestrator.pages import media_type
from tests.bench.lab import MeasureError
from tests.waiting import wait_until

PAGE_FILES: Final = ("serving.html", "serving.mjs")
MODEL_FILE: Final = "model.bin"
_NGINX: Final = """
    daemon off;
    worker_processes 1;
    pid {folder}/nginx.pid;
    error_log {folder}/error.log;
    events {{}}
    http {{
        access_log off;
        sendfile on;
        tcp_nopush on;
        types {{ text/html html; text/javascript mjs; }}
        client_body_temp_path {folder}/body;
        proxy_temp_path {folder}/proxy;
        fastcgi_temp_path {folder}/fastcgi;
        uwsgi_temp_path {folder}/uwsgi;
        scgi_temp_path {folder}/scgi;
        server {{ listen 127.0.0.1:{port}; root {root}; }}
    }}
"""


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    """Where the files lie; ends with a slash."""
    process: psutil.Process


@contextmanager
def page_server(folder: Path) -> Iterator[Served]:
    """Our own, as a worker runs it."""
    command = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise MeasureError("the page server did not start")
            yield Served(url, psutil.Process(process.pid))
        finally:
            process.kill()


@contextmanager
def nginx(folder: Path, binary: str, scratch: Path) -> Iterator[Served]:
    """The same files by nginx, with sendfile."""
    port = _free_port()
    config = scratch / "nginx.conf"
    config.write_text(textwrap.dedent(_NGINX).format(folder=scratch, port=port, root=folder))
    scratch.chmod(0o755)  # its workers may run as somebody else
    with subprocess.Popen([binary, "-p", str(scratch), "-e", str(scratch / "error.log"), "-c", str(config)]) as process:
        try:
            wait_until(lambda: process.poll() is not None or _answers(port), what="nginx listening")
            if process.poll() is not None:
                raise MeasureError(f"nginx did not start: {(scratch / 'error.log').read_text().strip()}")
            yield Served(f"http://127.0.0.1:{port}/", psutil.Process(process.pid))
        finally:
            process.terminate()  # the master process ends its worker too


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _serve(folder: Path) -> None:
    spec = PageSpec(
        contract_version=1,
        attempt="serving.1",
        variant="serving",
        model="Serving",
        weights=Weights.SYNTHETIC,
        runtime="probe",
        runtime_version="1",
        backend=Backend.WASM,
        task=Task.PROBE,
        options={},
        files=[],
        workload=ProbeWorkload(),
        validation=None,
    )
    server = PageServer()
    server.start()
    try:
        page = server.open_attempt(
            spec,
            page_files={name: folder / name for name in PAGE_FILES},
            model_files={MODEL_FILE: folder / "model" / MODEL_FILE},
            media_types={name: media_type(Path(name)) for name in PAGE_FILES},
        )
        print(page.public_url, flush=True)
        sys.stdin.read()
    finally:
        server.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
