"""The compose file: valid, its secrets asked for, its files there, its images pinned, its queries answered."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path("deploy/compose.yaml")
EXAMPLE = Path("deploy/compose.env.example")


@pytest.fixture(scope="module")
def compose(pytestconfig: pytest.Config) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((pytestconfig.rootpath / COMPOSE).read_text())
    return loaded


def _secrets(root: Path) -> list[str]:
    return re.findall(r"^([A-Z_]+)=$", (root / EXAMPLE).read_text(), re.MULTILINE)


def test_it_is_what_the_specification_asks_for(pytestconfig: pytest.Config) -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    file = str(pytestconfig.rootpath / COMPOSE)
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _config(root: Path, environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """`docker compose config`, or its predecessor's, which does not know `name`."""
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    command = ["docker", "compose", "-f", str(root / COMPOSE)]
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        shutil.copytree(root / "deploy", directory / "deploy", dirs_exist_ok=True)
        file = directory / COMPOSE
        file.write_text(file.read_text().replace("\nname: fitmatrix\n", "\n"))
        command = ["docker-compose", "-p", "fitmatrix", "-f", str(file)]
    return subprocess.run([*command, "config"], env=kept | environment, capture_output=True, text=True, check=False)


def test_compose_takes_it_with_the_example_filled_in_and_not_without(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    secrets = _secrets(pytestconfig.rootpath)
    assert len(secrets) == 4
    told = {name: f"secret-{number}" for number, name in enumerate(secrets)}
    done = _config(pytestconfig.rootpath, told, tmp_path)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert "secret-1@database" in json.dumps(services["coordinator"])
    for name in secrets:
        missing = {other: value for other, value in told.items() if other != name}
        refused = _config(pytestconfig.rootpath, missing, tmp_path)
        assert refused.returncode != 0
        assert "compose.env.example" in refused.stderr


def test_every_service_is_pinned_restarted_watched_and_unexposed(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["init"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "healthcheck" in service or "build" in service, name
        assert "build" in service or re.search(r":v?\d+\.\d+(\.\d+)?", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_every_file_that_is_mounted_is_there(compose: dict[str, Any], pytestconfig: pytest.Config) -> None:
    directory = (pytestconfig.rootpath / COMPOSE).parent
    mounts = [volume for service in compose["services"].values() for volume in service.get("volumes", [])]
    sources = [source for source in (mount.split(":")[0] for mount in mounts) if source.startswith(".")]
    assert len(sources) >= 5
    for source in sources:
        assert (directory / source).exists(), source


def test_prometheus_takes_its_configuration(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    directory = pytestconfig.rootpath / "deploy"
    shutil.copy(directory / "compose" / "prometheus.yml", tmp_path)
    shutil.copy(directory / "prometheus" / "rules.yml", tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafanas_datasource_differs_in_its_address_alone(pytestconfig: pytest.Config) -> None:
    def read(path: str) -> Any:
        return yaml.safe_load((pytestconfig.rootpath / path).read_text())

    ours = read("deploy/compose/datasource.yml")
    usual = read("grafana/provisioning/datasources/prometheus.yml")
    assert ours["datasources"][0].pop("url") == "http://prometheus:9090"
    usual["datasources"][0].pop("url")
    assert ours == usual
