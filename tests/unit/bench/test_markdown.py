import pytest

from tests.bench.markdown import FAMILIES, JSON_FILE, MARKDOWN_FILE, page, quantity
from tests.bench.record import Figures
from tests.unit.bench.figures import MACHINE, figure


def test_the_page_in_the_repository_is_what_the_figures_give() -> None:
    assert MARKDOWN_FILE.read_text(encoding="utf-8") == page(Figures.load(JSON_FILE))


def test_a_ratio_stands_with_its_quartiles_target_and_baseline() -> None:
    text = page(
        [
            figure(
                "engine_fidelity/x/wasm",
                11.53,
                ratio=1.0012,
                target="0.99 to 1.01",
                baseline="by hand: 11.4 tok/s",
                n=5,
                spread={"of": "ratio", "p25": 0.998, "p75": 1.004},
            )
        ]
    )
    assert "| `x/wasm` | 11.5 tok/s | by hand: 11.4 tok/s | 1.001 [0.998, 1.004] | 0.99 to 1.01 | 5 |" in text


def test_one_model_s_builds_make_one_table() -> None:
    text = page(
        [
            figure("engines/m/a.wasm/decode", 10),
            figure("engines/m/a.wasm/memory", 2e8, unit="bytes"),
            figure("engines/m/b.wasm/decode", 5, ratio=0.5, baseline="a.wasm: 10 tok/s"),
        ]
    )
    assert "### m" in text
    assert "| `a.wasm` | 10 tok/s |  |  | 200.0 MB |" in text
    assert "| `b.wasm` | 5 tok/s (×0.50) |  |  |  |" in text


def test_each_machine_is_described_once() -> None:
    other = MACHINE.model_copy(update={"gpu_adapter": None})
    text = page([figure("load/a"), figure("load/b"), figure("load/c", machine=other)])
    assert text.count("Some CPU") == 2
    assert "1. Some CPU, 2 cores, 24 GiB, Some OS 1, chromium 156, GPU adapter: some adapter" in text
    assert "2. Some CPU, 2 cores, 24 GiB, Some OS 1, chromium 156, GPU adapter: none" in text


def test_a_family_without_a_title_is_shown_all_the_same() -> None:
    assert "## other" in page([figure("other/a")])


def test_families_are_named_once() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (411, "s", "6 min 51 s"),
        (94, "s", "94 s"),
        (0.1234, "s", "0.123 s"),
        (67_112_345, "bytes", "67.1 MB"),
        (1234, "bytes", "1,234 bytes"),
        (9995.7, "tok/s", "9,996 tok/s"),
        (11.53, "tok/s", "11.5 tok/s"),
        (0.96, "share", "0.960"),
    ],
)
def test_quantities_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text
