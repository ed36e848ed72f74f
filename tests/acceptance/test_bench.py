"""One figure measured for real, in the smallest way: what it comes to is nobody's business here."""

import json
from pathlib import Path

from tests.bench.__main__ import main
from tests.bench.record import Figures
from tests.unit.bench.figures import figure

NAME = "engine_fidelity/litert-lm/wasm"


def test_one_figure_alone_is_measured_and_the_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    kept = figure("load/kept")
    Figures([kept, figure(NAME, 0.5), figure("instrumentation/litert-lm/wasm", 0.5)]).save(out)
    assert main(["--only", NAME, "--rounds", "1", "--out", str(out)]) == 0
    measured = {one.name: one for one in Figures.load(out)}
    assert measured["load/kept"] == kept
    assert measured["instrumentation/litert-lm/wasm"].value == 0.5
    fidelity = measured[NAME]
    assert fidelity.value > 0
    assert fidelity.ratio is not None
    assert fidelity.ratio > 0
    assert fidelity.n == 1
    assert fidelity.command == f"make bench ONLY={NAME}"
    assert fidelity.machine.browser.startswith(("chromium", "chrome"))
    assert str(tmp_path) not in json.dumps(fidelity.model_dump(mode="json"))
    assert "litert-lm/wasm" in out.with_suffix(".md").read_text(encoding="utf-8")


def test_a_name_that_nothing_has_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    assert main(["--only", "no-such-figure", "--out", str(out)]) == 2
    assert not out.exists()
