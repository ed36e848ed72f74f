"""A hook of MkDocs: what the site shows of the repository beside docs/."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
_PAGES: Final = {"CHANGELOG.md": "changelog.md", "webpayloads/THIRD_PARTY.md": "third-party.md"}
"""By the place in the repository, the place in the site."""
_DECISIONS: Final = "deploy/decisions"
_INDEX: Final = "decisions/index.md"
_LINK: Final = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    lines = []
    for place, address in _places().items():
        if address == _INDEX:
            continue
        text = (ROOT / place).read_text(encoding="utf-8")
        files.append(File.generated(config, address, content=text))
        if place.startswith(_DECISIONS):
            title = text.partition("\n")[0].removeprefix("# ")
            lines.append(f"- [{title}]({PurePosixPath(address).name})")
    index = "\n".join(["# Decisions", "", "Why things are as they are.", "", *lines, ""])
    files.append(File.generated(config, _INDEX, content=index))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs' names
    """Links between files of the repository become links between pages of the site."""
    places = _places()
    sources = {address: place for place, address in places.items()}
    address = page.file.src_uri
    here = PurePosixPath(sources.get(address, f"docs/{address}")).parent

    def moved(link: re.Match[str]) -> str:
        target = os.path.normpath(here / link["path"])
        found = places.get(target)
        if found is None and target.startswith("docs/"):
            found = target.removeprefix("docs/")
        if found is None:
            return link[0]
        return os.path.relpath(found, PurePosixPath(address).parent) + (link["anchor"] or "")

    # Made here, from nothing in the repository, and right as it is.
    return markdown if address == _INDEX else _LINK.sub(moved, markdown)


def _places() -> dict[str, str]:
    records = sorted((ROOT / _DECISIONS).glob("*.md"))
    return (
        _PAGES
        | {_DECISIONS: _INDEX}
        | {f"{_DECISIONS}/{record.name}": f"decisions/{record.name}" for record in records}
    )
