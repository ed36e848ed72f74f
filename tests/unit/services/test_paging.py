"""Cursors: what a page gives leads to the next one, and nothing else does."""

import base64
import json

import pytest

from orchestrator.domain.errors import InvalidRequestError
from orchestrator.services.paging import Page, cursor_of, paged
from tests.unit.domain.builders import NOW


def test_a_cursor_leads_behind_the_last_item() -> None:
    part = paged(["a", "b", "c"], Page(2), "letters", lambda letter: (NOW, letter))
    assert list(part.items) == ["a", "b"]
    assert Page(2, part.next).place("letters") == (NOW, "b")
    assert paged(["a", "b"], Page(2), "letters", lambda letter: (letter,)).next is None


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "####",
        "ä",
        "[]",
        encoded(None),
        encoded([]),
        encoded(7),
        encoded({"a": 1}),
        encoded(["jobs"]),
        encoded(["runs", NOW.isoformat(), "j-1"]),
        encoded(["jobs", "yesterday", "j-1"]),
        encoded(["jobs", "2026-11-21T12:00:00", "j-1"]),
        encoded(["jobs", NOW.isoformat(), 1]),
        encoded(["jobs", NOW.isoformat(), "j-1", "more"]),
        encoded("[" * 5_000),
        base64.urlsafe_b64encode(b"[" * 300).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_any_other_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Page(10, cursor).place("jobs")
    assert caught.value.fields[0].field == "cursor"


@pytest.mark.parametrize("number", ["-1", "1.5", "½", "9" * 30, ""])
def test_a_number_is_one(number: str) -> None:
    with pytest.raises(InvalidRequestError):
        Page(10, cursor_of("events", number)).number("events")
    assert Page(10, cursor_of("events", "41")).number("events") == 41
