"""What an address asks of the matrix."""

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import QueryParams

from orchestrator.contract.matrix import Dimension
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.matrix_layout import COLUMNS, ROWS
from orchestrator.services.matrix import CellFilter, MatrixQuery
from orchestrator.web.matrix_form import build_form, read_query
from tests.unit.web.hand_made import HandMade


def asked(address: str) -> MatrixQuery:
    return read_query(QueryParams(address)).query


def test_an_address_without_a_query_asks_for_all() -> None:
    assert asked("") == MatrixQuery(ROWS, COLUMNS, CellFilter())
    assert asked("rows=&since=&label=&backend=") == MatrixQuery()


def test_every_filter_is_read() -> None:
    query = asked("rows=model,backend&columns=facts.os&backend=wasm&backend=webgpu&origin=physical&label=suite=nightly")
    assert (query.rows, query.columns) == (("model", "backend"), ("facts.os",))
    assert dict(query.only.values) == {
        Dimension.BACKEND: frozenset({"wasm", "webgpu"}),
        Dimension.ORIGIN: frozenset({"physical"}),
    }
    assert query.only.labels == (("suite", "nightly"),)
    assert asked("label=nightly").only.labels == (("nightly", None),)


def test_a_date_begins_at_midnight_utc() -> None:
    only = asked("since=2026-11-01&until=2026-11-20T10:00:00%2B01:00").only
    assert only.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert only.until == datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize("address", ["since=yesterday", "until=2026-13-01", "&".join(f"model={n}" for n in range(51))])
def test_what_cannot_be_read_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be asked"):
        asked(address)


def test_the_form_offers_only_what_there_is_to_choose() -> None:
    known = {
        Dimension.BACKEND: {"wasm": "wasm", "webgpu": "webgpu"},
        Dimension.RUNTIME: {"transformers.js": "transformers.js"},
    }
    form = build_form(read_query(QueryParams("backend=wasm&device=phone&columns=facts.os")), known)
    assert [one.name for one in form.filters] == ["backend"]
    assert form.filters[0].chosen == ["wasm"]
    assert form.others == [("device", "phone")]
    assert [choice.value for choice in form.facts if choice.chosen] == ["facts.os"]
    assert form.is_filtered


def test_a_layout_of_ones_own_stays_in_the_form() -> None:
    form = build_form(read_query(QueryParams("rows=family,quantization")), {})
    assert [choice.name for choice in form.rows if choice.chosen] == ["family and number format"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("rows=nonsense", "nonsense"),
        ("columns=facts.nothing", "facts.nothing"),
        ("since=%3Cb%3Esoon", "&lt;b&gt;soon"),
        ("rows=model,model", "each once"),
    ],
)
def test_a_wrong_address_says_what_is_wrong_with_it(web: TestClient, query: str, words: str) -> None:
    answer = web.get(f"/?{query}")
    assert answer.status_code == 422
    assert words in answer.text
    assert "Show the whole matrix" in answer.text


def test_filters_that_leave_nothing_say_so(web: TestClient) -> None:
    assert "No cell is left by these filters" in web.get("/?model=none").text


def test_a_page_that_has_not_changed_is_not_sent_again(web: TestClient, reads: HandMade) -> None:
    version = reads.matrix.view(MatrixQuery()).version
    assert web.get("/", headers={"If-None-Match": f'W/"{version}"'}).status_code == 304
    assert web.get("/", headers={"If-None-Match": 'W/"another"'}).status_code == 200


def test_a_cell_has_a_page_and_a_card(web: TestClient, reads: HandMade) -> None:
    key = reads.matrix.cells[0].key[:12]
    page, card = web.get(f"/cells/{key}"), web.get(f"/cells/{key}/card")
    for words in ("5 of 5", "62–100 %", "10.2 tok/s to 12.4 tok/s, n = 5", "/runs/run-1", "transformers.js 3.8.0"):
        assert words in page.text, words
    assert "5 of 5" in card.text
    assert "<html" not in card.text
    assert "?cursor=older" in page.text
    assert web.get("/cells/000000000000").status_code == 404
