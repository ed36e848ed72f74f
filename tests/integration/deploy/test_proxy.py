"""A coordinator on loopback behind a real nginx with the site that deploy/proxy has."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from orchestrator.contract.device import EnrolRequest
from orchestrator.contract.wire import CONTRACT_VERSION
from tests.certificates import Authority
from tests.integration.coordinator.lab import RunningCoordinator, running_coordinator
from tests.ports import free_port
from tests.unit.domain.builders import device
from tests.waiting import wait_until

SITE = Path("deploy/proxy/nginx.conf")
ROOT = "an-administrators-token-that-always-works"
NAME = "localhost"


class Proxied(NamedTuple):
    url: str
    coordinator: RunningCoordinator
    trust: ssl.SSLContext

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust, headers=headers, timeout=10)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Proxied]:
    directory = tmp_path_factory.mktemp("proxy")
    authority = Authority(directory)
    issued = authority.issue(f"DNS:{NAME}")
    port = free_port()
    settings = {"token": ROOT, "public_url": f"https://{NAME}:{port}"}
    with running_coordinator(directory / "data", **settings) as coordinator:
        site = (pytestconfig.rootpath / SITE).read_text()
        for ours, here in (
            ("server 127.0.0.1:8600;", f"server 127.0.0.1:{coordinator.port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("server_name lab.example;", f"server_name {NAME};"),
            ("/etc/fitmatrix/lab.crt;", f"{issued.certificate};"),
            ("/etc/fitmatrix/lab.key;", f"{issued.key};"),
        ):
            assert site.count(ours) == 1, ours
            site = site.replace(ours, here)
        process = _start_nginx(directory / "nginx", site)
        found = Proxied(f"https://{NAME}:{port}", coordinator, ssl.create_default_context(cafile=authority.ca))
        try:
            with found.client() as client:
                wait_until(lambda: _answers(client), what="nginx")
            yield found
        finally:
            process.terminate()
            process.wait(20)


def _start_nginx(directory: Path, site: str) -> subprocess.Popen[bytes]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert program is not None, "nginx is missing: run deploy/setup/nginx.sh"
    directory.mkdir()
    places = "".join(
        f"{kind}_temp_path {directory / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"{user}pid {directory}/pid;\nerror_log {directory}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{site}\n}}\n"
    )
    command = [program, "-p", str(directory), "-e", str(directory / "error.log"), "-c", "nginx.conf"]
    return subprocess.Popen([*command, "-g", "daemon off;"], cwd=directory)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_people_log_in_over_tls_with_a_cookie_for_tls_alone(proxied: Proxied) -> None:
    with proxied.client(Origin=proxied.url) as browser:
        assert browser.get("/").status_code == 401
        entered = browser.post("/login", data={"token": ROOT, "back": "/"})
        assert entered.status_code == 303
        assert "; Secure" in entered.headers["Set-Cookie"]
        assert browser.get("/").status_code == 200
    with proxied.client(Origin="https://elsewhere.example") as other:
        assert other.post("/login", data={"token": ROOT}).status_code == 403


def test_nobody_is_let_in_for_coming_from_this_machine(proxied: Proxied) -> None:
    with proxied.client() as stranger:
        assert stranger.get("/api/v1/devices").status_code == 401
    assert httpx.get(f"{proxied.coordinator.url}/api/v1/devices").status_code == 401


def test_metrics_stay_on_the_machine(proxied: Proxied) -> None:
    with proxied.client() as stranger:
        assert stranger.get("/metrics").status_code == 403
    assert httpx.get(f"{proxied.coordinator.url}/metrics").status_code == 200


def test_another_sites_name_leads_nowhere(proxied: Proxied) -> None:
    with proxied.client(Host="elsewhere.example") as stranger:
        assert stranger.get("/healthz").status_code == 400


def test_events_pass_as_they_happen(proxied: Proxied) -> None:
    with (
        proxied.client(Authorization=f"Bearer {ROOT}") as client,
        client.stream("GET", "/api/v1/events", headers={"Accept": "text/event-stream"}) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        next(lines)
        request = EnrolRequest(
            contract_version=CONTRACT_VERSION,
            agent_id="behind",
            agent_version="test",
            hostname="behind",
            devices=[device("behind.desk")],
        )
        assert client.post("/api/v1/agents/enrol", json=request.model_dump(mode="json")).status_code == 200
        assert any("behind.desk" in line for line in lines)
