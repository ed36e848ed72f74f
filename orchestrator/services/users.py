"""Tokens for people and their tools, the sessions of their browsers, and what they changed."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.users import AuditEntry, CreatedToken, NewToken, TokenView
from orchestrator.contract.views import Listing
from orchestrator.contract.vocabulary import Role
from orchestrator.domain.access import TOKEN_PREFIX, Token, WebSession, digest_secret, new_secret
from orchestrator.domain.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError
from orchestrator.domain.identifiers import new_id
from orchestrator.domain.records import Agent, Caller
from orchestrator.services.authentication import BOOTSTRAP_NAME, LOCAL, Authentication
from orchestrator.services.ports import Clock, Store

SESSION: Final = timedelta(hours=12)
_SESSION_PREFIX: Final = "fms_"


class Users:
    def __init__(self, store: Store, clock: Clock, authentication: Authentication) -> None:
        self._store = store
        self._clock = clock
        self._authentication = authentication

    def create_token(self, caller: Caller, wanted: NewToken) -> CreatedToken:
        """The token with its secret, which nobody can ask for again.

        Raises ConflictError where the name is taken. A name whose token has ended is free again.
        """
        if wanted.name in (LOCAL.name, BOOTSTRAP_NAME):
            raise ConflictError(f"the name {wanted.name} is the coordinator's own: choose another")
        now = self._clock()
        secret = new_secret(TOKEN_PREFIX)
        token = Token(
            id=new_id("t"),
            name=wanted.name,
            role=wanted.role,
            digest=digest_secret(secret),
            created_at=now,
            created_by=caller.name,
            expires_at=now + timedelta(seconds=wanted.lifetime_seconds) if wanted.lifetime_seconds else None,
        )
        with self._store.write() as tx:
            known = tx.access.token_named(wanted.name)
            if known is not None:
                if known.is_good(now):
                    raise ConflictError(
                        f"there is a token named {wanted.name}: revoke it first, or choose another name"
                    )
                tx.access.drop_token(known.id)
            tx.access.put_token(token)
            until = token.expires_at.isoformat() if token.expires_at else None
            tx.audit.add(caller, "token.create", token.name, role=token.role, expires_at=until)
        self._authentication.refresh()
        return CreatedToken(**_view(token).model_dump(), token=secret)

    def tokens(self) -> list[TokenView]:
        """Newest first, with those that have ended."""
        with self._store.read() as tx:
            return [_view(token) for token in tx.access.tokens()]

    def revoke_token(self, caller: Caller, name: str) -> TokenView:
        """Ends a token and the sessions begun with it, at once. Revoking it again changes nothing.

        Raises ConflictError for the last administrator's token, which nobody could replace.
        """
        with self._store.write() as tx:
            token = tx.access.token_named(name)
            if token is None:
                raise NotFoundError(f"there is no token named {name}")
            if token.revoked_at is None:
                self._check_not_last(token, tx.access.tokens())
                token = replace(token, revoked_at=self._clock())
                tx.access.put_token(token)
                ended = [one.digest for one in tx.access.sessions() if one.token_digest == token.digest]
                tx.access.end_sessions(ended)
                tx.audit.add(caller, "token.revoke", token.name)
        self._authentication.refresh()
        return _view(token)

    def _check_not_last(self, token: Token, tokens: list[Token]) -> None:
        now = self._clock()
        others = [one for one in tokens if one.role is Role.ADMIN and one.is_good(now) and one.id != token.id]
        if token.role is Role.ADMIN and not others and not self._authentication.has_bootstrap_token:
            raise ConflictError(
                f"{token.name} is the only token of an administrator: create another one first, or start the "
                "coordinator with FITMATRIX_TOKEN set"
            )

    def open_session(self, secret: str) -> tuple[str, datetime] | None:
        """A browser's session secret and when it ends; None for a token that is not good. Raises ForbiddenError."""
        self._authentication.refresh()
        holder = self._authentication.bearer(secret)
        if holder is None:
            return None
        if isinstance(holder, Agent) or holder.role is Role.AGENT:
            raise ForbiddenError("this token is for agents: log in with one of the role reader, submitter or admin")
        now = self._clock()
        session = new_secret(_SESSION_PREFIX)
        with self._store.write() as tx:
            tx.access.end_sessions([one.digest for one in tx.access.sessions() if one.expires_at <= now])
            tx.access.add_session(WebSession(digest_secret(session), digest_secret(secret), now + SESSION))
            tx.audit.add(holder, "session.open", holder.name)
        self._authentication.refresh()
        return session, now + SESSION

    def close_session(self, session: str) -> None:
        with self._store.write() as tx:
            tx.access.end_sessions([digest_secret(session)])
        self._authentication.refresh()

    def audit(self, cursor: str | None, limit: int) -> Listing[AuditEntry]:
        """Newest first."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise InvalidRequestError("this cursor is none of the audit log's: leave it out to begin with the newest")
        with self._store.read() as tx:
            found = tx.audit.newest(int(cursor) if cursor else None, limit + 1)
        items = [
            AuditEntry(id=one.id, at=one.at, actor=one.actor, action=one.action, subject=one.subject, detail=one.detail)
            for one in found[:limit]
        ]
        return Listing(items=items, next=str(items[-1].id) if len(found) > limit else None)


def _view(token: Token) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        role=token.role,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        last_used_at=token.last_used_at,
    )
