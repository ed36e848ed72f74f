import json
from pathlib import Path

import pytest

from tests.bench.record import Figures, belongs
from tests.unit.bench.figures import figure


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.json"
    Figures([figure("load/b", 2), figure("load/a", 1)]).save(file)
    assert [one.name for one in Figures.load(file)] == ["load/a", "load/b"]
    assert Figures.load(file).as_json() == file.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks.json"]


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(Figures.load(tmp_path / "none.json")) == []


def test_the_file_does_not_hang_on_the_order_in_which_figures_came() -> None:
    one, two = figure("load/a"), figure("load/b", spread={"p75": 3.0, "p25": 1.0, "of": "value"})
    assert Figures([one, two]).as_json() == Figures([two, one]).as_json()


def test_a_trial_replaces_its_own_figures_and_no_others() -> None:
    figures = Figures(
        [figure("engines/x/a/decode", 1), figure("engines/x/b/decode", 2), figure("engines/xy/a/decode", 3)]
    )
    figures.replace("engines/x", [figure("engines/x/a/decode", 9)])
    assert [(one.name, one.value) for one in figures] == [("engines/x/a/decode", 9), ("engines/xy/a/decode", 3)]


@pytest.mark.parametrize(
    ("value", "written"), [(9995.692552736367, 9996.0), (0.972812, 0.9728), (67112345.0, 67112345), (4.0, 4)]
)
def test_values_are_written_as_exactly_as_they_were_measured(value: float, written: float) -> None:
    entries = json.loads(Figures([figure("load/a", value)]).as_json())
    assert entries["load/a"]["value"] == written


def test_absent_fields_are_left_out() -> None:
    assert "ratio" not in json.loads(Figures([figure("load/a")]).as_json())["load/a"]


def test_a_name_belongs_to_a_trial_by_whole_parts() -> None:
    assert belongs("engines/x", "engines/x")
    assert belongs("engines/x/a", "engines/x")
    assert not belongs("engines/xy", "engines/x")
