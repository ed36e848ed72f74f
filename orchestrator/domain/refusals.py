"""Pydantic's errors in our words: field, value and what is allowed."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from orchestrator.contract.base import Slug
from orchestrator.contract.users import UserName
from orchestrator.contract.views import ProblemField
from orchestrator.contract.webhooks import WebhookUrl

MAX_FIELDS: Final = 50
_UNION_MEMBER: Final = re.compile(r"^(constrained-)?(int|str|float|list)(\[.*\])?$|^literal\[")
"""What Pydantic adds to a field's path to say which member of a union it tried."""
_SOURCES: Final = ("body", "query", "path", "header")

_NAME: Final = "letters{}, digits, dots, underscores and hyphens{}, the first and the last of them a letter or a digit"
_SHAPES: Final = {
    get_args(Slug)[1].pattern: f"up to 100 {_NAME.format(' from a to z', '')}",
    get_args(UserName)[1].pattern: f"up to 100 {_NAME.format('', ', and @')}",
    get_args(WebhookUrl)[1].pattern: "an address such as https://ci.example.org/hook, without name, password and #",
}
"""What a pattern asks for, in words."""


def problem_fields(errors: Iterable[Mapping[str, Any]]) -> list[ProblemField]:
    """One entry for each field that is wrong, also where several members of its union refused it."""
    merged: dict[str, ProblemField] = {}
    for item in list(errors)[:MAX_FIELDS]:
        field = _problem_field(item)
        known = merged.get(field.field)
        if known is not None and known.allowed != field.allowed:
            field = known.model_copy(update={"allowed": f"{known.allowed}, or {field.allowed}"})
        merged[field.field] = field
    return list(merged.values())


def _problem_field(item: Mapping[str, Any]) -> ProblemField:
    location = item["loc"][1:] if item["loc"] and item["loc"][0] in _SOURCES else item["loc"]
    path = ""
    for part in location:
        if _UNION_MEMBER.match(str(part)):
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    value = _sayable(_shortened(item.get("input")))
    return ProblemField(field=_sayable(path[:200]) or "body", value=value, allowed=_allowed(item))


def _sayable(text: str) -> str:
    """Without halves of characters, which JSON can name and no answer can be written with."""
    return text.encode(errors="replace").decode()


def _shortened(value: Any) -> str:
    if isinstance(value, bytes):
        value = value[:200].decode(errors="replace")
    if isinstance(value, str):
        return value[:200]
    try:
        return json.dumps(value)[:200]
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"


def _allowed(item: Mapping[str, Any]) -> str:
    if item["type"] == "missing":
        return "a value: this field is required"
    if item["type"] == "extra_forbidden":
        return "no such field: remove it or correct its name"
    if item["type"] == "string_pattern_mismatch" and (words := _SHAPES.get(item["ctx"]["pattern"])):
        return words
    return str(item["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
