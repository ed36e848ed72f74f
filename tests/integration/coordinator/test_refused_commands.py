"""Commands that cannot be carried out: one sentence that says what to do, the documented exit code, no traceback."""

from http import HTTPStatus
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.contract.vocabulary import Role
from tests.integration.coordinator.lab import RunningCoordinator
from tests.unit.cli.conftest import fitmatrix

_NOT_FOR_PEOPLE = ("Traceback", "String should", "pydantic", *(f"{status.phrase}: " for status in HTTPStatus))


def refused(*command: str, server: str, code: int = 2) -> str:
    """What it says, on one line."""
    done = fitmatrix(*command, server=server, columns=80)
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert [words for words in _NOT_FOR_PEOPLE if words in done.output] == [], done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("command", "listing"),
    [
        ("job nope", "jobs"),
        ("run nope", "runs"),
        ("why nope", "runs"),
        ("cancel nope", "jobs"),
        ("devices show nope", "devices"),
        ("devices reserve nope --for 1h", "devices"),
        ("audiences show nope", "audiences list"),
        ("audiences remove nope", "audiences list"),
        ("imports remove nope", "imports list"),
        ("webhooks ping nope", "webhooks list"),
        ("webhooks remove nope", "webhooks list"),
        ("tokens revoke nope", "tokens list"),
        ("agents revoke nope", "agents list"),
    ],
)
def test_an_unknown_id_is_answered_by_where_the_known_ones_are(
    coordinator: RunningCoordinator, command: str, listing: str
) -> None:
    said = refused(*command.split(), server=coordinator.url)
    assert said.startswith("fitmatrix: there is no ")
    assert said.endswith(f" nope: `fitmatrix {listing}` lists what there is")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["tokens", "create", "a b", "--role", "reader"], "allowed: up to 100 letters, digits, dots"),
        (["agents", "code", "--expires", "52w"], "allowed: less than or equal to 2592000"),
        (["webhooks", "add", "a b", "https://ci.example.org"], "allowed: up to 100 letters from a to z, digits"),
        (["webhooks", "add", "ci", "nonsense"], "allowed: an address such as https://ci.example.org/hook"),
        (["devices", "probe", "os =="], "allowed: a CEL expression: column 6: it ends too early"),
        (["matrix", "--rows", "flavour"], "allowed: one of model, family, variant"),
        (["matrix", "--only", "flavour=1"], "is not NAME=VALUE with one of the names model, family"),
        (["compare", "time", "yesterday"], "allowed: a moment such as 2026-11-01T00:00:00Z"),
        (["compare", "flavour", "1", "2"], "'flavour' is not one of"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(
    coordinator: RunningCoordinator, command: list[str], words: str
) -> None:
    assert words in refused(*command, server=coordinator.url)


def test_who_may_not_is_told_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = "an-administrators-token-that-always-works"
    coordinator = RunningCoordinator(tmp_path / "data", token=root)
    coordinator.start()
    try:
        with Client(coordinator.url, token=root) as client:
            reader = client.create_token("ro", Role.READER, None).token
        monkeypatch.delenv("FITMATRIX_TOKEN", raising=False)
        assert "a bearer token is needed: set FITMATRIX_TOKEN" in refused("jobs", server=coordinator.url)
        monkeypatch.setenv("FITMATRIX_TOKEN", reader)
        said = refused("devices", "drain", "lab.desk", server=coordinator.url)
        assert said == "fitmatrix: this needs the role admin; the token of ro has the role reader"
        monkeypatch.setenv("FITMATRIX_TOKEN", "wrong")
        assert "is not known to the coordinator, has expired or was revoked" in refused("jobs", server=coordinator.url)
    finally:
        coordinator.stop()


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "nonsense"])
def test_without_a_coordinator_it_is_said_how_to_name_another(server: str) -> None:
    said = refused("devices", server=server, code=3)
    assert said.startswith(f"fitmatrix: Cannot reach the coordinator at {server} (")
    assert said.endswith("Start it with `fitmatrix up`, or name another one with --server or FITMATRIX_SERVER.")
