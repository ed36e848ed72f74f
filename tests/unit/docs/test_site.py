"""docs/ as a site: every link leads somewhere, and no page asks another host for anything."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "deploy/docs/mkdocs.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--config-file", str(CONFIGURATION), "--site-dir", str(directory)],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return directory


class Fetched(HTMLParser):
    """What a browser fetches by itself when it opens a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [value for name in ("src", "srcset", "poster", "data") if (value := given.get(name))]
        if tag == "link" and given.get("href"):
            self.addresses.append(given["href"] or "")


def test_every_page_of_the_documentation_is_in_it(site: Path) -> None:
    pages = {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.name for path in site.glob("*.html")}
    decisions = {path.with_suffix(".html").name for path in (ROOT / "deploy/decisions").glob("*.md")}
    assert decisions
    assert decisions < {path.name for path in site.glob("decisions/*.html")}


def test_no_page_fetches_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert pages
    for page in pages:
        foreign = [one for one in Fetched(page).addresses if re.match(r"(?:[a-z]+:)?//", one)]
        assert foreign == [], page.name
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")) == []


def test_what_a_page_fetches_of_the_site_is_there(site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        if page.name == "404.html":  # shown at any address, so its own are from the root
            continue
        for address in Fetched(page).addresses:
            if not address.startswith("data:"):
                assert (page.parent / address.partition("?")[0]).exists(), f"{page.name}: {address}"


def test_the_search_knows_every_page(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert found >= {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")}
