"""A hook of MkDocs: what the site shows of the repository beside docs/."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]
_DECISIONS: Final = "deploy/decisions"
_INDEX: Final = "decisions/index.md"
_STYLE: Final = "deploy/docs/site.css"
_PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "webpayloads/THIRD_PARTY.md": "third-party.md",
    **{
        record.relative_to(ROOT).as_posix(): f"decisions/{record.name}"
        for record in sorted((ROOT / _DECISIONS).glob("*.md"))
    },
}
"""By the place in the repository, the place in the site."""
_LINK: Final = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    lines = ["# Decisions", "", "Why things are as they are.", ""]
    for place, address in _PAGES.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        files.append(File.generated(config, address, content=text))
        if place.startswith(_DECISIONS):
            title = text.partition("\n")[0].removeprefix("# ").replace(".", r"\.", 1)
            lines.append(f"- [{title}]({PurePosixPath(address).name})")
    files.append(File.generated(config, "site.css", content=(ROOT / _STYLE).read_text(encoding="utf-8")))
    files.append(File.generated(config, _INDEX, content="\n".join([*lines, ""])))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - as MkDocs calls it
    """Links between files of the repository become links between pages of the site."""
    address = page.file.src_uri
    if address == _INDEX:
        return markdown  # written above, for the site
    sources = {there: place for place, there in _PAGES.items()}
    here = PurePosixPath(sources.get(address, f"docs/{address}")).parent

    def moved(link: re.Match[str]) -> str:
        target = os.path.normpath(here / link["path"])
        if target == _DECISIONS:
            found = _INDEX
        elif target.startswith("docs/"):
            found = target.removeprefix("docs/")
        else:
            found = _PAGES.get(target, "")
        return os.path.relpath(found, PurePosixPath(address).parent) + (link["anchor"] or "") if found else link[0]

    return _LINK.sub(moved, markdown)
