"""Pages of ended attempts, opened by hand."""

from pathlib import Path

import httpx
import pytest

from agents.attempt_page import AttemptPage
from agents.kept_pages import KEPT_PAGES, KeptPages
from agents.page_server import KEY_HEADER, PageServer
from tests.unit.agents_browser.test_page_server import page_spec, report

ORIGIN = "http://localhost:1"


def page(attempt: str, files: dict[str, Path] | None = None) -> AttemptPage:
    return AttemptPage(ORIGIN, page_spec(attempt), files or {}, {}, lambda: None)


def test_a_page_survives_its_server_but_hears_nothing_any_more(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text("<!doctype html>")
    first = PageServer(kept=tmp_path / "pages")
    first.start()
    opened = first.open_attempt(page_spec(), page_files={"index.html": index}, model_files={}, media_types={})
    key = {KEY_HEADER: opened.url.partition("#key=")[2]}
    first.stop()

    second = PageServer(kept=tmp_path / "pages")
    second.start()
    try:
        address = f"{second.origin}/run/run-1.1/"
        assert httpx.get(address).text == "<!doctype html>"
        assert httpx.get(f"{address}spec").json()["variant"] == "tiny"
        assert httpx.post(f"{address}report", json=report(), headers=key).status_code == 403
        assert httpx.get(f"{second.origin}/run/run-9.9/").status_code == 404
    finally:
        second.stop()


def test_only_the_last_pages_are_kept(tmp_path: Path) -> None:
    kept = KeptPages(tmp_path)
    for number in range(KEPT_PAGES + 5):
        kept.add(page(f"r-{number}.1"))
    assert len(list(tmp_path.iterdir())) == KEPT_PAGES
    assert KeptPages(tmp_path).find("r-4.1", ORIGIN) is None
    assert KeptPages(tmp_path).find("r-5.1", ORIGIN) is not None


@pytest.mark.parametrize("attempt", ["../secret", "..", "a/b", "", "nope"])
def test_a_name_never_leaves_the_directory(tmp_path: Path, attempt: str) -> None:
    (tmp_path / "secret.json").write_text(page("secret").spec.model_dump_json())
    pages = tmp_path / "pages"
    pages.mkdir()
    assert KeptPages(pages).find(attempt, ORIGIN) is None


def test_what_cannot_be_read_is_no_page(tmp_path: Path) -> None:
    (tmp_path / "r-1.1.json").write_text("{")
    assert KeptPages(tmp_path).find("r-1.1", ORIGIN) is None
