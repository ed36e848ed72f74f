"""What keeps a lab host from measuring: each finding with the command that mends it. Nothing is changed."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import httpx

from agents.browsers.appium_home import find_node, installation_problem
from agents.browsers.chromedrivers import find_chromedriver
from agents.browsers.webview_host import HOST_APP
from agents.coordinator import trusted
from agents.devices.adb import AdbSettings, find_adb
from agents.devices.emulated import find_limit_driver
from agents.disk import shortage
from agents.faults import AgentError
from agents.fleet import Roll
from agents.layout import DataLayout
from agents.settings import AgentSettings
from orchestrator.contract.base import Message

_ANSWER_SECONDS: Final = 10.0
_CLOCK_SECONDS: Final = 5.0
_SHM_BYTES: Final = 256 * 2**20
_UDEV_RULES: Final = (Path("/etc/udev/rules.d"), Path("/usr/lib/udev/rules.d"), Path("/lib/udev/rules.d"))


class Grade(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Something that one may want is not possible."""
    FAIL = "fail"
    """Something that should work does not."""


class Finding(Message):
    check: str
    grade: Grade
    text: str
    mend: str = ""
    """The command that mends it, or what to do."""


def check_host(settings: AgentSettings, coordinator: str | None) -> Iterator[Finding]:
    """All that can be said without looking at a device."""
    adb: AdbSettings | None = None
    if settings.phones:
        try:
            adb = find_adb()
        except AgentError as error:
            yield Finding(check="adb", grade=Grade.FAIL, text=str(error), mend="unset ANDROID_ADB_SERVER_PORT")
        else:
            yield _adb(adb)
    if adb is not None:
        yield from _udev()
        yield from _appium(settings)
        yield _webview_host()
    yield from _ports(settings)
    yield from _disk(settings)
    yield from _shared_memory()
    yield _limits()
    if coordinator is not None:
        yield from _coordinator(coordinator, settings.ca)


def check_devices(roll: Roll, notices: list[str], drivers: Path) -> Iterator[Finding]:
    """What is said about each device."""
    if not roll.members:
        yield Finding(
            check="devices", grade=Grade.FAIL, text="there is no device", mend="install Chrome, or plug in a phone"
        )
    for notice in notices:
        yield Finding(check="devices", grade=Grade.WARN, text=notice)
    for stranger in roll.strangers:
        mend = "sudo cp deploy/udev/51-fitmatrix-android.rules /etc/udev/rules.d/ && sudo udevadm control --reload"
        yield Finding(
            check=f"phone {stranger.serial}",
            grade=Grade.FAIL,
            text=stranger.explanation,
            mend=mend if "permission" in stranger.state else "",
        )
    for member in roll.members:
        name, browsers = member.registration.id, member.registration.facts.browsers
        if not browsers:
            yield Finding(check=name, grade=Grade.FAIL, text="it has no browser to measure in")
        for browser in browsers:
            try:
                if member.phone is not None:
                    find_chromedriver(browser, drivers)
            except AgentError as error:
                yield Finding(check=name, grade=Grade.FAIL, text=str(error))
            else:
                yield Finding(check=name, grade=Grade.OK, text=f"{browser.id} {browser.version} with its chromedriver")


def _adb(adb: AdbSettings | None) -> Finding:
    if adb is None:
        return Finding(
            check="adb",
            grade=Grade.WARN,
            text="there is no adb, so no phone takes part",
            mend="sudo apt-get install adb, or --no-phones",
        )
    version = _first_line([str(adb.binary), "version"])
    if version is None:
        return Finding(check="adb", grade=Grade.FAIL, text=f"{adb.binary} does not run", mend="install adb anew")
    return Finding(check="adb", grade=Grade.OK, text=f"{version} at {adb.binary}, server port {adb.server_port}")


def _udev() -> Iterator[Finding]:
    if sys.platform != "linux" or os.geteuid() == 0:
        return
    rules = [rule for folder in _UDEV_RULES if folder.is_dir() for rule in folder.glob("*android*.rules")]
    if rules:
        yield Finding(check="udev", grade=Grade.OK, text=f"rules for phones in {rules[0]}")
    else:
        yield Finding(
            check="udev",
            grade=Grade.WARN,
            text="there are no udev rules for phones: adb may lack permissions",
            mend="sudo cp deploy/udev/51-fitmatrix-android.rules /etc/udev/rules.d/ && sudo udevadm control --reload",
        )


def _appium(settings: AgentSettings) -> Iterator[Finding]:
    try:
        node = find_node()
    except AgentError as error:
        yield Finding(check="node", grade=Grade.FAIL, text=str(error), mend="install Node.js 24")
    else:
        yield Finding(
            check="node", grade=Grade.OK, text=f"{_first_line([str(node.binary), '--version'])} at {node.binary}"
        )
    problem = installation_problem(settings.appium_home)
    if problem is None:
        yield Finding(check="appium", grade=Grade.OK, text=f"installed in {settings.appium_home}")
    else:
        yield Finding(check="appium", grade=Grade.FAIL, text=problem, mend="fitmatrix-agent install-appium")


def _webview_host() -> Finding:
    if HOST_APP.is_file():
        return Finding(check="webview", grade=Grade.OK, text=f"the app that shows pages in a WebView is at {HOST_APP}")
    return Finding(
        check="webview",
        grade=Grade.WARN,
        text="the app that shows pages in a WebView is not built, so only Chrome is measured on phones",
        mend="agents/webview_host/build.sh",
    )


def _ports(settings: AgentSettings) -> Iterator[Finding]:
    """The ports that the agent has promised to somebody; all others are whatever is free."""
    layout = DataLayout(settings.data)
    if layout.root.exists():
        lock = layout.supervisor_lock()
        if not lock.try_acquire():
            yield Finding(check="ports", grade=Grade.OK, text="an agent runs here and has them")
            return
        lock.release()
    port = settings.metrics_port
    if port and not _is_free(port, settings.metrics_host):
        yield Finding(
            check="ports",
            grade=Grade.FAIL,
            text=f"port {port}, for metrics, is taken by another program",
            mend=f"sudo ss -ltnp 'sport = :{port}' names it; or give another --metrics-port",
        )
    elif port:
        yield Finding(check="ports", grade=Grade.OK, text=f"port {port} is free for metrics")
    moved = [str(port) for port in layout.page_ports() if not _is_free(port)]
    if moved:
        yield Finding(
            check="ports",
            grade=Grade.WARN,
            text=f"pages were at port {', '.join(moved)}, which another program has now: "
            "they move to another, and browsers fetch anew what they had kept",
            mend=f"sudo ss -ltnp 'sport = :{moved[0]}' names the program",
        )


def _disk(settings: AgentSettings) -> Iterator[Finding]:
    try:
        short = shortage([settings.data])
    except OSError as error:
        yield Finding(check="disk", grade=Grade.FAIL, text=f"{settings.data}: {error.strerror}")
        return
    if short is not None:
        yield Finding(check="disk", grade=Grade.FAIL, text=short, mend=f"df -h {settings.data}")
        return
    place = next(one for one in (settings.data, *settings.data.parents) if one.exists())
    free_gib = shutil.disk_usage(place).free / 2**30
    # What is cached already counts as free for the cache.
    grade = Grade.OK if free_gib >= 10 else Grade.WARN
    yield Finding(check="disk", grade=grade, text=f"{free_gib:.0f} GiB free below {settings.data}")


def _shared_memory() -> Iterator[Finding]:
    place = Path("/dev", "shm")
    if sys.platform != "linux":
        return
    size = shutil.disk_usage(place).total if place.is_dir() else 0
    if size < _SHM_BYTES:
        yield Finding(
            check="shared memory",
            grade=Grade.WARN,
            text=f"{place} has {size / 2**20:.0f} MiB: browsers use files instead, which is slower",
            mend="sudo mount -o remount,size=2G /dev/shm; in a container --shm-size=2g",
        )
    else:
        yield Finding(check="shared memory", grade=Grade.OK, text=f"{place} has {size / 2**20:.0f} MiB")


def _limits() -> Finding:
    driver = find_limit_driver()
    if driver is None:
        return Finding(
            check="cgroups",
            grade=Grade.WARN,
            text="browsers cannot be held within limits, so there are no emulated devices",
            mend="run the agent by systemd (deploy/systemd), which delegates a cgroup to it",
        )
    return Finding(check="cgroups", grade=Grade.OK, text=f"emulated devices by {type(driver).__name__}")


def _coordinator(url: str, ca: Path | None) -> Iterator[Finding]:
    address = url.rstrip("/") + "/readyz"
    began = time.monotonic()
    try:
        answer = httpx.get(address, timeout=_ANSWER_SECONDS, follow_redirects=True, verify=trusted(ca))
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        said = str(error) or type(error).__name__
        yield Finding(
            check="coordinator",
            grade=Grade.FAIL,
            text=f"{url} cannot be reached: {said}",
            mend="check the address, and on that machine: fitmatrix coordinator",
        )
        return
    took = time.monotonic() - began
    if not answer.is_success:
        yield Finding(
            check="coordinator",
            grade=Grade.FAIL,
            text=f"{url} answers, but not as a coordinator that is ready: {answer.status_code} {answer.text[:200]}",
            mend="check the address, and on that machine the log of: fitmatrix coordinator",
        )
        return
    yield Finding(check="coordinator", grade=Grade.OK, text=f"{url} answers in {took * 1000:.0f} ms")
    try:
        told = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        yield Finding(check="clock", grade=Grade.WARN, text=f"{url} does not say what time it is")
        return
    ahead = (datetime.now(UTC) - told).total_seconds() - took / 2
    grade = Grade.OK if abs(ahead) < _CLOCK_SECONDS else Grade.FAIL
    yield Finding(
        check="clock",
        grade=grade,
        text=f"this host's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the coordinator's",
        mend="" if grade is Grade.OK else "sudo timedatectl set-ntp true",
    )


def _is_free(port: int, host: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError:
        return False
    return True


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout.strip().splitlines() or [""])[0]
