"""Who a bearer secret or a browser's session belongs to."""

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.vocabulary import Role
from orchestrator.domain.access import Token, WebSession, digest_secret
from orchestrator.domain.records import Agent, Caller
from orchestrator.services.ports import Clock, Store

FRESH_SECONDS: Final = 1.0
"""How long a coordinator may not know what another one on the same database has revoked."""
USE_NOTED_EVERY: Final = timedelta(minutes=1)
LOCAL: Final = Caller("local", Role.ADMIN)
"""Everybody on a loopback interface, as long as there is no token."""
BOOTSTRAP_ID: Final = "bootstrap"
BOOTSTRAP_NAME: Final = "admin"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Directory:
    """Everybody who may come in, as the database had it at one moment."""

    read_at: float
    """Monotonic, from before it was read."""
    tokens: Mapping[str, Token]
    """By the digest of the secret, as all that follow."""
    agents: Mapping[str, Agent]
    sessions: Mapping[str, WebSession]
    has_administrator: bool


_NOTHING_YET: Final = _Directory(float("-inf"), {}, {}, {}, has_administrator=False)


class Authentication:
    """Answers from memory, which is read anew at most once a second, when somebody asks for what is not in it, and
    at each change made through this process.
    """

    def __init__(self, store: Store, clock: Clock, bootstrap_token: str | None, *, is_loopback: bool) -> None:
        self._store = store
        self._clock = clock
        self._is_loopback = is_loopback
        self._bootstrap = digest_secret(bootstrap_token) if bootstrap_token else None
        self._directory = _NOTHING_YET
        self._lock = threading.Lock()
        self._used: dict[str, datetime] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="token-use")

    def close(self) -> None:
        self._writer.shutdown()

    @property
    def is_stale(self) -> bool:
        """Whether `freshen`, which reads the database, is due before anything else is asked."""
        return time.monotonic() - self._directory.read_at > FRESH_SECONDS

    def freshen(self) -> None:
        """Reads who may come in, unless that was done within the last second."""
        with self._lock:
            if self.is_stale:
                self._directory = self._read()

    def refresh(self) -> None:
        """Reads who may come in. What was committed before the call is known after it."""
        called_at = time.monotonic()
        with self._lock:
            if self._directory.read_at <= called_at:  # otherwise another thread has just done it
                self._directory = self._read()

    def _read(self) -> _Directory:
        read_at = time.monotonic()
        with self._store.read() as tx:
            tokens, agents, sessions = tx.access.tokens(), tx.access.agents(), tx.access.sessions()
        return _Directory(
            read_at,
            {token.digest: token for token in tokens},
            {agent.token_digest: agent for agent in agents if agent.revoked_at is None},
            {session.digest: session for session in sessions},
            # An expired one counts: time alone must not open a coordinator to everybody on its machine.
            any(token.role is Role.ADMIN and token.revoked_at is None for token in tokens),
        )

    @property
    def is_open(self) -> bool:
        """Whether who shows no token is let in as `LOCAL`."""
        return self._is_loopback and self._bootstrap is None and not self._directory.has_administrator

    @property
    def has_bootstrap_token(self) -> bool:
        return self._bootstrap is not None

    def bearer(self, secret: str) -> Caller | Agent | None:
        """Whom a bearer secret belongs to; None where to nobody, or to nobody any more."""
        return self._holder(digest_secret(secret))

    def visitor(self, session: str) -> Caller | None:
        """Whom a browser's session belongs to."""
        found = self._directory.sessions.get(digest_secret(session))
        if found is None or found.expires_at <= self._clock():
            return None
        holder = self._holder(found.token_digest)
        return holder if isinstance(holder, Caller) else None

    def is_still_let_in(self, caller: Caller) -> bool:
        """For what goes on after its request was let in, such as a stream of events."""
        if caller.token_id is None:
            return self.is_open
        if caller.token_id == BOOTSTRAP_ID:
            return self._bootstrap is not None
        now = self._clock()
        return any(token.id == caller.token_id and token.is_good(now) for token in self._directory.tokens.values())

    def _holder(self, digest: str) -> Caller | Agent | None:
        if digest == self._bootstrap:
            return Caller(BOOTSTRAP_NAME, Role.ADMIN, BOOTSTRAP_ID)
        agent = self._directory.agents.get(digest)
        if agent is not None:
            return agent
        token = self._directory.tokens.get(digest)
        now = self._clock()
        if token is None or not token.is_good(now):
            return None
        self._note_use(token, now)
        return Caller(token.name, token.role, token.id)

    def _note_use(self, token: Token, now: datetime) -> None:
        noted = self._used.get(token.id) or token.last_used_at
        if noted is None or now - noted >= USE_NOTED_EVERY:
            self._used[token.id] = now
            self._writer.submit(self._write_use, token.id, now)

    def _write_use(self, token_id: str, moment: datetime) -> None:
        try:
            with self._store.write() as tx:
                tx.access.note_use(token_id, moment)
        except Exception as error:  # noqa: BLE001 (whatever the database raises: nobody's request must fail for it)
            log.warning("when a token was used last could not be noted: %s", type(error).__name__)
