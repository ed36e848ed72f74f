"""The audit log: every change by a person is in it, newest first, a page at a time."""

import pytest
from fastapi.testclient import TestClient

from tests.integration.users.conftest import ROOT
from tests.integration.users.house import bearing, enrol, new_code, new_token


def test_changes_are_told_with_who_made_them(open_house: TestClient) -> None:
    admin = new_token(open_house, "ann", "admin")
    new_token(open_house, "bob", "reader", admin, lifetime_seconds=60)
    open_house.delete("/api/v1/tokens/bob", headers=bearing(admin))
    enrol(open_house, "host", new_code(open_house, admin))
    open_house.delete("/api/v1/agents/host", headers=bearing(admin))
    refused = open_house.delete("/api/v1/agents/nobody", headers=bearing(admin))
    assert refused.status_code == 404
    items = open_house.get("/api/v1/audit", headers=bearing(admin)).json()["items"]
    told = [(item["actor"], item["action"], item["subject"]) for item in reversed(items)]
    code = told[3][2]
    assert told == [
        ("local", "token.create", "ann"),
        ("ann", "token.create", "bob"),
        ("ann", "token.revoke", "bob"),
        ("ann", "code.create", code),
        (f"code {code}", "agent.enrol", "host"),
        ("ann", "agent.revoke", "host"),
    ]
    assert items[-2]["detail"]["role"] == "reader"


def test_the_log_is_read_page_by_page(guarded: TestClient) -> None:
    for number in range(5):
        new_token(guarded, f"page-{number}", "reader", ROOT)
    read: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = guarded.get("/api/v1/audit", params=params, headers=bearing(ROOT)).json()
        read += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    everything = guarded.get("/api/v1/audit", headers=bearing(ROOT)).json()
    assert read == [item["id"] for item in everything["items"]]
    assert read == sorted(read, reverse=True)
    assert everything["next"] is None


@pytest.mark.parametrize("cursor", ["x", "-1", "²", "9" * 30])
def test_a_cursor_of_somewhere_else_is_refused(guarded: TestClient, cursor: str) -> None:
    answer = guarded.get("/api/v1/audit", params={"cursor": cursor}, headers=bearing(ROOT))
    assert answer.status_code == 422
