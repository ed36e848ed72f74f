"""Audiences on the web: the list, the upload and its refusals, and what fits whom."""

from http import HTTPStatus

import pytest
from fastapi.testclient import TestClient

from orchestrator.contract.vocabulary import Role
from tests.unit.cli import matrix_samples
from tests.unit.web.hand_made import HandMade
from tests.unit.web.readers import CSV
from tests.unit.web.test_pages import Page, page


def upload(web: TestClient, name: str, csv: str) -> tuple[int, Page, str]:
    answer = web.post("/audiences", data={"name": name, "csv": csv}, follow_redirects=False)
    return answer.status_code, Page(answer.text), answer.headers.get("location", "")


def test_an_upload_leads_to_what_fits_whom(web: TestClient) -> None:
    status, _, location = upload(web, "shop", CSV)
    assert (status, location) == (HTTPStatus.SEE_OTHER, "/audiences/shop")
    assert "Fits for" in page(web, location).text
    assert "/audiences/shop" in page(web, "/audiences").links()


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        (
            "class,share\ndesktop,60\nlow-end,70\n",
            "column share is 130 % in all ; it has to be shares of at most 100 %",
        ),
        ("class,share\ndesktop,60\ntoaster,1\n", "row 3, column class is toaster"),
        ("class;share\ndesktop;60\n", "row 1 is class;share ; it has to be columns separated by commas"),
        ("", "file is missing or empty; it has to be a header"),
        ("x" * 262_145, "at most 262144 letters"),
        ("class,share\n\x00,60\n", "row 2 is ,60 ; it has to be text without NUL characters"),
        ('class,share\n"' + "x" * 140_000 + '",60\n', "row 2 is missing or empty; it has to be lines of a CSV file"),
    ],
)
def test_a_mistake_is_told_beside_the_form_with_what_was_typed(
    web: TestClient, reads: HandMade, csv: str, words: str
) -> None:
    status, read, _ = upload(web, "shop", csv)
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert words in read.text
    assert csv[:20].split("\n")[0].replace("\x00", "") in read.text
    assert [one["value"] for one in read.all("input") if one.get("id") == "name"] == ["shop"]
    assert "shop" not in reads.audiences.kept


@pytest.mark.parametrize("name", ["", "Our Site", "../x", "a" * 101, "<b>"])
def test_a_name_that_is_none_is_refused(web: TestClient, reads: HandMade, name: str) -> None:
    status, read, _ = upload(web, name, CSV)
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "lower-case letters, digits, dots" in read.text
    assert set(reads.audiences.kept) == {"our-site"}


def test_more_than_a_form_can_hold_is_refused(web: TestClient, reads: HandMade) -> None:
    status, read, _ = upload(web, "shop", "é" * 400_000)
    assert status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "form is missing or empty" in read.text
    body = "&".join(f"field{number}=1" for number in range(50))
    assert web.post("/audiences", content=body).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert set(reads.audiences.kept) == {"our-site"}


def test_readers_see_neither_form_nor_button(web: TestClient, reads: HandMade) -> None:
    assert page(web, "/audiences").all("form") != []
    assert page(web, "/audiences/our-site").all("form") != []
    reads.audiences.role = Role.READER
    assert page(web, "/audiences").all("form") == []
    assert page(web, "/audiences/our-site").all("form") == []


def test_an_audience_is_removed(web: TestClient, reads: HandMade) -> None:
    removed = web.post("/audiences/our-site/remove", follow_redirects=False)
    assert (removed.status_code, removed.headers["location"]) == (HTTPStatus.SEE_OTHER, "/audiences")
    assert reads.audiences.kept == {}
    assert "There is no audience yet" in page(web, "/audiences").text
    assert web.post("/audiences/our-site/remove").status_code == HTTPStatus.NOT_FOUND
    page(web, "/audiences/our-site", HTTPStatus.NOT_FOUND)


def test_the_page_says_how_many_visitors_each_variant_fits(web: TestClient) -> None:
    read = page(web, "/audiences/our-site")
    for words in (
        "tiny-gemma-int8-bin ◇ synthetic reaches most: it fits for 55 % (38 to 60) of your visitors, unknown for 40 %",
        "The file names 3 kinds of device, which 80 % of the visitors have",
        "nothing was measured for them",
        "✔ fits, 62–100 %, 5 runs",
        "◇ synthetic",
    ):
        assert words in read.text, words
    assert "⚙ emulated devices are left out: count them" in read.text
    assert "✘ fails, 0–67 %, 2 runs" not in read.text


def test_emulated_devices_and_synthetic_weights_are_switched_in_the_address(web: TestClient) -> None:
    assert "tiny-gemma" in page(web, "/audiences/our-site").text
    assert "tiny-gemma" not in page(web, "/audiences/our-site?synthetic=false").text
    counted = page(web, "/audiences/our-site?emulated=true")
    assert "⚙ emulated devices count: leave them out" in counted.text
    assert counted.text.count("⚙ emulated") > page(web, "/audiences/our-site").text.count("⚙ emulated")
    assert "?emulated=true&synthetic=false" in counted.links()


def test_an_audience_of_which_nothing_is_known_says_what_to_do(web: TestClient, reads: HandMade) -> None:
    upload(web, "shop", "class,share\nflagship,100\n")
    read = page(web, "/audiences/shop")
    assert "Nothing that was measured says anything of these visitors" in read.text
    assert "?emulated=true&synthetic=true" in read.links()
    reads.audiences.cells = []
    assert "fitmatrix submit JOB.yaml --wait" in page(web, "/audiences/shop").text


def test_a_large_audience_shows_its_largest_segments(web: TestClient, reads: HandMade) -> None:
    reads.audiences.classes = [f"class {number}" for number in range(500)]
    reads.audiences.cells = [
        matrix_samples.cell(variant=f"variant-{number}", device_class="class 499") for number in range(50)
    ]
    upload(web, "shop", "class,share\n" + "\n".join(f"class {number},{number / 1300}" for number in range(500)))
    read = page(web, "/audiences/shop")
    assert "460 smaller kinds are left out here" in read.text
    assert "class 499" in read.text
