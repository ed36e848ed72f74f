"""A lab on three hosts: a coordinator with its broker and its database, and two with an agent each."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

import psutil
import psycopg
import redis

from orchestrator.client import Client, ClientError
from orchestrator.contract.views import AttemptView, DeviceView, JobView, RunDetail
from orchestrator.contract.vocabulary import DeviceState, JobState
from tests.acceptance.hosts.network import Network, demand
from tests.certificates import Authority, Certificate
from tests.postgres import find_postgres
from tests.processes import named
from tests.waiting import wait_until
from tests.workbench import ROOT

COORDINATOR: Final = "lab"
LEASE_SECONDS: Final = 5.0
_CLOCK: Final = Path(__file__).parent / "clock"
_NOBODY: Final = ("nobody", "nogroup")
_STOP_SECONDS: Final = 40.0


class HostProcess:
    """A process on one host; what it says goes to a file."""

    def __init__(self, network: Network, host: str, log: Path) -> None:
        self.log = log
        self.host = host
        self._network = network
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> psutil.Process:
        """Raises AssertionError, with what it said last, when it has ended."""
        assert self._process is not None, f"{self.log.stem} was not started"
        assert self._process.poll() is None, f"{self.log.stem} has ended: {self.said()[-2000:]}"
        return psutil.Process(self._process.pid)

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def launch(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._network.command(self.host, *command),
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As a power cut does it: everything that it started goes with it, and nothing is cleaned up."""
        doomed = [self.running, *self.running.children(recursive=True)]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(doomed, timeout=_STOP_SECONDS)
        self.wait()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(with_signal)
            self.wait()

    def wait(self) -> int:
        assert self._process is not None, f"{self.log.stem} was not started"
        return self._process.wait(timeout=_STOP_SECONDS)


class TlsBroker(HostProcess):
    """A Redis or Valkey that speaks TLS alone and keeps nothing on disk."""

    def __init__(self, network: Network, host: str, directory: Path, served: Certificate, ca: Path) -> None:
        super().__init__(network, host, directory / "broker.log")
        self.password = secrets.token_urlsafe(24)
        self._address = network.address(host)
        self._ca = ca
        self._config = directory / "broker.conf"
        self._config.touch(mode=0o600)
        self._config.write_text(
            f"bind {self._address}\nport 0\ntls-port 6380\ntls-auth-clients no\ntls-cert-file {served.certificate}\n"
            f"tls-key-file {served.key}\nrequirepass {self.password}\n"
            f'save ""\nappendonly no\ndir {directory}\n'
        )
        self._server = _find_server(directory)

    @property
    def url(self) -> str:
        return f"rediss://:{self.password}@{self._address}:6380/0"

    def start(self) -> None:
        self.launch([self._server, str(self._config)])
        wait_until(self._answers, what="a broker")

    def _answers(self) -> bool:
        self.running.pid  # noqa: B018 - raises, with the log, when it has ended
        with redis.Redis.from_url(self.url, ssl_ca_certs=str(self._ca)) as client, suppress(redis.ConnectionError):
            return bool(client.ping())
        return False


def _find_server(directory: Path) -> str:
    """The embedded Valkey was built without TLS, so that another one is needed."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is not None:
        return found
    # One program under several names: so there is one on machines where no service should be installed.
    several = shutil.which("redis-check-rdb")
    demand(several is not None, "a Redis or Valkey with TLS is missing: deploy/setup/network.sh")
    link = directory / "redis-server"
    link.symlink_to(str(several))
    return str(link)


class PostgresHost(HostProcess):
    """A PostgreSQL of the tests' own, with a password and TLS, run as somebody unprivileged as it demands."""

    def __init__(self, network: Network, host: str, directory: Path, served: Certificate, ca: Path) -> None:
        super().__init__(network, host, directory / "postgres.log")
        self.password = secrets.token_urlsafe(24)
        self._programs = find_postgres()
        self._home = directory / "postgres"
        self._address = network.address(host)
        self._ca = ca
        self._home.mkdir()
        for file in (served.certificate, served.key):
            shutil.copy(file, self._home)
        self._tls = {"ssl_cert_file": served.certificate.name, "ssl_key_file": served.key.name}
        password = self._home / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        for path in (self._home, *self._home.iterdir()):
            shutil.chown(path, *_NOBODY)
        directory.chmod(0o711)

    @property
    def url(self) -> str:
        server = f"postgres:{self.password}@{self._address}:5432/postgres"
        return f"postgresql+psycopg://{server}?sslmode=verify-full&sslrootcert={self._ca}"

    def start(self) -> None:
        data = self._home / "data"
        initdb = [str(self._programs / "initdb"), f"--pgdata={data}", "--username=postgres", "--no-sync"]
        initdb += ["--auth=scram-sha-256", f"--pwfile={self._home / 'password'}", "--encoding=UTF8", "--no-locale"]
        user, group = _NOBODY
        subprocess.run(initdb, check=True, capture_output=True, cwd=self._home, user=user, group=group, extra_groups=[])
        (data / "pg_hba.conf").write_text("hostssl all all 10.77.0.0/24 scram-sha-256\n")
        settings = {
            "listen_addresses": self._address,
            "unix_socket_directories": "",
            "ssl": "on",
            "fsync": "off",
        } | {name: str(self._home / file) for name, file in self._tls.items()}
        unprivileged = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        command = [*unprivileged, str(self._programs / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.launch(command)
        wait_until(self._answers, what="a PostgreSQL")

    def _answers(self) -> bool:
        assert self.running
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url.replace("+psycopg", "")).close()
            return True
        return False


class CoordinatorHost(HostProcess):
    def __init__(self, network: Network, host: str, directory: Path, settings: Mapping[str, str]) -> None:
        super().__init__(network, host, directory / "coordinator.log")
        self.data = directory / "data"
        self.url = f"https://{network.address(host)}:8600"
        self._command = [sys.executable, "-m", "orchestrator.cli.main", "coordinator"]
        self._command += ["--host", network.address(host), "--data", str(self.data)]
        self._settings = {f"FITMATRIX_{name.upper()}": value for name, value in settings.items()}

    def start(self) -> None:
        self.launch(self._command, self._settings)


class AgentHost(HostProcess):
    """`fitmatrix-agent run` with one device, which bears the host's name."""

    def __init__(self, network: Network, host: str, directory: Path, coordinator: str, ca: Path, token: str) -> None:
        super().__init__(network, host, directory / host / "agent.log")
        self.data = directory / host / "agent"
        devices = directory / host / "devices.yaml"
        devices.parent.mkdir(parents=True, exist_ok=True)
        devices.write_text(f"devices:\n  - name: {host}\n    emulated: {{webgpu: false}}\n")
        self._command = [sys.executable, "-m", "agents.cli", "run", "--coordinator", coordinator]
        self._command += ["--devices", str(devices)]
        self._start = [*self._command, "--data", str(self.data), "--ca", str(ca)]
        self._ca = ca
        # The phones of this machine's adb are not theirs.
        self._environment = {"FITMATRIX_AGENT_TOKEN": token, "FITMATRIX_AGENT_PHONES": "false"}

    def start(self) -> None:
        self.launch(self._start, self._environment)

    def start_with_clock(self, ahead: timedelta) -> None:
        """The agent's own processes live so far ahead; the browser lives in the present."""
        path = os.pathsep.join([str(_CLOCK), str(ROOT), os.environ.get("PYTHONPATH", "")])
        clock = {"PYTHONPATH": path, "CLOCK_AHEAD_SECONDS": str(ahead.total_seconds())}
        self.launch(self._start, self._environment | clock)

    def refused(self, *, ca: Path | None = None, token: str | None = None) -> tuple[int, str]:
        """Exit code and words of an agent with another authority or token, in a data directory of its own."""
        data = self.data.with_name("refused")
        log = data.with_suffix(".log")
        twin = HostProcess(self._network, self.host, log)
        command = [*self._command, "--data", str(data), "--ca", str(ca or self._ca)]
        twin.launch(command, self._environment | ({"FITMATRIX_AGENT_TOKEN": token} if token else {}))
        code = twin.wait()
        return code, " ".join(twin.said().split())

    def browsers(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return named(self.running.children(recursive=True), "chrom")
        return []

    def part_bytes(self, sha256: str) -> int:
        """How much of a file has arrived that is not whole yet."""
        part = self.data / "cache" / "parts" / sha256
        return part.stat().st_size if part.exists() else 0

    def forget(self, sha256: str) -> None:
        """Removes a file from the host's cache."""
        (self.data / "cache" / sha256[:2] / sha256).unlink(missing_ok=True)

    def waiting_reports(self) -> list[str]:
        """What is spooled and not sent, by device and attempt."""
        return [str(entry.relative_to(self.data)) for entry in (self.data / "spool" / "pending").glob("*/*")]


class HostsLab:
    """Everything, started in order; tests leave it running and idle."""

    def __init__(self, directory: Path, network: Network) -> None:
        self.network = network
        self.authority = Authority(directory / "ca")
        self.token = secrets.token_urlsafe(24)
        served = self.authority.issue(f"IP:{network.address(COORDINATOR)}")
        self.database = PostgresHost(network, COORDINATOR, directory, served, self.authority.ca)
        self.broker = TlsBroker(network, COORDINATOR, directory, served, self.authority.ca)
        settings = {
            "token": self.token,
            "tls_certificate": str(served.certificate),
            "tls_key": str(served.key),
            "ca": str(self.authority.ca),
            "database_url": self.database.url,
            "broker_url": self.broker.url,
            "lease_seconds": str(LEASE_SECONDS),
            "heartbeat_seconds": "0.5",
        }
        self.coordinator = CoordinatorHost(network, COORDINATOR, directory, settings)
        enrolment = (directory, self.coordinator.url, self.authority.ca, self.token)
        self.one = AgentHost(network, "one", *enrolment)
        self.two = AgentHost(network, "two", *enrolment)
        self.qa = Client(self.coordinator.url, token=self.token, ca=self.authority.ca)

    def start(self) -> None:
        self.database.start()
        self.broker.start()
        self.coordinator.start()
        wait_until(self._ready, what="a ready coordinator")
        for agent in self.agents:
            agent.start()
        self.wait_idle()

    @property
    def agents(self) -> list[AgentHost]:
        return [self.one, self.two]

    def wait_idle(self) -> None:
        wait_until(self._idle, 90, "two idle hosts")

    def stop(self) -> None:
        for process in (*self.agents, self.coordinator, self.broker):
            process.stop()
        self.database.stop(signal.SIGINT)  # "fast shutdown": connections are closed, not waited for
        self.qa.close()

    def device(self, agent: AgentHost) -> DeviceView | None:
        return next((one for one in self.qa.devices() if one.registration.name == agent.host), None)

    def finished(self, job: JobView, seconds: float = 90) -> list[RunDetail]:
        """The job's runs once it has ended."""
        wait_until(lambda: self.qa.job(job.id).state is JobState.FINISHED, seconds, f"the end of {job.spec.name}")
        return [self.qa.run(run.id) for run in self.qa.runs(job=job.id)]

    def attempts(self, job: JobView) -> list[AttemptView]:
        """Of the job's only run."""
        (run,) = self.qa.runs(job=job.id)
        return self.qa.run(run.id).attempt_list

    def _ready(self) -> bool:
        self.coordinator.running.pid  # noqa: B018 - raises, with the log, when it has ended
        with suppress(ClientError):
            return self.qa.ready()
        return False

    def _idle(self) -> bool:
        found = [self.device(agent) for agent in self.agents if agent.running]
        return all(device is not None and device.state is DeviceState.IDLE for device in found)
