"""`python -m tests.pictures`: what a maintainer sees, made anew for docs/images beside a simulated phone.

The commands are the real ones, run on a terminal of their own; what they wrote becomes an SVG. With `--pages` a whole
lab measures a tiny model, and its pages are photographed too. Needs what simulated phones need, and Appium.
"""

import argparse
import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from agents.browsers.discovery import find_browsers
from agents.layout import DataLayout
from orchestrator.models.build import build_variants
from tests.acceptance.lab import Lab, finished, provide_models
from tests.integration.coordinator.lab import Submitter
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone
from tests.phone_bench import APPIUM_HOME, provide_appium
from tests.waiting import wait_until
from tests.workbench import CACHE, ROOT, SHORT

IMAGES: Final = ROOT / "docs" / "images"
VARIANT: Final = "llama-tiny.q8"
_COLUMNS: Final = 118
_LINES: Final = 200
_PAGE_SIZE: Final = "1280,1000"
_MOST_BYTES: Final = 100_000
_COMMAND_SECONDS: Final = 180
_FONT_FACE: Final = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
"""Readers' own fonts will do: a page of documentation fetches nothing from elsewhere."""
_DEVICES: Final = """
devices:
  - name: desk
"""


class PictureError(Exception):
    """A picture shows what it must not, or a command ended as it should not."""


@dataclass(frozen=True)
class Studio:
    """A host called lab-1 with a phone, and where things seem to lie on it."""

    directory: Path
    server: AdbServer
    phone: SimulatedPhone
    wanted: Collection[str]
    """Pictures by name; all of them when empty."""

    @property
    def data(self) -> Path:
        return self.directory / "agent"

    @property
    def environment(self) -> Mapping[str, str]:
        settings = {"FITMATRIX_AGENT_DATA": str(self.data), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
        return self.server.environment | settings

    def picture(self, name: str, *commands: str, ends: int = 0) -> None:
        """One terminal, with commands of `fitmatrix-agent` that were typed into it; the last one's exit code."""
        if self.wanted and name not in self.wanted:
            return
        console = Console(record=True, width=_COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115 - till the end
        for number, command in enumerate(commands):
            code, said = _on_terminal(
                [sys.executable, "-m", "agents.cli", *command.split()], self.environment, self.directory
            )
            if code != (ends if number == len(commands) - 1 else 0):
                raise PictureError(f"fitmatrix-agent {command} ended with {code}: {said}")
            console.print(Text(f"$ fitmatrix-agent {command}", "bold"))
            console.print(Text.from_ansi(self._elsewhere(said).rstrip()))
            if number < len(commands) - 1:
                console.print()
        svg = console.export_svg(
            title="lab-1", code_format=_FONT_FACE.sub("", CONSOLE_SVG_FORMAT), unique_id=f"fitmatrix-{name}"
        )
        _write(f"{name}.svg", svg.encode())

    def _elsewhere(self, said: str) -> str:
        """As on a host where the agent is installed as docs/maintainers.md says."""
        return said.replace(str(self.data), "/var/lib/fitmatrix").replace(str(ROOT), "/opt/fitmatrix")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help="such as devices-hot; by default every terminal")
    parser.add_argument("--pages", action="store_true", help="the coordinator's pages as well")
    given = parser.parse_args()
    provide_appium()
    IMAGES.mkdir(exist_ok=True)
    with studio(given.only) as place:
        draw_terminals(place)
        if given.pages:
            draw_pages(place)
    return 0


@contextmanager
def studio(wanted: Collection[str]) -> Iterator[Studio]:
    directory = Path(tempfile.mkdtemp(prefix="fm-"))
    try:
        with AdbServer() as server, SimulatedPhone(directory / "phone", profile="low-end") as phone:
            place = Studio(directory, server, phone, wanted)
            identity = DataLayout(place.data).agent_id
            identity.parent.mkdir(parents=True)
            identity.write_text("lab-1\n")
            (place.data / "appium").symlink_to(APPIUM_HOME.resolve())
            build_variants([VARIANT], CACHE, report=lambda _progress: None)
            (directory / "DATA").symlink_to(CACHE)
            yield place
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def draw_terminals(place: Studio) -> None:
    phone, server = place.phone, place.server
    phone.connect(server)
    phone.set_state("unauthorized")
    _wait_for(server, phone, "unauthorized")
    place.picture("devices-unauthorized", "devices")
    phone.set_state("device")
    _wait_for(server, phone, "device")
    place.picture("doctor", "doctor")
    place.picture("devices", "devices")
    place.picture("run-once", f"run-once {VARIANT} --models DATA --device {phone.serial} --browser chrome")
    place.picture("prepare", f"prepare {phone.serial}", f"release {phone.serial}")
    place.picture("record", f"record {phone.serial} --out recorded")
    phone.set_battery(temperature_c=43.5)
    phone.set_thermal(3)
    place.picture("devices-hot", "devices")
    phone.set_thermal(0)
    phone.set_battery(temperature_c=28.7)


def draw_pages(place: Studio) -> None:
    """The matrix with the phone's columns, and the phone's own page."""
    directory = place.directory / "lab"
    provide_models(directory / "data", VARIANT)
    identity = DataLayout(directory / "agent").agent_id
    identity.parent.mkdir(parents=True)
    identity.write_text("lab-1\n")
    phones = {"FITMATRIX_AGENT_PHONES": "true", "FITMATRIX_AGENT_APPIUM": str(APPIUM_HOME)}
    lab = Lab(directory, _DEVICES, place.server.environment | phones)
    with ExitStack() as stack:
        stack.callback(lab.stop)
        lab.start()
        qa = Submitter(lab.coordinator)
        stack.callback(qa.close)

        def idle_phone() -> str | None:
            devices = qa.get("/api/v1/devices")["items"]
            ids = [one["registration"]["id"] for one in devices if one["state"] == "idle"]
            return next((one for one in ids if one.startswith("android.")), None)

        phone = wait_until(idle_phone, 60, "the phone")
        job = qa.submit(variants=[VARIANT], backends=["wasm"], devices="true", workload=SHORT, repeats=2)
        finished(qa, job, 240)
        for name, path in (("matrix", "/"), ("device", f"/devices/{phone}")):
            _photograph(f"{name}.png", lab.coordinator.url + path, directory)


def _on_terminal(command: list[str], environment: Mapping[str, str], directory: Path) -> tuple[int, str]:
    """Exit code and all that a command wrote on a terminal of its own."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, env=dict(environment), cwd=directory, stdin=subprocess.DEVNULL, stdout=its, stderr=its
    )
    os.close(its)
    said = b""
    try:
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # how Linux says that nobody has the terminal open any more
                break
            if not piece:
                break
            said += piece
        return process.wait(_COMMAND_SECONDS), said.decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()


def _photograph(name: str, url: str, directory: Path) -> None:
    browser = next(iter(find_browsers(notice=lambda problem: print(problem, file=sys.stderr))))
    picture = directory / name
    subprocess.run(
        [
            str(browser.binary),
            "--headless=new",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--user-data-dir={directory / 'camera'}",
            f"--window-size={_PAGE_SIZE}",
            f"--screenshot={picture}",
            url,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    _write(name, picture.read_bytes())


def _write(name: str, content: bytes) -> None:
    if name.endswith(".svg"):
        for what in (str(ROOT), tempfile.gettempdir(), socket.gethostname()):
            if what.encode() in content:
                raise PictureError(f"{name} shows {what!r}, which is this machine's")
        if len(content) > _MOST_BYTES:
            raise PictureError(f"{name} has {len(content)} bytes, and at most {_MOST_BYTES} are wanted")
    (IMAGES / name).write_bytes(content)
    print(f"{name}: {len(content)} bytes")


def _wait_for(server: AdbServer, phone: SimulatedPhone, state: str) -> None:
    wait_until(lambda: f"{phone.serial}\t{state}" in server.adb("devices"), 30, f"a phone that is {state}")


if __name__ == "__main__":
    sys.exit(main())
