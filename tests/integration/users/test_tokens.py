"""Bearer tokens from their making to their end."""

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from orchestrator.contract.device import EnrolRequest
from orchestrator.contract.vocabulary import Role
from orchestrator.contract.wire import CONTRACT_VERSION
from orchestrator.domain.access import Token, digest_secret
from orchestrator.domain.records import Caller
from orchestrator.services.authentication import FRESH_SECONDS, USE_NOTED_EVERY, Authentication
from orchestrator.settings import StartupError
from orchestrator.store.database import Database
from tests.integration.coordinator.lab import running_coordinator
from tests.integration.users.conftest import ROOT
from tests.integration.users.house import bearing, house, new_token
from tests.unit.domain.builders import device
from tests.waiting import wait_until


def status(client: TestClient, secret: str | None, path: str = "/api/v1/devices") -> int:
    return int(client.get(path, headers=bearing(secret)).status_code)


def test_a_token_works_until_it_is_revoked(guarded: TestClient) -> None:
    secret = new_token(guarded, "ada", "reader", ROOT)
    assert secret.startswith("fm_")
    assert status(guarded, secret) == 200
    revoked = guarded.delete("/api/v1/tokens/ada", headers=bearing(ROOT))
    assert revoked.json()["revoked_at"]
    answer = guarded.get("/api/v1/devices", headers=bearing(secret))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "revoked" in answer.json()["detail"]
    assert guarded.delete("/api/v1/tokens/ada", headers=bearing(ROOT)).status_code == 200, "again changes nothing"
    assert guarded.delete("/api/v1/tokens/nobody", headers=bearing(ROOT)).status_code == 404


def test_a_name_is_taken_as_long_as_its_token_works(guarded: TestClient) -> None:
    first = new_token(guarded, "bob", "reader", ROOT)
    body = {"name": "bob", "role": "submitter"}
    assert guarded.post("/api/v1/tokens", json=body, headers=bearing(ROOT)).status_code == 409
    guarded.delete("/api/v1/tokens/bob", headers=bearing(ROOT))
    second = new_token(guarded, "bob", "submitter", ROOT)
    assert (status(guarded, first), status(guarded, second)) == (401, 200)
    for reserved in ("admin", "local"):
        taken = guarded.post("/api/v1/tokens", json=body | {"name": reserved}, headers=bearing(ROOT))
        assert taken.status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"role": "owner"}, "role"),
        ({"lifetime_seconds": 0}, "lifetime_seconds"),
        ({"lifetime_seconds": 10**12}, "lifetime_seconds"),
        ({"digest": "0"}, "digest"),
    ],
)
def test_a_bad_wish_makes_no_token(guarded: TestClient, change: dict[str, object], field: str) -> None:
    before = guarded.get("/api/v1/tokens", headers=bearing(ROOT)).json()
    answer = guarded.post("/api/v1/tokens", json={"name": "carl", "role": "reader"} | change, headers=bearing(ROOT))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert guarded.get("/api/v1/tokens", headers=bearing(ROOT)).json() == before


def test_a_role_that_is_too_low_is_told_which_is_needed(guarded: TestClient) -> None:
    secret = new_token(guarded, "rita", "reader", ROOT)
    answer = guarded.post("/api/v1/jobs", json={}, headers=bearing(secret))
    assert answer.status_code == 403
    assert answer.json()["detail"] == "this needs the role submitter; the token of rita has the role reader"


def test_no_secret_is_stored_or_listed_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    with caplog.at_level(logging.DEBUG), house(data, token=ROOT) as client:
        secret = new_token(client, "dora", "admin", ROOT)
        code = client.post("/api/v1/agents/codes", json={}, headers=bearing(secret)).json()["code"]
        session = client.post("/login", data={"token": secret}, follow_redirects=False).cookies["fitmatrix_session"]
        client.delete("/api/v1/tokens/dora", headers=bearing(ROOT))
        assert status(client, secret) == 401
        shown = [client.get(path, headers=bearing(ROOT)).text for path in ("/api/v1/tokens", "/api/v1/audit")]
    with closing(sqlite3.connect(data / "fitmatrix.db")) as connection:
        stored = "\n".join(connection.iterdump())
    assert digest_secret(secret) in stored
    for hidden in (secret, code, session, ROOT):
        assert hidden not in stored
        assert hidden not in caplog.text
        assert all(hidden not in text for text in shown)


def test_loopback_without_tokens_lets_everybody_in_until_there_is_an_administrator(open_house: TestClient) -> None:
    assert status(open_house, None, "/api/v1/tokens") == 200
    reader = new_token(open_house, "rita", "reader")
    assert status(open_house, None, "/api/v1/tokens") == 200, "nobody could make an administrator's token otherwise"
    assert status(open_house, reader) == 200
    assert status(open_house, reader, "/api/v1/tokens") == 403, "who shows a token is who it says"
    assert status(open_house, "fm_wrong") == 401
    admin = new_token(open_house, "ann", "admin")
    assert status(open_house, None) == 401
    assert status(open_house, admin, "/api/v1/tokens") == 200
    last = open_house.delete("/api/v1/tokens/ann", headers=bearing(admin))
    assert last.status_code == 409
    assert "create another one first" in last.json()["detail"]
    other = new_token(open_house, "olga", "admin", admin)
    assert open_house.delete("/api/v1/tokens/ann", headers=bearing(other)).status_code == 200
    assert status(open_house, admin) == 401


def test_the_bootstrap_token_opens_a_coordinator_whose_tokens_are_lost(tmp_path: Path) -> None:
    with house(tmp_path / "data") as client:
        new_token(client, "ann", "admin")
        assert status(client, None) == 401
    with house(tmp_path / "data", token=ROOT) as client:
        assert status(client, ROOT, "/api/v1/tokens") == 200
        assert client.delete("/api/v1/tokens/ann", headers=bearing(ROOT)).status_code == 200


class MovingClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'fitmatrix.db'}")
    database.migrate()
    return database


def token(clock: MovingClock, **changes: object) -> Token:
    values = {
        "id": "t-1", "name": "ann", "role": Role.ADMIN, "digest": digest_secret("fm_ann"), "created_at": clock.now,
        "created_by": "local",
    }  # fmt: skip
    return Token(**(values | changes))  # type: ignore[arg-type]  # the test's own fields


def test_an_expired_token_is_refused_and_opens_nothing(database: Database) -> None:
    clock = MovingClock()
    with database.write() as tx:
        tx.access.put_token(token(clock, expires_at=clock.now + timedelta(hours=1)))
    with closing(Authentication(database, clock, None, is_loopback=True)) as authentication:
        authentication.refresh()
        assert authentication.bearer("fm_ann") == Caller("ann", Role.ADMIN, "t-1")
        clock.now += timedelta(hours=1)
        assert authentication.bearer("fm_ann") is None
        assert not authentication.is_open
    database.close()


def test_what_another_coordinator_revokes_ends_here_within_a_second(database: Database) -> None:
    clock = MovingClock()
    with database.write() as tx:
        tx.access.put_token(token(clock))
    with closing(Authentication(database, clock, None, is_loopback=True)) as authentication:
        authentication.refresh()
        caller = authentication.bearer("fm_ann")
        assert isinstance(caller, Caller)
        with database.write() as tx:
            tx.access.put_token(token(clock, revoked_at=clock.now))
        assert FRESH_SECONDS <= 1
        wait_until(lambda: authentication.is_stale, what="what is known being old")
        authentication.refresh()
        assert authentication.bearer("fm_ann") is None
        assert not authentication.is_still_let_in(caller), "as an open stream asks"
    database.close()


def test_the_last_use_is_noted_once_a_minute(database: Database) -> None:
    clock = MovingClock()
    with database.write() as tx:
        tx.access.put_token(token(clock))

    def noted() -> datetime | None:
        with database.read() as tx:
            return tx.access.tokens()[0].last_used_at

    begun = clock.now
    with closing(Authentication(database, clock, None, is_loopback=True)) as authentication:
        authentication.refresh()
        for _ in range(3):
            authentication.bearer("fm_ann")
            clock.now += timedelta(seconds=1)
    assert noted() == begun
    with closing(Authentication(database, clock, None, is_loopback=True)) as authentication:
        authentication.refresh()
        authentication.bearer("fm_ann")
        clock.now = begun + USE_NOTED_EVERY
        authentication.bearer("fm_ann")
    assert noted() == clock.now
    database.close()


def test_hundreds_of_tokens_are_told_apart_without_asking_the_database(tmp_path: Path, database: Database) -> None:
    clock = MovingClock()
    with database.write() as tx:
        for number in range(300):
            digest = digest_secret(f"fm_{number}")
            tx.access.put_token(
                token(clock, id=f"t-{number}", name=f"n{number}", digest=digest, last_used_at=clock.now)
            )
    with closing(Authentication(database, clock, None, is_loopback=True)) as authentication:
        authentication.refresh()
        database.close()
        for file in tmp_path.iterdir():
            file.unlink()
        names = {getattr(authentication.bearer(f"fm_{number}"), "name", None) for number in range(300)}
    assert names == {f"n{number}" for number in range(300)}


@pytest.mark.parametrize("setting", ["write_limit", "failure_limit"])
def test_a_limit_that_cannot_be_read_says_so(tmp_path: Path, setting: str) -> None:
    with pytest.raises(StartupError, match="like 600/minute"), house(tmp_path / "data", **{setting: "often"}):
        pass


def test_too_many_changes_are_refused_for_a_while(tmp_path: Path) -> None:
    with house(tmp_path / "data", token=ROOT, write_limit="3/hour") as client:
        answers = [client.post("/api/v1/agents/codes", json={}, headers=bearing(ROOT)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 3600
        assert answers[-1].headers["content-type"] == "application/problem+json"
        assert status(client, ROOT) == 200, "reading is not limited"


def test_wrong_tokens_are_not_listened_to_for_ever_and_good_ones_still_work(tmp_path: Path) -> None:
    with house(tmp_path / "data", token=ROOT, failure_limit="3/hour") as client:
        assert [status(client, "fm_guess") for _ in range(5)] == [401, 401, 401, 429, 429]
        assert client.get("/api/v1/devices", headers=bearing("fm_guess")).headers["retry-after"]
        assert client.post("/login", data={"token": "fm_guess"}).status_code == 429
        assert status(client, ROOT) == 200
        assert status(client, None) == 401, "who shows nothing has guessed nothing"


def test_loopback_without_tokens_is_not_limited(tmp_path: Path) -> None:
    with house(tmp_path / "data", write_limit="1/hour") as client:
        answers = [client.post("/api/v1/agents/codes", json={}).status_code for _ in range(3)]
        assert answers == [201, 201, 201]


def test_a_revoked_token_is_told_nothing_more_on_a_stream_that_is_open(tmp_path: Path) -> None:
    with (
        running_coordinator(tmp_path / "data", token=ROOT) as coordinator,
        httpx.Client(base_url=f"{coordinator.url}/api/v1", headers=bearing(ROOT), timeout=30) as admin,
    ):
        body = {"name": "rita", "role": "reader"}
        reader = bearing(admin.post("/tokens", json=body).raise_for_status().json()["token"])
        with httpx.stream("GET", f"{coordinator.url}/api/v1/events", headers=reader, timeout=30) as stream:
            chunks = stream.iter_bytes()
            assert next(chunks).startswith(b": following")
            enrol_desk(admin, "before")
            told = b""
            while b"before.desk" not in told:
                told += next(chunks)
            admin.delete("/tokens/rita").raise_for_status()
            enrol_desk(admin, "after")
            rest = b"".join(chunks)  # it ends
        assert b"after.desk" not in rest
        with httpx.stream("GET", f"{coordinator.url}/api/v1/events", headers=reader, timeout=30) as refused:
            assert refused.status_code == 401


def enrol_desk(admin: httpx.Client, agent_id: str) -> None:
    code = admin.post("/agents/codes", json={}).raise_for_status().json()["code"]
    request = EnrolRequest(
        contract_version=CONTRACT_VERSION,
        agent_id=agent_id,
        agent_version="1",
        hostname="host",
        devices=[device(f"{agent_id}.desk")],
    )
    body = request.model_dump(mode="json")
    admin.post("/agents/enrol", json=body, headers=bearing(code)).raise_for_status()
