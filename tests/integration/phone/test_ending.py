"""After a phone nothing is left of it, however it ended; and an idle one costs little."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.phone.adb import AdbServer
from tests.phone.group import find_hierarchies, sweep_groups
from tests.phone.profiles import WEBVIEW_HOST
from tests.phone.simulated import SimulatedPhone
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent.parent
IDLE_RSS_BYTES = 40_000_000


def groups(pid: int) -> list[Path]:
    """The cgroups of the phone process with this number."""
    found = find_hierarchies(Path("/proc/mounts").read_text())
    assert found is not None
    return [path for root in {found.memory, found.cpu} if (path := root / f"simphone-{pid}").exists()]


def namespaces() -> set[str]:
    """Every network namespace that a process is in."""
    return namespaces_of(process.name for process in Path("/proc").glob("[0-9]*"))


def namespaces_below(pid: int) -> set[str]:
    """Of the processes that descend from one: other tests have phones of their own."""
    return namespaces_of(str(child.pid) for child in psutil.Process(pid).children(recursive=True))


def namespaces_of(processes: Iterable[str]) -> set[str]:
    found = set()
    for process in processes:
        try:
            found.add(str(Path(f"/proc/{process}/ns/net").readlink()))
        except OSError:
            continue
    return found


def loops(directory: Path) -> bool:
    """Whether a loop device still holds a file of the directory."""
    backing = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return any(str(directory) in file for file in backing)


def test_nothing_is_left_after_the_end(adb_server: AdbServer, tmp_path: Path) -> None:
    before = namespaces()
    temporary = set(Path("/tmp").iterdir())
    with SimulatedPhone(tmp_path / "phone", host_app_installed=True) as phone:
        phone.connect(adb_server)
        adb_server.adb("-s", phone.serial, "reverse", "tcp:8080", "tcp:1")
        adb_server.adb("-s", phone.serial, "shell", f"am start -W -n {WEBVIEW_HOST}/.MainActivity", seconds=60)
        pid = phone.pid
        assert groups(pid)
        own = namespaces_below(pid) - before
        assert own
        assert loops(tmp_path)
    assert groups(pid) == []
    assert not psutil.pid_exists(pid)
    commands = [str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(tmp_path) in command]
    wait_until(lambda: own.isdisjoint(namespaces()))
    wait_until(lambda: not loops(tmp_path))
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not [path for path in set(Path("/tmp").iterdir()) - temporary if "chrom" in path.name.lower()]


def test_a_killed_phone_takes_its_processes_with_it(adb_server: AdbServer, tmp_path: Path) -> None:
    with SimulatedPhone(tmp_path / "phone", host_app_installed=True) as phone:
        phone.connect(adb_server)
        adb_server.adb("-s", phone.serial, "shell", f"am start -W -n {WEBVIEW_HOST}/.MainActivity", seconds=60)
        left = groups(phone.pid)
        os.kill(phone.pid, signal.SIGKILL)
        wait_until(lambda: not any((group / "cgroup.procs").read_text() for group in left))
    hierarchies = find_hierarchies(Path("/proc/mounts").read_text())
    assert hierarchies is not None
    sweep_groups(hierarchies)
    assert not any(group.exists() for group in left)
    adb_server.run("disconnect", phone.serial)


def test_a_phone_ends_with_the_process_that_started_it(adb_server: AdbServer, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.phone.simulated import SimulatedPhone\n"
        "with SimulatedPhone(Path(sys.argv[1])) as phone:\n    print(phone.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "phone")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert groups(pid)
        parent.kill()
    wait_until(lambda: not psutil.pid_exists(pid) and groups(pid) == [])


def test_ten_idle_phones_are_cheap(adb_server: AdbServer, tmp_path: Path) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(10) as pool:
        phones = [SimulatedPhone(tmp_path / f"phone{number}", serial=f"SIM{number}") for number in range(10)]
        for phone in pool.map(SimulatedPhone.__enter__, phones):
            stack.push(phone)
        list(pool.map(lambda phone: phone.connect(adb_server), phones))
        asked = [
            adb_server.adb("-s", phone.serial, "shell", "getprop ro.serialno; cat /proc/sys/kernel/random/boot_id")
            for phone in phones
        ]
        assert [answer.split("\n")[0] for answer in asked] == [f"SIM{number}" for number in range(10)]
        assert len(set(asked)) == 10
        sizes = [psutil.Process(phone.pid).memory_info().rss for phone in phones]
        print(f"an idle phone's process: {max(sizes) / 1e6:.1f} MB resident")
        assert max(sizes) < IDLE_RSS_BYTES
        for phone in phones:
            phone.disconnect(adb_server)
