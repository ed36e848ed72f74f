"""What the documentation has its readers type to deploy a lab, below directories of the test's own; see typed.py."""

import os
import re
import shutil
from pathlib import Path

import httpx
import pytest

from tests.integration.coordinator.lab import PLAIN
from tests.integration.docs.reader import ROOT, Reader
from tests.integration.docs.typed import DEPLOYED
from tests.object_store import BUCKET, running_object_store
from tests.ports import free_port
from tests.waiting import wait_until

DEPLOYING = DEPLOYED["docs/deploying.md"]
METRICS = DEPLOYED["docs/metrics.md"]
S3 = DEPLOYED["docs/several-hosts.md"]
PUBLIC = "FITMATRIX_PUBLIC_URL=https://lab.example fitmatrix coordinator"


def answers(url: str, **headers: str) -> int | None:
    """The status of an answer; none while nobody listens."""
    try:
        return httpx.get(url, headers=headers, verify=PLAIN).status_code
    except httpx.TransportError:
        return None


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("useradd") is None or shutil.which("systemctl") is None,
    reason="the page is for root on Debian or Ubuntu with systemd",
)
def test_a_host_is_prepared_for_systemd(tmp_path: Path) -> None:
    """With the users and units of a directory instead of this machine's; a unit there can be enabled, not started."""
    for name in ("passwd", "group", "login.defs"):
        (tmp_path / "etc").mkdir(exist_ok=True)
        shutil.copy(Path("/etc") / name, tmp_path / "etc")
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    meant = {
        "useradd": f"useradd --prefix {tmp_path}",
        "/etc/fitmatrix": str(tmp_path / "etc/fitmatrix"),
        "/etc/systemd/system/": f"{tmp_path}/etc/systemd/system/",
        "enable --now": f"--root {tmp_path} enable",
    }
    reader = Reader(tmp_path, {}, meant)
    for line, said in DEPLOYING.items():
        if line != PUBLIC:
            reader.does(line, said)
    assert re.search(r"^fitmatrix:.*:/var/lib/fitmatrix:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    settings = tmp_path / "etc/fitmatrix/coordinator.env"
    assert re.fullmatch(r"FITMATRIX_TOKEN=[0-9a-f]{48}\n", settings.read_text())
    assert settings.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "deploy/compose.env").read_text().count("=\n") > 0


def test_a_coordinator_answers_to_the_name_that_people_use(tmp_path: Path) -> None:
    port = free_port()
    settings = {"FITMATRIX_PORT": str(port), "FITMATRIX_DATA": str(tmp_path / "data"), "FITMATRIX_TOKEN": "secret" * 6}
    url = f"http://127.0.0.1:{port}"
    with Reader(tmp_path, settings).keeps_running(PUBLIC):
        wait_until(lambda: answers(f"{url}/readyz") == 200, 60, "a ready coordinator")
        assert answers(f"{url}/healthz", Host="lab.example") == 200
        assert answers(f"{url}/healthz", Host="elsewhere.example") == 400
        assert answers(f"{url}/api/v1/devices") == 401


def test_artifacts_go_to_the_store_that_is_exported(tmp_path: Path) -> None:
    port = free_port()
    settings = {"FITMATRIX_PORT": str(port), "FITMATRIX_DATA": str(tmp_path / "data")}
    with running_object_store(free_port()) as store:
        reader = Reader(tmp_path, settings, {"https://storage.lab:9000": store.url})
        reader.meant |= {f"{name}=…": f"{name}={store.variables[name]}" for name in store.variables}
        for line, said in S3.items():
            reader.does(line, said)
        with reader.keeps_running("fitmatrix coordinator"):
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz") == 200, 60, "a ready coordinator")
        kept = store.client().list_objects_v2(Bucket=BUCKET)["Contents"]
        assert [one["Key"] for one in kept] == ["fitmatrix/fitmatrix"]


def test_prometheus_starts_as_the_page_says(tmp_path: Path) -> None:
    (line,) = (line for line in METRICS if "prometheus --config.file" in line)
    shutil.copytree(ROOT / "deploy/prometheus", tmp_path / "deploy/prometheus")
    own, port = tmp_path / "deploy/prometheus/prometheus.yml", free_port()
    own.write_text(own.read_text().replace("127.0.0.1:8600", f"127.0.0.1:{free_port()}"))
    reader = Reader(tmp_path)
    move, _, start = line.partition(" && ")
    reader.does(move, "")
    own_place = f"--web.listen-address 127.0.0.1:{port} --storage.tsdb.path {tmp_path / 'tsdb'}"
    with reader.keeps_running(f"{start} {own_place}"):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/-/ready") == 200, 60, "a ready Prometheus")
        rules = httpx.get(f"http://127.0.0.1:{port}/api/v1/rules").json()["data"]["groups"]
        assert any(rule["name"] == "FitmatrixNoDispatcher" for group in rules for rule in group["rules"])


def test_the_dashboards_that_are_written_are_those_of_the_repository(tmp_path: Path) -> None:
    line = "python -m grafana grafana/dashboards"
    (tmp_path / "grafana/dashboards").mkdir(parents=True)
    # From elsewhere, since it writes below where it is typed.
    Reader(tmp_path, {"PYTHONSAFEPATH": "1"}).does(line, METRICS[line])
    written = {file.name: file.read_text() for file in (tmp_path / "grafana/dashboards").iterdir()}
    assert written == {file.name: file.read_text() for file in (ROOT / "grafana/dashboards").iterdir()}
