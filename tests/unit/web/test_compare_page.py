"""Two matrices on one page."""

from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient

from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict
from orchestrator.presentation.changes import chance_words
from tests.unit.cli import matrix_samples, samples
from tests.unit.web.hand_made import HandMade
from tests.unit.web.test_pages import Page, page

FITS: dict[str, Any] = {"runs": 9, "successes": 9}
FAILS: dict[str, Any] = {
    "verdict": CellVerdict.FAILS,
    "runs": 9,
    "successes": 0,
    "probability": 0.05,
    "interval": (0.0, 0.24),
}
ASKED = "/compare?vary=browser_version&a=156&b=157"


def both(before: dict[str, Any], after: dict[str, Any], **common: Any) -> list[Cell]:
    return [
        matrix_samples.cell(**common, browser="chrome 156.0.1", **before),
        matrix_samples.cell(**common, browser="chrome 157.0.2", **after),
    ]


@pytest.fixture
def updated(reads: HandMade) -> None:
    """A browser's update after which one build fails, one is slower, and one is as it was."""
    slower = {"decode_tokens_per_second": matrix_samples.figure(7.0, 9)}
    faster = {"decode_tokens_per_second": matrix_samples.figure(11.0, 9)}
    reads.matrix.shown = matrix_samples.matrix(
        *both(FITS, FITS, variant="same-q8"),
        *both(FITS | faster, FITS | slower, variant="slower-q8"),
        *both(FITS, FAILS, variant="broken-q8"),
        matrix_samples.cell(variant="gone-q8", browser="chrome 156.0.1"),
    )


def titles(read: Page) -> list[str]:
    return [name for name in ("broken-q8", "slower-q8", "same-q8", "gone-q8") if name in read.text]


@pytest.mark.usefixtures("updated")
def test_flips_come_first_then_what_is_worse_with_counts_on_top(web: TestClient) -> None:
    read = page(web, ASKED)
    for words in (
        "1 fits with 156, not with 157",
        "1 worse with 157",
        "1 no difference that these runs show",
        "3 pairs; measured on one side alone: 1 with 156, 0 with 157",
        "chance alone gives such a difference less than once in 10 000 times",
        "decode 11 tok/s → 7 tok/s × 0.64 (0.64 to 0.64) worse",
        "Throughout: model SmolLM2-135M-Instruct",
    ):
        assert words in read.text, words
    places = [read.text.rindex(name) for name in ("broken-q8 ▼", "slower-q8 ↘", "same-q8 =")]
    assert places == sorted(places)
    assert "gone-q8" not in read.text


@pytest.mark.usefixtures("updated")
def test_figures_of_what_fails_are_shown_and_not_judged(web: TestClient, reads: HandMade) -> None:
    early = {"peak_memory_bytes": matrix_samples.figure(20e6, 9)}
    reads.matrix.shown = matrix_samples.matrix(*both(FITS, FAILS | early, variant="broken-q8"))
    read = page(web, ASKED)
    assert "At least half of the runs with 157 failed: their figures say how far they came" in read.text
    figures = read.text.partition("Medians that differ beyond chance")[2]
    assert "memory 612 MB → 20 MB × 0.033" in figures
    assert "better" not in figures
    assert "worse" not in figures


@pytest.mark.usefixtures("updated")
def test_every_pair_leads_to_both_of_its_cells(web: TestClient, reads: HandMade) -> None:
    leads = {link for link in page(web, ASKED).links() if link and link.startswith("/cells/")}
    paired = [cell for cell in reads.matrix.cells if cell.variant != "gone-q8"]
    assert leads == {f"/cells/{cell.key[:12]}" for cell in paired}
    for address in leads:
        page(web, address)


@pytest.mark.usefixtures("updated")
def test_the_form_offers_the_versions_there_are(web: TestClient) -> None:
    read = page(web, "/compare")
    chosen = [one["value"] for one in read.all("option") if "selected" in one]
    assert chosen == ["156.0.1", "157.0.2"]
    assert "Choose two values and press Compare" in read.text
    assert "Nothing was measured" not in read.text


@pytest.mark.usefixtures("updated")
def test_filters_narrow_both_sides_and_stay_with_what_else_is_compared(web: TestClient) -> None:
    read = page(web, ASKED + "&variant=same-q8&backend=wasm&since=")
    assert titles(read) == ["same-q8"]
    assert "/compare?vary=time&variant=same-q8&backend=wasm" in read.links()
    assert "/compare?vary=backend&variant=same-q8" in read.links()
    assert [one["value"] for one in read.all("input") if one.get("name") == "variant"] == ["same-q8"]


@pytest.mark.usefixtures("updated")
def test_what_is_left_out_can_be_asked_for(web: TestClient) -> None:
    read = page(web, ASKED + "&limit=1")
    assert titles(read) == ["broken-q8"]
    (more,) = {link for link in read.links() if link and "limit=" in link}
    assert more is not None
    assert titles(page(web, more)) == ["broken-q8", "slower-q8", "same-q8"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("vary=weather&a=1&b=2", "vary is weather ; it has to be one of browser_version"),
        ("vary=backend&a=wasm&b=wasm", "b is wasm ; it has to be another value than `a`"),
        ("vary=time&a=yesterday", "a is yesterday ; it has to be a date such as"),
        ("vary=backend&a=wasm&b=webgpu&limit=0", "limit is 0"),
        ("vary=backend&a=wasm&b=webgpu&limit=many", "limit is many"),
        ("vary=backend&a=wasm&b=webgpu&since=soon", "since is soon"),
        (f"vary=backend&a={'x' * 300}&b=wasm", "at most 200 letters"),
        ("vary=backend&a=wasm&b=webgpu&backend=wasm", "left out where it is varied"),
    ],
)
def test_what_cannot_be_compared_is_said_beside_the_form(web: TestClient, query: str, words: str) -> None:
    read = page(web, f"/compare?{query}", HTTPStatus.UNPROCESSABLE_ENTITY)
    assert words in read.text


def test_sides_that_share_nothing_say_what_to_do(web: TestClient) -> None:
    read = page(web, "/compare?vary=browser_version&a=1&b=2&backend=wasm")
    assert "Nothing was measured on both sides" in read.text
    assert "Filters leave out what is not wasm" in read.text


def test_devices_go_by_their_names(web: TestClient, reads: HandMade) -> None:
    reads.matrix.shown = matrix_samples.matrix(
        *both(FITS, FAILS),
        *both(FITS, FITS, device="lab.phone-7f3a", device_name="Ann's phone"),
    )
    read = page(web, ASKED)
    assert "This machine" in read.text
    assert "Ann's phone" in read.text
    assert "lab.phone-7f3a" not in read.text
    varied = page(web, "/compare?vary=device&a=this-machine&b=lab.phone-7f3a")
    assert "fits on Ann's phone, not on This machine" in varied.text
    assert "lab.phone-7f3a" not in varied.text


def test_a_lab_with_one_browser_says_that_there_is_nothing_to_compare(web: TestClient, reads: HandMade) -> None:
    assert "only one browser version so far" in page(web, "/compare").text
    reads.matrix.shown = matrix_samples.matrix()
    for vary in ("browser_version", "device", "backend"):
        assert "nothing to compare it with" in page(web, f"/compare?vary={vary}").text
    assert "Say which day parts the runs" in page(web, "/compare?vary=time").text
    assert "Say by which labels the jobs differ" in page(web, "/compare?vary=label").text


def test_a_day_stands_for_its_midnight(web: TestClient) -> None:
    assert "runs before 2026-11-22 against runs since 2026-11-22" in page(web, "/compare?vary=time&a=2026-11-22").text


def test_names_from_outside_are_text(web: TestClient, reads: HandMade) -> None:
    poisoned = dict.fromkeys(("model", "variant", "workload", "device", "device_name"), samples.POISON)
    reads.matrix.shown = matrix_samples.matrix(*both(FITS, FAILS, **poisoned), *both(FITS, FITS, variant="other"))
    read = page(web, ASKED)
    assert "1 fits with 156, not with 157" in read.text
    assert "\u202e" not in read.words
    assert "\x1b" not in read.words
    response = web.get("/compare", params={"vary": "device", "a": samples.POISON, "b": samples.POISON + "x"})
    assert not [name for name, _ in Page(response.text).elements if name in ("b", "img") and samples.POISON in name]
    assert Page(response.text).open == []


def test_chance_is_put_in_words() -> None:
    assert chance_words(1.0).startswith("as often")
    assert chance_words(0.33).endswith("in 33 % of cases")
    assert chance_words(0.02).endswith("once in 50 times")
    assert chance_words(0.00001).endswith("less than once in 10 000 times")
