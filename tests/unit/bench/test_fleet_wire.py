"""The fleet's own end of two wires: HTTP over keep-alive connections, and Celery's messages."""

import asyncio
import json

import pytest
from celery import Celery

from orchestrator.contract.wire import ATTEMPT_TASK
from tests.bench.fleet.http_client import HttpClient, Reply, UnreachableError
from tests.bench.fleet.messages import task_argument

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
STALE = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


class Server:
    """Gives prepared answers, one a request, and counts connections."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._answers:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self._answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if b"close" in answer or not answer:
                    break
            else:
                await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def ask(server: Server, times: int) -> list[Reply | UnreachableError]:
    async def all_of_them() -> list[Reply | UnreachableError]:
        async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
            client = HttpClient(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", 2)
            replies: list[Reply | UnreachableError] = []
            for _ in range(times):
                try:
                    replies.append(await client.ask("GET", "/path", token="secret"))
                except UnreachableError as error:
                    replies.append(error)
            await client.close()
            return replies

    return asyncio.run(all_of_them())


def test_one_connection_carries_many_requests() -> None:
    server = Server(PLAIN, CHUNKED, NOTHING, STALE)
    assert ask(server, 4) == [Reply(200, b"hi"), Reply(201, b"abcde"), Reply(204, b""), Reply(409, b"")]
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /path HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in server.requests[0]


def test_a_connection_that_ends_is_replaced() -> None:
    server = Server(LAST, PLAIN)
    assert ask(server, 2) == [Reply(200, b"hi"), Reply(200, b"hi")]
    assert server.connections == 2


def test_trouble_that_may_pass_is_no_answer() -> None:
    broken, busy, fine = ask(Server(b"", BUSY, PLAIN), 3)
    assert isinstance(broken, UnreachableError)
    assert isinstance(busy, UnreachableError)
    assert "busy" in str(busy)
    assert fine == Reply(200, b"hi")


def message(task: str, *arguments: object) -> bytes:
    """As Celery puts it into a broker."""
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.task_serializer = "json"
    app.send_task(task, args=list(arguments), queue="q")
    with app.connection_for_read() as connection:
        return json.dumps(connection.channel()._get("q")).encode()


def test_celerys_own_message_is_read() -> None:
    assert task_argument(message(ATTEMPT_TASK, {"run_id": "r-1"})) == {"run_id": "r-1"}


@pytest.mark.parametrize(
    "raw",
    [
        b"no JSON",
        b"{}",
        b'{"properties": {"delivery_tag": "1", "body_encoding": "base64"}, "body": "AAAA", "headers": {"task": "x"}}',
    ],
)
def test_what_is_no_attempt_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        task_argument(raw)


def test_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"another\.task"):
        task_argument(message("another.task", {}))


def test_a_task_without_arguments_is_refused() -> None:
    with pytest.raises(ValueError, match="no task"):
        task_argument(message(ATTEMPT_TASK))
