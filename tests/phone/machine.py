"""The running machine: namespaces of its own with the phone's file system, its limits and its processes.

One boot is one set of namespaces. Everything in them dies with their first process, and that one dies with the process
that booted it.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.phone.group import Group
from tests.phone.rootfs import DATA_DIRECTORIES, Rootfs

SHELL_UID = 2000
_INSIDE = "/mnt"
"""Where the phone's root is mounted for programs that need the computer's root around it, such as Chromium."""
_BOOT_SECONDS = 20.0
_LOOK_SECONDS = 0.01
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_INIT = """set -e
hostname localhost
ip link set lo up
mount -t proc proc /proc
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --bind {root} {inside}
mount --bind /usr {inside}/usr
mount -t proc proc {inside}/proc
mount -o loop,noatime {image} {inside}/data
for device in null urandom zero tty; do mount --bind /dev/$device {inside}/dev/$device; done
for proc in /proc {inside}/proc; do
  mount --bind {facts}/meminfo $proc/meminfo
  mount --bind {facts}/cpuinfo $proc/cpuinfo
  mount --bind {facts}/boot_id $proc/sys/kernel/random/boot_id
done
mkdir -p {data}
chown {uid}:{uid} {inside}/data/local/tmp {inside}/storage/emulated/0 {inside}/storage/emulated/0/Download
chmod 1777 {inside}/tmp
touch {facts}/booted
while :; do sleep 86400 & wait; done
"""
_ENTER = """for file in $JOIN; do echo 0 > $file; done; unset JOIN; exec "$@" """


class MachineError(Exception):
    """The machine could not be started."""


class Machine:
    """One phone's hardware. `boot` and `halt` may follow each other any number of times."""

    def __init__(self, rootfs: Rootfs, group: Group) -> None:
        self.rootfs = rootfs
        self.group = group
        self._outer: subprocess.Popen[bytes] | None = None
        self._init = 0

    @property
    def running(self) -> bool:
        return self._outer is not None

    @property
    def inside(self) -> str:
        """The phone's root as its Chromium sees it."""
        return _INSIDE

    def boot(self, boot_id: str) -> None:
        """Raises MachineError."""
        facts = self.rootfs.directory / "facts"
        booted = facts / "booted"
        booted.unlink(missing_ok=True)
        self.rootfs.fact("boot_id").write_text(boot_id + "\n", encoding="utf-8")
        self.rootfs.write_meminfo(0)
        script = _INIT.format(
            root=self.rootfs.root,
            image=self.rootfs.image,
            facts=facts,
            inside=_INSIDE,
            uid=SHELL_UID,
            data=" ".join(f"{_INSIDE}/data/{name}" for name in DATA_DIRECTORIES),
        )
        uptime = int(float(Path("/proc/uptime").read_text().split()[0]))
        kinds = ["--net", "--pid", "--mount", "--uts", "--ipc", "--time", f"--boottime=-{max(0, uptime - 1)}"]
        unshare = ["setpriv", "--pdeathsig", "KILL", "unshare", *kinds, "--fork", "--kill-child=KILL"]
        log = self.rootfs.directory / "machine.log"
        with log.open("wb") as output:
            self._outer = subprocess.Popen(
                ["sh", "-c", _ENTER, "sh", *unshare, "sh", "-c", script],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + _BOOT_SECONDS
        while not booted.exists():
            if self._outer.poll() is not None or time.monotonic() > deadline:
                self.halt()
                raise MachineError(f"The phone's namespaces could not be made: {log.read_text().strip()}")
            time.sleep(_LOOK_SECONDS)
        self._init = int(Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()[0])

    def halt(self) -> None:
        """Kill every process of the phone; its mounts and namespaces go with them."""
        if self._outer is None:
            return
        self._outer.kill()
        self._outer.wait()
        deadline = time.monotonic() + _BOOT_SECONDS
        while self.group.pids() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        self._outer = None

    def locate(self, path: str) -> Path:
        """A path of the phone, as this process can open it."""
        clean = os.path.normpath("/" + path)
        if clean == "/sdcard" or clean.startswith("/sdcard/"):
            clean = "/storage/emulated/0" + clean.removeprefix("/sdcard")
        return Path(f"/proc/{self._init}/root{_INSIDE}{clean}")

    def command(self, argv: Sequence[str], *, chroot: bool = False) -> list[str]:
        """`argv` as a command of this computer that runs inside the phone; with `chroot` as adb's shell user."""
        enter = ["nsenter", "--target", str(self._init), "--net", "--pid", "--mount", "--uts", "--ipc", "--time"]
        if chroot:
            user = [f"--userspec={SHELL_UID}:{SHELL_UID}", f"--groups={SHELL_UID}"]
            enter += ["/usr/sbin/chroot", *user, _INSIDE]
        return ["sh", "-c", _ENTER, "sh", *enter, *argv]

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        chroot: bool = False,
        environment: Mapping[str, str] | None = None,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.DEVNULL,
        stderr: int = asyncio.subprocess.DEVNULL,
    ) -> asyncio.subprocess.Process:
        """Start a program inside the phone, within its limits."""
        return await asyncio.create_subprocess_exec(
            *self.command(argv, chroot=chroot),
            env=self._environment(environment),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def socket(self, family: int) -> socket.socket:
        """A stream socket in the phone's own network. Only a thread can enter it without leaving the computer's."""
        made: list[socket.socket] = []

        def make() -> None:
            namespace = os.open(f"/proc/{self._init}/ns/net", os.O_RDONLY)
            try:
                if _libc.setns(namespace, _CLONE_NEWNET) == 0:
                    made.append(socket.socket(family, socket.SOCK_STREAM))
            finally:
                os.close(namespace)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise MachineError("The phone's network could not be entered.")
        made[0].setblocking(False)
        return made[0]

    def _environment(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        joins = " ".join(str(file) for file in self.group.entries)
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "JOIN": joins, **(environment or {})}

    def kill(self, host_pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(host_pid, signal.SIGKILL)
