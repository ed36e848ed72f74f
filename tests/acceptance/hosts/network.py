"""Hosts with addresses of their own, in network namespaces around a switch: nothing leaves the machine."""

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import pytest

_CLONE_NEWNET: Final = 0x40000000
_NAMESPACES: Final = Path("/run/netns")
_TOOLS: Final = ("ip", "tc", "nsenter", "unshare", "openssl")
_SWITCH: Final = "switch"
_networks = count(1)


def demand(found: bool, sentence: str) -> None:
    """Skips the test where something is missing; in CI that is a failure."""
    if found:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


class Network:
    """Every host has one cable to the switch, which can be pulled or slowed down. The tests stand at the switch."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = list(hosts)
        self._tag = f"fm{os.getpid()}.{next(_networks)}"

    def address(self, host: str) -> str:
        return f"10.77.0.{self._hosts.index(host) + 1}"

    def command(self, host: str, *command: str) -> list[str]:
        """The command as it runs on a host: with its network and its name, and the rest of this machine."""
        entered = ["nsenter", f"--net={_NAMESPACES / self._name(host)}", "unshare", "--uts"]
        return [*entered, "sh", "-c", f'hostname {host} && exec "$@"', "sh", *command]

    @contextmanager
    def cut(self, host: str) -> Iterator[None]:
        """Its cable is pulled out, and put back at the end."""
        _run("ip", "-n", self._name(_SWITCH), "link", "set", host, "down")
        try:
            yield
        finally:
            _run("ip", "-n", self._name(_SWITCH), "link", "set", host, "up")

    @contextmanager
    def slow(self, host: str, megabits: int) -> Iterator[None]:
        """What the host receives comes no faster than so many megabits in a second."""
        port = ("dev", host, "root")
        rate = ("tbf", "rate", f"{megabits}mbit", "burst", "64kb", "latency", "300ms")
        _run("tc", "-n", self._name(_SWITCH), "qdisc", "add", *port, *rate)
        try:
            yield
        finally:
            _run("tc", "-n", self._name(_SWITCH), "qdisc", "del", *port)

    def received_bytes(self, host: str) -> int:
        """All that the switch has ever sent to the host."""
        (link,) = json.loads(_run("ip", "-n", self._name(_SWITCH), "-s", "-j", "link", "show", host))
        return int(link["stats64"]["tx"]["bytes"])

    def processes(self) -> list[int]:
        """What still runs on any host."""
        return [int(pid) for host in self._hosts for pid in _run("ip", "netns", "pids", self._name(host)).split()]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The network as it is plugged together; meanwhile this thread's new sockets are at the switch."""
        demand(os.geteuid() == 0, "network namespaces need root")
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        demand(not missing, f"{', '.join(missing)} missing: deploy/setup/network.sh")
        try:
            self._plug_together()
            with Path("/proc/thread-self/ns/net").open() as before:
                _enter(_NAMESPACES / self._name(_SWITCH))
                try:
                    yield
                finally:
                    _set_namespace(before.fileno())
        finally:
            for host in [*self._hosts, _SWITCH]:
                with suppress(subprocess.CalledProcessError):
                    _run("ip", "netns", "del", self._name(host))

    def _plug_together(self) -> None:
        switch = self._name(_SWITCH)
        _run("ip", "netns", "add", switch)
        _run("ip", "-n", switch, "link", "set", "lo", "up")
        _run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", switch, "address", "add", "10.77.0.254/24", "dev", "bridge")
        _run("ip", "-n", switch, "link", "set", "bridge", "up")
        for host in self._hosts:
            name = self._name(host)
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", switch, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", name)
            _run("ip", "-n", switch, "link", "set", host, "master", "bridge", "up")
            _run("ip", "-n", name, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")

    def _name(self, host: str) -> str:
        return f"{self._tag}-{host}"


def _enter(namespace: Path) -> None:
    with namespace.open() as file:
        _set_namespace(file.fileno())


def _set_namespace(descriptor: int) -> None:
    """`os.setns` as of Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
