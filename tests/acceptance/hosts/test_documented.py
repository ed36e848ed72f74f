"""docs/several-hosts.md, done line by line."""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.client import Client, ClientError
from tests.acceptance.hosts.lab import HostProcess
from tests.acceptance.hosts.network import Network
from tests.waiting import wait_until
from tests.workbench import ROOT

PAGE = ROOT / "docs" / "several-hosts.md"


class Documented:
    """The page's commands with this network's addresses and directories of the tests' own."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.directory = directory
        self.token = ""
        self._network = network
        self._started: list[HostProcess] = []
        commands = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        self.certificates, self.broker, self.coordinator, self.agent, self.desk = commands

    def run(self, host: str, commands: str, name: str) -> HostProcess:
        """Starts them in the background; the last one takes the shell's place."""
        *first, last = self.here(commands).strip().splitlines()
        process = HostProcess(self._network, host, self.directory / f"{name}.log")
        path = f'PATH="{Path(sys.executable).parent}:$PATH"'
        script = "\n".join([f"set -eu; cd {self.directory / host}; export {path}", *first, f"exec {last}"])
        (self.directory / host).mkdir(exist_ok=True)
        process.launch(["bash", "-c", script])
        self._started.append(process)
        return process

    def done(self, host: str, commands: str, name: str) -> str:
        process = self.run(host, commands, name)
        assert process.wait() == 0, process.said()
        return process.said()

    def stop(self) -> None:
        for process in reversed(self._started):
            process.stop()

    def here(self, commands: str) -> str:
        here = commands.replace("10.0.0.1", self._network.address("lab")).replace("…", self.token or "…")
        here = here.replace("/etc/fitmatrix", str(self.directory / "lab"))
        return here.replace("/var/lib/fitmatrix", str(self.directory / "lab" / "data"))


@pytest.fixture
def documented() -> Iterator[Documented]:
    network = Network(["lab", "one", "desk"])
    directory = Path(tempfile.mkdtemp(prefix="fm-documented-"))
    try:
        with network.inside():
            page = Documented(network, directory)
            try:
                yield page
            finally:
                page.stop()
                assert network.processes() == []
    finally:
        shutil.rmtree(directory)


def test_the_page_leads_to_an_agent_that_is_there(documented: Documented) -> None:
    documented.done("lab", documented.certificates, "certificates")
    broker = documented.run("lab", documented.broker, "broker")
    wait_until(lambda: broker.running and "Ready to accept connections" in broker.said(), what="a broker")
    documented.token = "the-labs-token"
    here = documented.coordinator.replace("FITMATRIX_TOKEN=$(openssl rand -hex 24)", "FITMATRIX_TOKEN=…")
    assert here != documented.coordinator
    coordinator = documented.run("lab", here, "coordinator")
    ca = documented.directory / "lab" / "ca.crt"
    url = re.findall(r"https://[\d.]+:8600", documented.here(documented.agent))[0]
    with Client(url, token=documented.token, ca=ca) as client:

        def ready() -> bool:
            assert coordinator.running
            with suppress(ClientError):
                return client.ready()
            return False

        wait_until(ready, what="a ready coordinator")
        assert "warning" not in coordinator.said().lower()
        for host in ("one", "desk"):
            (documented.directory / host).mkdir()
            shutil.copy(ca, documented.directory / host)
        apart = f"export FITMATRIX_AGENT_DATA={documented.directory / 'one' / 'agent'} FITMATRIX_AGENT_PHONES=false\n"
        documented.run("one", apart + documented.agent, "agent")
        wait_until(client.devices, 60, "a device")
    assert documented.done("desk", documented.desk, "desk").count("this machine") == 2
