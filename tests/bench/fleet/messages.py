"""Celery's messages at the broker: queues declared and messages decoded by kombu, fetched with the command it sends."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import redis
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.serialization import prepare_accept_content
from kombu.transport.virtual.base import Base64, Message
from redis.asyncio.connection import Connection as BrokerConnection
from redis.asyncio.connection import ConnectionPool

from orchestrator.contract.wire import ATTEMPT_TASK, device_queue

_BLOCK_SECONDS: Final = 1
"""How long one BRPOP waits, as kombu's does."""
_OVERDUE_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 0.5

_ACCEPT: Final = prepare_accept_content(["json"])  # type: ignore[no-untyped-call]  # kombu is untyped

_log = logging.getLogger(__name__)

Receive = Callable[[Any, float], None]
"""Called with a task's first argument and the moment (monotonic) at which the message had come."""


def declare(broker_url: str, devices: Sequence[str]) -> list[str]:
    """Declares the devices' queues as their workers do; the broker's lists that their messages lie in.

    Raises what kombu raises when the broker is away.
    """
    with Connection(broker_url, connect_timeout=5) as connection:  # type: ignore[no-untyped-call]  # kombu is untyped
        channel = connection.channel()
        keys = []
        for device_id in devices:
            name = device_queue(device_id)
            exchange = Exchange(name, type="direct")  # type: ignore[no-untyped-call]  # kombu is untyped
            queue = Queue(name, exchange, routing_key=name, no_ack=True)  # type: ignore[no-untyped-call]  # as above
            queue(channel).declare()  # type: ignore[no-untyped-call]  # as above
            # How kombu spells a queue's list for each priority is its own affair.
            keys += [channel._q_for_pri(name, priority) for priority in channel.priority_steps]
    return keys


class _Decoder:
    """What kombu needs of a channel to decode a body."""

    def __init__(self) -> None:
        self._codecs = {"base64": Base64()}

    def decode_body(self, body: Any, encoding: str | None = None) -> Any:
        if not encoding:
            return body
        return self._codecs[encoding].decode(body)  # type: ignore[no-untyped-call]  # kombu is untyped


_DECODER: Final = _Decoder()


def task_argument(raw: bytes) -> Any:
    """The first argument of the attempt's task in a message as it lies in the broker; raises ValueError for others."""
    try:
        content = json.loads(raw)
        message = Message(content, channel=_DECODER, accept=_ACCEPT)  # type: ignore[no-untyped-call]  # kombu is untyped
        if message.headers["task"] != ATTEMPT_TASK:
            raise ValueError(f"a message for the task {message.headers['task']}")
        arguments, _named, _embedded = message.payload
        return arguments[0]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"a message that is no task: {error!r}") from error


async def listen(
    broker_url: str, devices: Sequence[str], receive: Receive, drop: Callable[[], None], ready: Callable[[], None]
) -> None:
    """Takes messages for these devices until it is cancelled; waits for a broker that is away.

    `drop` is called for each message that is no attempt, `ready` whenever the queues have been declared.
    """
    said = False
    while True:
        try:
            keys = await asyncio.to_thread(declare, broker_url, devices)
            said = False
            ready()
            await _take(broker_url, keys, receive, drop)
        except Exception as error:  # noqa: BLE001 - a broker that is away shows in many of kombu's and redis' ways
            if not said:
                _log.warning("the broker does not answer, waiting for it: %s", error)
            said = True
        await asyncio.sleep(_AGAIN_SECONDS)


async def _take(broker_url: str, keys: Sequence[str], receive: Receive, drop: Callable[[], None]) -> None:
    pool = ConnectionPool.from_url(broker_url, socket_timeout=_OVERDUE_SECONDS)
    connection: BrokerConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis does not type it
    command = b"".join(connection.pack_command("BRPOP", *keys, _BLOCK_SECONDS))
    try:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis does not type it
        while True:
            await connection.send_packed_command(command, check_health=False)
            answer = await connection.read_response(disable_decoding=True)
            if answer is None:
                continue
            at = time.monotonic()
            try:
                argument = task_argument(answer[1])
            except ValueError as error:
                _log.error("a message was dropped: %s", error)
                drop()
            else:
                receive(argument, at)
    finally:
        with suppress(OSError, redis.RedisError):
            await connection.disconnect(nowait=True)
