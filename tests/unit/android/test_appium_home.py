"""Node.js and the versions that Appium is used in."""

import json
from pathlib import Path

import pytest

from agents.browsers import appium_home
from agents.browsers.appium_home import AppiumUnusableError, find_node, install, installation_problem


def make_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def pretend_node(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str, npm: str = "true") -> None:
    make_program(folder / "node", f"echo {version}")
    make_program(folder / "npm", npm)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(appium_home, "_node_of_wheel", lambda: None)


def make_installation(home: Path, **versions: str) -> None:
    wanted = {"appium": "3.8.0", "appium-uiautomator2-driver": "8.7.0"} | versions
    for package, version in wanted.items():
        folder = home / "node_modules" / package
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"version": version}))
    (home / "node_modules" / ".package-lock.json").touch()


@pytest.mark.parametrize("version", ["v20.19.0", "v22.12.0", "v24.0.0", "v26.3.1"])
def test_a_node_that_is_new_enough_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    pretend_node(tmp_path, monkeypatch, version)
    assert find_node().binary == tmp_path / "node"


@pytest.mark.parametrize("version", ["v18.20.0", "v20.18.9", "v21.7.0", "v22.11.0", "v23.5.0", "nonsense"])
def test_a_node_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    pretend_node(tmp_path, monkeypatch, version)
    with pytest.raises(AppiumUnusableError, match=f"Appium needs Node.js.*{tmp_path}/node is {version}.*install it"):
        find_node()


def test_an_installation_is_whole_or_it_is_said_what_is_wrong(tmp_path: Path) -> None:
    make_installation(tmp_path / "whole")
    make_installation(tmp_path / "old", appium="3.0.0")
    make_installation(tmp_path / "half")
    (tmp_path / "half" / "node_modules" / ".package-lock.json").unlink()
    assert installation_problem(tmp_path / "whole") is None
    assert "appium in" in (installation_problem(tmp_path / "old") or "")
    assert "is 3.0.0, but 3.8.0 is needed" in (installation_problem(tmp_path / "old") or "")
    assert "not installed" in (installation_problem(tmp_path / "half") or "")


def test_an_npm_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_node(tmp_path, monkeypatch, "v22.20.0", npm="echo 'npm error network' >&2; exit 1")
    with pytest.raises(AppiumUnusableError, match=r"npm failed: npm error network.*registry"):
        install(tmp_path / "home")
