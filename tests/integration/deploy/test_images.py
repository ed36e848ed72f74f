"""What the container images would hold and start, as far as it can be seen without a container engine."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.coordinator.lab import RunningCoordinator, running_coordinator
from tests.integration.deploy.images import DOCKERFILE, Stage, read_stages
from tests.ports import free_port
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def stages(pytestconfig: pytest.Config) -> dict[str, Stage]:
    return read_stages((pytestconfig.rootpath / DOCKERFILE).read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Built as the image's own stage builds it."""
    directory = tmp_path_factory.mktemp("wheel")
    _pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, pytestconfig.rootpath)
    return next(directory.glob("*.whl"))


def _pip(python: str | Path, *arguments: str | Path) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _install(stage: Stage, wheel: Path, root: Path, directory: Path) -> Path:
    """An environment with what the stage installs; returns its programs' directory."""
    venv.create(directory, with_pip=True)
    _pip(directory / "bin" / "python", "install", "--require-hashes", "-r", root / stage.lock)
    _pip(directory / "bin" / "python", "install", "--no-deps", wheel)
    return directory / "bin"


@contextmanager
def _started(stage: Stage, programs: Path, **settings: str) -> Iterator[dict[str, str]]:
    """The stage's own start command, with its own settings but for addresses and directories."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR")}
    path = f"{programs}:{os.environ['PATH']}"
    environment = kept | stage.environment | settings | {"PATH": path}
    process = subprocess.Popen(stage.command("CMD"), env=environment, start_new_session=True)
    try:
        yield environment
    finally:
        process.terminate()
        assert process.wait(60) == 0


def _is_healthy(stage: Stage, environment: dict[str, str], ports: dict[str, str]) -> bool:
    command = stage.command("HEALTHCHECK")
    for inside, outside in ports.items():
        assert f":{inside}/" in command[-1]
        command[-1] = command[-1].replace(f":{inside}/", f":{outside}/")
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def test_the_coordinators_image_starts_and_is_healthy(
    stages: dict[str, Stage], wheel: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    stage = stages["coordinator"]
    programs = _install(stage, wheel, pytestconfig.rootpath, tmp_path / "venv")
    port = str(free_port())
    settings = {"FITMATRIX_DATA": str(tmp_path / "data"), "FITMATRIX_PORT": port, "FITMATRIX_HOST": "127.0.0.1"}
    with _started(stage, programs, **settings) as environment:
        wait_until(lambda: _is_healthy(stage, environment, {"8600": port}), what="a healthy coordinator", seconds=60)


def test_the_agents_image_starts_enrols_and_is_healthy(
    stages: dict[str, Stage], wheel: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    stage = stages["agent"]
    programs = _install(stage, wheel, pytestconfig.rootpath, tmp_path / "venv")
    port = str(free_port())
    with running_coordinator(tmp_path / "data") as coordinator:
        settings = {
            "FITMATRIX_AGENT_COORDINATOR": coordinator.url,
            "FITMATRIX_AGENT_DATA": str(tmp_path / "agent"),
            "FITMATRIX_AGENT_METRICS_PORT": port,
            "FITMATRIX_AGENT_METRICS_HOST": "127.0.0.1",
        }
        with _started(stage, programs, **settings) as environment:
            wait_until(lambda: _is_healthy(stage, environment, {"9300": port}), what="a healthy agent", seconds=60)
            wait_until(lambda: _device_states(coordinator) == ["idle"], what="its idle device", seconds=60)


def _device_states(coordinator: RunningCoordinator) -> list[str]:
    import httpx

    return [device["state"] for device in httpx.get(f"{coordinator.url}/api/v1/devices").json()["items"]]


def test_nothing_runs_as_root_and_everything_is_pinned(stages: dict[str, Stage], pytestconfig: pytest.Config) -> None:
    for name in ("coordinator", "agent"):
        assert stages[name].said("USER") == ["10001:10001"]
    for stage in stages.values():
        assert stage.base in stages or stage.base.count(".") == 2, stage.base
        for run in stage.said("RUN"):
            assert "pip install" not in run or "--require-hashes" in run or "--no-deps /wheels" in run


def test_the_linter_finds_nothing(pytestconfig: pytest.Config) -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [linter, "--failure-threshold", "info", "--no-color", pytestconfig.rootpath / DOCKERFILE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
