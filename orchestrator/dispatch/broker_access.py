"""Users at the broker: each agent has one that may touch the queues of its own devices and nothing else."""

import base64
import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.contract.tls import broker_tls
from orchestrator.contract.wire import device_queue, private_keys
from orchestrator.domain.errors import UnavailableError
from orchestrator.domain.records import Agent
from orchestrator.services.access import Grant
from orchestrator.services.ports import Store

COMMANDS: Final = (
    "sadd", "smembers", "exists", "llen", "brpop", "rpop", "lpush", "rpush",
    "multi", "exec", "discard", "watch", "unwatch",
    "set", "get", "del", "evalsha", "script|load", "zadd", "zrange", "zrevrangebyscore", "zrem", "hset", "hget", "hdel",
)  # fmt: skip
"""What Celery and kombu send as a consumer, by a server's commandstats and its ACL LOG."""
_PRIORITIES: Final = "\x06\x16"
"""What kombu puts between a queue's name and a message's priority; no device's id can hold it."""
_CONNECT_SECONDS: Final = 2.0
_AWAY_SECONDS: Final = (0.02, 0.5)
"""How often a broker that is away is looked for, first and later: its users are there before agents come back."""
_CHECK_SECONDS: Final = 30
"""How often all users are written anew while nothing happens, should somebody have changed them by hand."""

log = logging.getLogger(__name__)


class BrokerUsers:
    """Keeps the broker's users in line with the store.

    A user's password follows from the coordinator's own password at the broker and from what is stored of the agent's
    token: nobody has to keep it, every coordinator knows it, and a new token means a new password. A thread waits on a
    connection of its own: when the broker comes back with empty memory, all users are written again at once.
    """

    def __init__(self, store: Store, broker_url: str, agents_url: str, *, ca: Path | None = None) -> None:
        self._store = store
        self._agents_url = agents_url
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wake_key = f"fitmatrix.broker-users.{secrets.token_hex(8)}"
        self._off = False
        self._thread = threading.Thread(target=self._watch, name="broker-users", daemon=True)
        self._password = b""
        try:
            self._password = unquote(urlsplit(broker_url).password or "").encode()
            options = broker_tls(broker_url, ca) or {}
            self._client = redis.Redis.from_url(
                broker_url,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_CHECK_SECONDS + _CONNECT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                **options,
            )
        except ValueError as error:
            self._turn_off(f"its address is not that of one server: {type(error).__name__}")

    def start(self) -> None:
        if not self._off and not self._password:
            self._turn_off("it asks for no password, so that anybody may do anything")
        if not self._off:
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            try:
                self._client.lpush(self._wake_key, "stop")
            except redis.RedisError:
                log.debug("the broker is away; its users' thread ends by itself")
            self._thread.join(timeout=_CONNECT_SECONDS * 2)
            self._client.close()

    def address(self, agent: Agent) -> str:
        if self._off:
            return self._agents_url
        parts = urlsplit(self._agents_url)
        place = parts.netloc.rpartition("@")[2]
        credentials = f"{quote(user_name(agent.id))}:{self._password_of(agent)}"
        return parts._replace(netloc=f"{credentials}@{place}").geturl()

    def refresh(self, agent_ids: Collection[str]) -> None:
        if self._off:
            return
        try:
            self._write(agent_ids)
        except redis.ConnectionError as error:
            log.debug("the broker is away, its users are written when it is back: %s", type(error).__name__)

    def _watch(self) -> None:
        shortest, longest = _AWAY_SECONDS
        pause = shortest
        while not self._stopping.is_set() and not self._off:
            try:
                self._write(None)
                pause = shortest
                self._client.blpop([self._wake_key], timeout=_CHECK_SECONDS)
            except redis.RedisError:
                self._stopping.wait(pause)
                pause = min(pause * 1.2, longest)
            except UnavailableError as error:
                log.warning("the broker's users could not be read: %s", error)
                self._stopping.wait(_CONNECT_SECONDS)
            except Exception:
                # A database that is busy must not end this thread, or the next empty broker would stay without users.
                log.exception("the broker's users could not be read")
                self._stopping.wait(_CONNECT_SECONDS)

    def _write(self, agent_ids: Collection[str] | None) -> None:
        """Of these agents, or of all. What is read is written before anybody else reads."""
        with self._lock:
            with self._store.read() as tx:
                grants = tx.access.grants(agent_ids)
            with self._client.pipeline(transaction=False) as pipe:
                for grant in grants:
                    self._queue_commands(pipe, grant)
                answers = pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, redis.ConnectionError):
                raise answer
            if isinstance(answer, redis.ResponseError):
                # Neither an old server's "unknown command" nor a managed one's "no permissions" goes away by itself.
                self._turn_off(f"it does not let the coordinator make users: {answer}")
                return

    def _queue_commands(self, pipe: "redis.client.Pipeline", grant: Grant) -> None:
        name = user_name(grant.agent.id)
        revoked = grant.agent.revoked_at is not None  # whose connections DELUSER ends as well
        command = ("DELUSER", name) if revoked else ("SETUSER", name, *self._rules(grant))
        pipe.execute_command("ACL", *command)  # type: ignore[no-untyped-call]  # redis leaves it untyped

    def _rules(self, grant: Grant) -> Iterable[str | bytes]:
        digest = hashlib.sha256(self._password_of(grant.agent).encode()).hexdigest()
        # By category: which of these commands there are is another matter in each version of a server.
        yield from ("reset", "on", f"#{digest}", "-@all", "+@connection", "-@admin", "-@dangerous")
        yield from (f"+{command}" for command in COMMANDS)
        yield from (f"~{key}" for key in allowed_keys(grant.agent.id, grant.device_ids))

    def _password_of(self, agent: Agent) -> str:
        message = f"fitmatrix broker user\0{agent.id}\0{agent.token_digest}".encode()
        return base64.urlsafe_b64encode(hmac.digest(self._password, message, "sha256")).decode().rstrip("=")

    def _turn_off(self, why: str) -> None:
        if not self._off:
            self._off = True
            log.warning("agents share one password at the broker, and could read each other's attempts: %s", why)


def user_name(agent_id: str) -> str:
    return f"agent-{agent_id}"


def allowed_keys(agent_id: str, device_ids: Collection[str]) -> Iterable[str]:
    """Patterns of exactly the keys that an agent's connections need. Ids hold nothing that a pattern would read."""
    yield from private_keys(agent_id).values()
    for queue in map(device_queue, device_ids):
        yield from (queue, f"{queue}{_PRIORITIES}?", f"_kombu.binding.{queue}", f"_kombu.binding_permanent.{queue}")
