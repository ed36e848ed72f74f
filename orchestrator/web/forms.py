"""What a page's form sends."""

from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

_MOST_FIELDS: Final = 10


async def read_form(request: Request, most_bytes: int) -> dict[str, str] | None:
    """The fields, those left empty among them; None where they are more than a form of ours has."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            return None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}
