"""Browsers: logging in, what a session is worth, when it ends, and what other sites cannot do."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.integration.users.conftest import ROOT
from tests.integration.users.house import HERE, bearing, house, new_token


@pytest.fixture
def browser(guarded: TestClient) -> TestClient:
    """With a cookie jar of its own."""
    return TestClient(guarded.app, base_url=HERE, follow_redirects=False)


def log_in(browser: TestClient, secret: str, back: str = "/devices/x") -> str:
    answer = browser.post("/login", data={"token": secret, "back": back})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_page_asks_for_a_token_and_shows_itself_afterwards(guarded: TestClient, browser: TestClient) -> None:
    secret = new_token(guarded, "wendy", "reader", ROOT)
    asked = browser.get("/runs/r-1")
    assert asked.status_code == 401
    assert 'name="token"' in asked.text
    assert 'name="back" value="/runs/r-1"' in asked.text
    assert browser.get("/static/style.css").status_code == 200
    assert log_in(browser, secret, "/runs/r-1") == "/runs/r-1"
    assert browser.get("/").status_code == 200
    assert "wendy" in browser.get("/login").text
    assert browser.get("/api/v1/devices").status_code == 200, "what the pages' scripts read"
    assert browser.post("/api/v1/jobs", json={}).status_code == 403
    assert browser.post("/logout").headers["location"] == "/login"
    assert browser.get("/").status_code == 401


def test_logging_out_ends_a_session_that_somebody_has_copied(guarded: TestClient, browser: TestClient) -> None:
    log_in(browser, new_token(guarded, "walt", "reader", ROOT))
    copy = TestClient(guarded.app, base_url=HERE, cookies=dict(browser.cookies))
    assert copy.get("/").status_code == 200
    browser.post("/logout")
    assert copy.get("/").status_code == 401


def test_a_revoked_token_ends_its_sessions_at_once(guarded: TestClient, browser: TestClient) -> None:
    log_in(browser, new_token(guarded, "wim", "submitter", ROOT))
    assert browser.get("/").status_code == 200
    guarded.delete("/api/v1/tokens/wim", headers=bearing(ROOT))
    assert browser.get("/").status_code == 401
    assert browser.get("/api/v1/devices").status_code == 401


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_for_this_site_and_no_script(guarded: TestClient, scheme: str, secure: bool) -> None:
    browser = TestClient(guarded.app, base_url=f"{scheme}://127.0.0.1", follow_redirects=False)
    cookie = browser.post("/login", data={"token": ROOT}).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ("Secure" in cookie) is secure
    assert ROOT not in cookie
    assert 0 < int(re.findall(r"Max-Age=(\d+)", cookie)[0]) <= 12 * 3600


@pytest.mark.parametrize("secret", ["fm_wrong", "", "x" * 10_000])
def test_a_wrong_token_says_so_and_is_not_repeated(browser: TestClient, secret: str) -> None:
    answer = browser.post("/login", data={"token": secret})
    assert answer.status_code == 401
    assert "not known" in answer.text
    assert not secret or secret not in answer.text
    assert "set-cookie" not in answer.headers


def test_an_agents_token_logs_nobody_in(guarded: TestClient, browser: TestClient) -> None:
    answer = browser.post("/login", data={"token": new_token(guarded, "machine", "agent", ROOT)})
    assert answer.status_code == 401
    assert "for agents" in answer.text


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "/a\nb"]
)
def test_a_login_leads_nowhere_else(browser: TestClient, back: str) -> None:
    assert log_in(browser, ROOT, back) == "/"


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_sites_pages_change_nothing(browser: TestClient, tmp_path: Path, headers: dict[str, str]) -> None:
    log_in(browser, ROOT)
    for method, path in (("POST", "/api/v1/agents/codes"), ("POST", "/logout"), ("DELETE", "/api/v1/tokens/x")):
        assert browser.request(method, path, headers=headers).status_code == 403
    assert browser.post("/login", data={"token": ROOT}, headers=headers).status_code == 403
    assert browser.get("/", headers=headers).status_code == 200


def test_own_pages_may(browser: TestClient) -> None:
    log_in(browser, ROOT)
    own = {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/api/v1/agents/codes", json={}, headers=own).status_code == 201
    assert browser.post("/logout", headers=own).status_code == 303


def test_loopback_without_tokens_needs_no_login_and_is_closed_to_other_sites(tmp_path: Path) -> None:
    with house(tmp_path / "data") as client:
        assert client.get("/").status_code == 200
        assert "No login is needed" in client.get("/login").text
        for headers in FOREIGN:
            assert client.post("/api/v1/agents/codes", json={}, headers=headers).status_code == 403
