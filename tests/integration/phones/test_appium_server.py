"""A phone's Appium server: when it lives, and that nothing of it is left."""

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agents.browsers.appium_server import AppiumServer
from agents.devices.adb import AdbSettings
from agents.faults import AttemptStoppedError, BrowserStartError
from tests.phone_bench import APPIUM_HOME, provide_appium
from tests.waiting import wait_until

PATIENCE_SECONDS = 60
NEVER = threading.Event()
OTHER_AGENT = """
import sys, threading
from pathlib import Path
from agents.browsers.appium_server import AppiumServer
from agents.devices.adb import AdbSettings
server = AppiumServer(Path(sys.argv[1]), AdbSettings(Path(sys.argv[2])), "phone", Path(sys.argv[3]))
server.acquire(60, threading.Event())
print(server.process, flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def adb() -> AdbSettings:
    provide_appium()
    found = shutil.which("adb")
    assert found is not None
    return AdbSettings(Path(found), 1)


@pytest.fixture
def server(adb: AdbSettings, tmp_path: Path) -> Iterator[AppiumServer]:
    server = AppiumServer(APPIUM_HOME, adb, "phone", tmp_path)
    yield server
    server.close()


def process_of(server: AppiumServer) -> psutil.Process:
    assert server.process is not None
    return psutil.Process(server.process)


def test_it_is_kept_between_attempts_and_ended_at_close(server: AppiumServer) -> None:
    assert server.process is None
    url = server.acquire(PATIENCE_SECONDS, NEVER)
    process = process_of(server)
    server.release()
    assert server.acquire(PATIENCE_SECONDS, NEVER) == url
    server.close()
    assert not process.is_running()
    assert server.process is None


def test_one_that_is_idle_for_long_is_ended(adb: AdbSettings, tmp_path: Path) -> None:
    server = AppiumServer(APPIUM_HOME, adb, "phone", tmp_path, idle_seconds=0.2)
    server.acquire(PATIENCE_SECONDS, NEVER)
    server.release()
    wait_until(lambda: server.process is None, what="the server's end")
    server.acquire(PATIENCE_SECONDS, NEVER)
    assert process_of(server).is_running()
    server.close()


@pytest.mark.parametrize("trouble", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "hanging"])
def test_one_that_does_not_answer_is_replaced(server: AppiumServer, trouble: signal.Signals) -> None:
    server.acquire(PATIENCE_SECONDS, NEVER)
    first = process_of(server)
    first.send_signal(trouble)
    server.acquire(PATIENCE_SECONDS, NEVER)
    assert process_of(server) != first
    assert not first.is_running()


def test_two_phones_do_not_share_anything(adb: AdbSettings, tmp_path: Path) -> None:
    servers = [AppiumServer(APPIUM_HOME, adb, name, tmp_path / name) for name in ("one", "other")]
    urls = {server.acquire(PATIENCE_SECONDS, NEVER) for server in servers}
    assert len(urls) == 2
    other = process_of(servers[1])
    servers[0].kill()
    assert other.is_running()
    servers[1].close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start of the agent ends it")
def test_it_dies_with_its_agent(adb: AdbSettings, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OTHER_AGENT, str(APPIUM_HOME), str(adb.binary), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        process = psutil.Process(int(agent.stdout.readline()))
        agent.kill()
    assert psutil.wait_procs([process], timeout=30)[1] == []


def test_what_a_dead_agent_has_left_is_ended(server: AppiumServer, adb: AdbSettings, tmp_path: Path) -> None:
    stray = AppiumServer(APPIUM_HOME, adb, "phone", tmp_path)
    stray.acquire(PATIENCE_SECONDS, NEVER)
    left = process_of(stray)
    server.acquire(PATIENCE_SECONDS, NEVER)
    assert psutil.wait_procs([left], timeout=10)[1] == []
    assert process_of(server).is_running()


def test_a_start_may_be_stopped(server: AppiumServer) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(AttemptStoppedError):
        server.acquire(PATIENCE_SECONDS, stop)


def test_an_appium_that_cannot_start_says_why(adb: AdbSettings, tmp_path: Path) -> None:
    with pytest.raises(BrowserStartError, match=r"Appium is not installed in .*install-appium"):
        AppiumServer(tmp_path, adb, "phone", tmp_path / "folder").acquire(PATIENCE_SECONDS, NEVER)
