"""Lists of tokens, agents and changes, for the terminal."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from orchestrator.cli.listings import listing, moment
from orchestrator.contract.users import AgentView, AuditEntry, TokenView
from orchestrator.presentation.words import plain

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:")


def tokens_table(tokens: Sequence[TokenView]) -> RenderableType:
    if not tokens:
        return Text("No tokens. Create one: fitmatrix tokens create NAME --role submitter")
    table = listing(["name", "role", "state", "last used", "created", "by"])
    for token in tokens:
        row = (moment(token.last_used_at), moment(token.created_at), plain(token.created_by))
        table.add_row(Text(token.name), Text(token.role.value), _token_state(token), *map(Text, row))
    return table


def _token_state(token: TokenView) -> Text:
    if token.revoked_at is not None:
        return Text(f"revoked {moment(token.revoked_at)}", style="red")
    if token.expires_at is None:
        return Text("good")
    if token.expires_at <= datetime.now(UTC):
        return Text(f"expired {moment(token.expires_at)}", style="red")
    return Text(f"good until {moment(token.expires_at)}")


def agents_table(agents: Sequence[AgentView]) -> RenderableType:
    if not agents:
        return Text("No agents yet. Let one in: fitmatrix agents code")
    table = listing(["agent", "host", "version", "last seen", "devices"])
    for agent in agents:
        seen = Text(moment(agent.last_seen_at))
        if agent.revoked_at is not None:
            seen.append(f"\nrevoked {moment(agent.revoked_at)}", style="red")
        names = Text("\n".join(map(plain, agent.devices)) or "–")
        table.add_row(Text(agent.id), Text(plain(agent.hostname)), Text(plain(agent.version)), seen, names)
    return table


def _said(value: object) -> str:
    """A moment as everywhere else; anything else as it was noted."""
    if isinstance(value, str) and _MOMENT.match(value):
        with suppress(ValueError):
            return moment(datetime.fromisoformat(value))
    return str(value)


def audit_table(entries: Sequence[AuditEntry]) -> RenderableType:
    if not entries:
        return Text("Nobody has changed anything yet.")
    table = listing(["when", "who", "what", "of", "detail"])
    for entry in entries:
        detail = ", ".join(f"{name} {_said(value)}" for name, value in entry.detail.items() if value is not None)
        row = (entry.actor, entry.action, entry.subject, detail)
        table.add_row(Text(moment(entry.at)), *(Text(plain(value)) for value in row))
    return table
