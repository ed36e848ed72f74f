"""Counts of the same bytes, and what is said of their differences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contract.attempt import DownloadCount
from orchestrator.presentation.measurements import download_rows
from tests.unit.cli import samples


def told(listed: int | None, served: int, total: int, devtools: int | None) -> dict[str, tuple[str, str]]:
    count = DownloadCount(
        page_server_bytes=total, devtools_bytes=devtools, model_file_bytes=served, requests=12 if total else 0
    )
    rows = download_rows(samples.attempt_report(download=count), listed)
    return {what: (figure, how) for what, figure, how in rows}


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (23_395_828, "every file once"),
        (23_396_440, "612 B more: parts were asked for again"),
        (23_000_000, "395 828 B less: left out, or the download broke off"),
    ],
)
def test_what_was_served_is_compared_with_the_files_true_size(served: int, said: str) -> None:
    assert told(23_395_828, served, 50_000_000, 50_010_000)["model files, as served"][1] == said


def test_a_count_that_was_not_made_is_not_invented() -> None:
    rows = told(None, 10, 20, None)
    assert rows["DevTools' total"] == ("–", "not counted")
    assert "headers" not in rows
    assert "model files, as the variant lists them" not in rows
    assert list(download_rows(samples.attempt_report(download=None), 10)) == []


def test_a_browser_that_died_may_have_told_less_than_was_served() -> None:
    rows = told(10, 10, 20, 15)
    assert rows["not seen by DevTools"] == ("5 B", "the browser died before it could say")


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**6))
def test_the_rows_add_up(served: int, pages: int, headers: int) -> None:
    total = served + pages
    rows = told(served, served, total, total + headers)
    bytes_of = {what: int(figure.replace(" ", "").removesuffix("B")) for what, (figure, _) in rows.items()}
    assert bytes_of["model files, as served"] + bytes_of["page and runtime, as served"] == total
    assert bytes_of["all bodies, as served"] + bytes_of["headers"] == bytes_of["DevTools' total"]
