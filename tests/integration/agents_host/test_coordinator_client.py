"""The HTTP client: what each answer of a coordinator means to an agent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agents.coordinator import (
    CoordinatorClient,
    CoordinatorForgotError,
    CoordinatorRefusedError,
    CoordinatorUnavailableError,
)
from orchestrator.contract.device import AttemptRef, AttemptStart, EnrolRequest
from tests.integration.agents_host.lab import Coordinator, sha256
from tests.integration.agents_host.measuring_worker import registration

CONTENT = b"0123456789"
START = AttemptStart(nonce="0" * 32)
ENROLMENT = EnrolRequest(
    contract_version=1, agent_id="host-1", agent_version="1", hostname="host", devices=[registration("d")]
)


@contextmanager
def one_answer(answer: bytes) -> Iterator[str]:
    """The address of a server that sends `answer` to whoever comes first, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    with closing(Coordinator("redis://127.0.0.1/0")) as coordinator:
        coordinator.blobs[sha256(CONTENT)] = CONTENT
        yield coordinator


@pytest.fixture
def client(coordinator: Coordinator) -> Iterator[CoordinatorClient]:
    with closing(CoordinatorClient(coordinator.url)) as client:
        client.enrol(ENROLMENT, shared_token="sesame")
        yield client


def test_the_shared_token_is_for_enrolment_alone(coordinator: Coordinator, client: CoordinatorClient) -> None:
    assert coordinator.enrolment_tokens == ["Bearer sesame"]
    assert client.token == coordinator.token
    assert client.start_attempt(AttemptRef(run_id="r", number=2), START).number == 2


@pytest.mark.parametrize(("offset", "begin"), [(0, 0), (4, 4)])
def test_a_blob_is_read_from_an_offset(client: CoordinatorClient, offset: int, begin: int) -> None:
    with client.blob(sha256(CONTENT), offset=offset) as (began, chunks):
        assert (began, b"".join(chunks)) == (begin, CONTENT[begin:])


def test_a_coordinator_without_ranges_sends_all(coordinator: Coordinator, client: CoordinatorClient) -> None:
    coordinator.knows_ranges = False
    with client.blob(sha256(CONTENT), offset=4) as (began, chunks):
        assert (began, b"".join(chunks)) == (0, CONTENT)


def test_a_blob_is_uploaded(coordinator: Coordinator, client: CoordinatorClient, tmp_path: Path) -> None:
    source = tmp_path / "blob"
    source.write_bytes(CONTENT)
    client.put_blob(sha256(CONTENT), source)
    assert coordinator.uploaded == {sha256(CONTENT): CONTENT}


def test_a_refusal_carries_the_coordinators_words(coordinator: Coordinator, client: CoordinatorClient) -> None:
    coordinator.stale.add("r")
    with pytest.raises(CoordinatorRefusedError, match="the attempt has lost its lease") as refusal:
        client.start_attempt(AttemptRef(run_id="r", number=1), START)
    assert refusal.value.status == 409
    with pytest.raises(CoordinatorRefusedError, match="no such blob"), client.blob("0" * 64):
        pytest.fail("there is no such blob")


def test_an_unknown_token_is_not_a_refusal(coordinator: Coordinator, client: CoordinatorClient) -> None:
    coordinator.forget_agent()
    with pytest.raises(CoordinatorForgotError):
        client.start_attempt(AttemptRef(run_id="r", number=1), START)


def test_trouble_and_absence_may_pass(coordinator: Coordinator, client: CoordinatorClient) -> None:
    coordinator.fails = True
    with pytest.raises(CoordinatorUnavailableError, match="the database is busy"):
        client.start_attempt(AttemptRef(run_id="r", number=1), START)
    coordinator.stop()
    with pytest.raises(CoordinatorUnavailableError, match="cannot be reached"):
        client.start_attempt(AttemptRef(run_id="r", number=1), START)


def test_a_download_that_breaks_off_may_be_tried_again() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"
    with (
        one_answer(half) as url,
        closing(CoordinatorClient(url)) as client,
        pytest.raises(CoordinatorUnavailableError),
        client.blob("0" * 64) as (_, chunks),
    ):
        assert b"".join(chunks) == b"never whole"


def test_an_answer_that_is_no_coordinators_is_refused() -> None:
    with (
        one_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") as url,
        closing(CoordinatorClient(url)) as client,
        pytest.raises(CoordinatorRefusedError, match="does not answer like a fitmatrix coordinator"),
    ):
        client.enrol(ENROLMENT, shared_token=None)
