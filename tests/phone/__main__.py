"""`python -m tests.phone DIRECTORY`: one simulated phone, until it is told to end or its parent goes away."""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from tests.phone.browser import chromium_version
from tests.phone.control import Control
from tests.phone.group import GroupError
from tests.phone.machine import MachineError
from tests.phone.phone import Make, Phone
from tests.phone.profiles import MIB, PROFILES
from tests.phone.replay import RecordingError, read_recording

NO_CHROME = "none"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.phone", description=__doc__)
    parser.add_argument("directory", type=Path, help="where the phone's files lie; made if need be")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="low-end")
    parser.add_argument("--memory", type=int, help="in MiB, in place of the profile's")
    parser.add_argument("--serial", default="SIM0001", help="what ro.serialno says")
    parser.add_argument("--port", type=int, default=0, help="of adb; a free one by default")
    parser.add_argument("--chrome", default="", help=f"Chrome's version, or '{NO_CHROME}'; Chromium's own by default")
    parser.add_argument("--no-webview", action="store_true")
    parser.add_argument("--host-app", action="store_true", help="as if the WebView host were installed")
    parser.add_argument("--clock-offset", type=float, default=0.0, help="seconds")
    parser.add_argument("--recording", type=Path, help="a directory with recording.json to answer from")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("A simulated phone makes namespaces, mounts and cgroups: run it as root.", file=sys.stderr)
        return 2
    given.directory.mkdir(parents=True, exist_ok=True)
    version = chromium_version()
    profile = PROFILES[given.profile]
    if given.memory is not None:
        profile = replace(profile, memory_bytes=given.memory * MIB)
    try:
        make = Make(
            directory=given.directory.resolve(),
            profile=profile,
            serial=given.serial,
            port=given.port,
            chrome=None if given.chrome == NO_CHROME else given.chrome or version,
            webview=None if given.no_webview else version,
            host_app_installed=given.host_app,
            clock_offset_s=given.clock_offset,
            recording=read_recording(given.recording) if given.recording else None,
        )
        asyncio.run(run(make, lifeline=given.lifeline))
    except (GroupError, MachineError, RecordingError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


async def run(make: Make, *, lifeline: bool) -> None:
    """Serve until SIGTERM, SIGINT or, with a lifeline, the end of standard input."""
    phone = Phone(make)
    control = Control(phone)
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if lifeline:
        loop.add_reader(sys.stdin.fileno(), end.set)
    try:
        await phone.start()
        await control.listen()
        print(f"ready {phone.daemon.port}", flush=True)
        await end.wait()
    finally:
        await control.close()
        await phone.stop()


if __name__ == "__main__":
    sys.exit(main())
