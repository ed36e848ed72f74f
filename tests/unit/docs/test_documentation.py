"""What the texts for people point to is there, and they speak of the project alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("deploy/**/*.md"),
        ROOT / "tests/phone/README.md",
        ROOT / "webpayloads/THIRD_PARTY.md",
    ]
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_FOREIGN = re.compile(
    r"(?:^|[\s`'\"(=])/(?:work|root|home|Users)/|[A-Z]:\\\\Users|pypi\.org|npmjs\.(?:com|org)|nexus|artifactory"
)
_REPOSITORY_FILE = re.compile(
    r"`((?:agents|orchestrator|deploy|docs|tests|webpayloads|grafana|requirements)/[\w./-]+?\.[a-z]+)`"
)
_DECISION = re.compile(r"(\d{4})-[a-z0-9-]+\.md")


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_FENCED.sub("", text)))
    return {heading.replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page_id(page)} leads to {link}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page_id(page)} leads to {link}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_are_named_are_there(page: Path) -> None:
    # What is built or learnt is not in the repository.
    named = {name for name in _REPOSITORY_FILE.findall(page.read_text(encoding="utf-8")) if "/dist/" not in name}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", [*PAGES, *sorted(ROOT.glob("docs/images/*.svg"))], ids=page_id)
def test_no_page_names_somebodys_machine(page: Path) -> None:
    assert _FOREIGN.findall(page.read_text(encoding="utf-8")) == []


def test_every_picture_is_shown_and_small() -> None:
    shown = {Path(link).name for page in PAGES for link in _LINK.findall(page.read_text(encoding="utf-8"))}
    for picture in sorted((ROOT / "docs/images").iterdir()):
        assert picture.name in shown
        assert picture.stat().st_size < (100_000 if picture.suffix == ".svg" else 1 << 20)


def test_decisions_have_numbers_of_their_own_and_name_what_holds_them() -> None:
    records = sorted((ROOT / "deploy/decisions").glob("*.md"))
    numbers = [match[1] for record in records if (match := _DECISION.fullmatch(record.name))]
    assert len(numbers) == len(records) == len(set(numbers))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(record.name[:4])}. "), record.name
        held = text.partition("**Held by.**")[2]
        named = re.findall(r"`(?:[\w/.]+::)?(test_\w+)`", held)
        assert named, record.name
        assert [name for name in named if f"def {name}(" not in tests] == [], record.name
