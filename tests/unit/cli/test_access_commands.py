"""`tokens`, `agents` and `audit`: what is asked, what is printed, and where the secret goes."""

from datetime import UTC, datetime, timedelta

import pytest
from typer import BadParameter

from orchestrator.cli.lifetimes import read_lifetime
from orchestrator.contract.users import AgentView, AuditEntry, CreatedCode, CreatedToken, TokenView
from orchestrator.contract.views import Listing
from orchestrator.contract.vocabulary import Role
from tests.unit.cli.conftest import FakeCoordinator, fitmatrix

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def token(**changes: object) -> TokenView:
    values: dict[str, object] = {
        "id": "t-1", "name": "alice", "role": Role.SUBMITTER, "created_at": NOW, "created_by": "admin",
        "expires_at": None, "revoked_at": None, "last_used_at": NOW,
    }  # fmt: skip
    return TokenView.model_validate(values | changes)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        ("90min", timedelta(minutes=90)),
        ("1.5d", timedelta(hours=36)),
        (" 1d 12h ", timedelta(hours=36)),
        ("2h30min15s", timedelta(hours=2, minutes=30, seconds=15)),
    ],
)
def test_a_lifetime_is_numbers_and_units(text: str, span: timedelta) -> None:
    assert read_lifetime(text) == span


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1y", "1h 5x", "x 1h", "٣d", "9999999d"])
def test_another_lifetime_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="write it like 90min"):
        read_lifetime(text)


@pytest.mark.parametrize(("expires", "seconds"), [("90d", 90 * 86_400), ("never", None)])
def test_creating_prints_the_token_alone_on_standard_output(
    coordinator: FakeCoordinator, expires: str, seconds: int | None
) -> None:
    created = CreatedToken(**token().model_dump(), token="fm_secret")
    coordinator.answer("POST /api/v1/tokens", created, status=201)
    command = ("tokens", "create", "alice", "--role", "submitter", "--expires", expires)
    result = fitmatrix(*command, server=coordinator.url)
    assert result.exit_code == 0, result.output
    assert result.stdout == "fm_secret\n"
    assert "not shown again" in result.stderr
    assert coordinator.requests[0][3] == {"name": "alice", "role": "submitter", "lifetime_seconds": seconds}


def test_tokens_are_listed_with_their_state(coordinator: FakeCoordinator) -> None:
    coordinator.answer(
        "GET /api/v1/tokens",
        [token(), token(name="bob", revoked_at=NOW), token(name="carl", expires_at=NOW)],
    )
    lines = fitmatrix("tokens", "list", server=coordinator.url).output.splitlines()
    (alice,) = (line for line in lines if line.startswith("alice"))
    (bob,) = (line for line in lines if line.startswith("bob"))
    (carl,) = (line for line in lines if line.startswith("carl"))
    assert "good" in alice
    assert "revoked" in bob
    assert "expired" in carl


def test_revoking_names_what_it_revoked(coordinator: FakeCoordinator) -> None:
    coordinator.answer("DELETE /api/v1/tokens/alice", token(revoked_at=NOW))
    coordinator.answer("DELETE /api/v1/agents/desk-1", b"", status=204)
    assert "alice is revoked" in fitmatrix("tokens", "revoke", "alice", server=coordinator.url).output
    assert "desk-1 is revoked" in fitmatrix("agents", "revoke", "desk-1", server=coordinator.url).output
    assert fitmatrix("tokens", "revoke", "nobody", server=coordinator.url).exit_code == 2


def test_a_code_is_printed_alone_on_standard_output(coordinator: FakeCoordinator) -> None:
    coordinator.answer("POST /api/v1/agents/codes", CreatedCode(code="fmc_secret", expires_at=NOW), status=201)
    result = fitmatrix("agents", "code", "--expires", "15m", server=coordinator.url)
    assert result.stdout == "fmc_secret\n"
    assert "FITMATRIX_AGENT_TOKEN" in result.stderr
    assert coordinator.requests[0][3] == {"lifetime_seconds": 900}


def test_agents_are_listed_with_their_devices(coordinator: FakeCoordinator) -> None:
    agent = AgentView(
        id="desk-1", hostname="desk", version="1.0", last_seen_at=NOW, revoked_at=NOW, devices=["desk-1.host"]
    )
    coordinator.answer("GET /api/v1/agents", [agent])
    output = fitmatrix("agents", "list", server=coordinator.url).output
    assert "desk-1.host" in output
    assert "revoked" in output


def test_the_audit_log_says_how_to_go_on(coordinator: FakeCoordinator) -> None:
    entry = AuditEntry(
        id=7, at=NOW, actor="ann\x1b[31m", action="token.create", subject="bob", detail={"role": "reader"}
    )
    coordinator.answer("GET /api/v1/audit", Listing[AuditEntry](items=[entry], next="7"))
    result = fitmatrix("audit", "--limit", "1", server=coordinator.url)
    assert "token.create" in result.output
    assert "role reader" in result.output
    assert "\x1b" not in result.output
    assert "fitmatrix audit --cursor 7" in result.stderr
    assert coordinator.asked("GET /api/v1/audit") == ["/api/v1/audit?limit=1"]
