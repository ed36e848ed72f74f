"""The libraries that pages load: what is served is what npm pins, and the wheel carries it."""

import json
import tomllib
from pathlib import Path

import pytest

from orchestrator.web import assets

_ROOT = Path(__file__).parents[3]
_LIBRARIES = Path("orchestrator/web/libraries")


@pytest.mark.parametrize("path", assets.LIBRARIES.values())
def test_the_wheel_carries_a_library_with_its_licence(path: str) -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["artifacts"]
    assert str(_LIBRARIES / "node_modules" / path) in carried
    assert str(_LIBRARIES / "node_modules" / "*" / "LICENSE") in carried
    package = _ROOT / _LIBRARIES / "node_modules" / path.partition("/")[0]
    assert (package / "LICENSE").is_file()


def test_every_library_is_pinned_with_a_hash() -> None:
    lock = json.loads((_ROOT / _LIBRARIES / "package-lock.json").read_text())
    pinned = {name: entry for name, entry in lock["packages"].items() if name}
    assert {f"node_modules/{path.partition('/')[0]}" for path in assets.LIBRARIES.values()} == set(pinned)
    assert all(entry["integrity"].startswith("sha512-") for entry in pinned.values())
