"""Pages of long lists: a cursor says what the last item was, so that items which come or go in between move nothing."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from orchestrator.contract.views import ProblemField
from orchestrator.domain.errors import InvalidRequestError

Item = TypeVar("Item")
MOST_ITEMS: Final = 1_000


@dataclass(frozen=True)
class Page:
    """What part of a list is wanted."""

    limit: int
    cursor: str | None = None

    def place(self, listing: str) -> tuple[datetime, str] | None:
        """Time and id of the item before the page. Raises InvalidRequestError for another list's cursor."""
        key = self._key(listing, 2)
        if key is None:
            return None
        try:
            moment = datetime.fromisoformat(key[0])
        except ValueError as error:
            raise _refused(self.cursor) from error
        if moment.tzinfo is None:
            raise _refused(self.cursor)
        return moment, key[1]

    def identifier(self, listing: str) -> str | None:
        """The id of the item before the page. Raises InvalidRequestError for another list's cursor."""
        key = self._key(listing, 1)
        return None if key is None else key[0]

    def number(self, listing: str) -> int | None:
        """As `identifier`, where ids are numbers."""
        key = self._key(listing, 1)
        if key is None:
            return None
        if not key[0].isascii() or not key[0].isdecimal() or len(key[0]) > len(str(2**63)) - 1:
            raise _refused(self.cursor)
        return int(key[0])

    def _key(self, listing: str, length: int) -> list[str] | None:
        if self.cursor is None:
            return None
        try:
            name, *key = json.loads(base64.b64decode(self.cursor, altchars=b"-_", validate=True))
        except (ValueError, TypeError, RecursionError) as error:
            raise _refused(self.cursor) from error
        parts = [part for part in key if isinstance(part, str)]
        if name != listing or len(key) != length or len(parts) != length:
            raise _refused(self.cursor)
        return parts


@dataclass(frozen=True)
class Part(Generic[Item]):
    items: Sequence[Item]
    next: str | None
    """The cursor of what follows; None at the end."""


def paged(
    found: Sequence[Item], page: Page, listing: str, place: Callable[[Item], tuple[datetime | str, ...]]
) -> Part[Item]:
    """The page of what was found, which is one item more than the page holds where another page follows."""
    items = found[: page.limit]
    return Part(items, cursor_of(listing, *place(items[-1])) if len(found) > page.limit else None)


def cursor_of(listing: str, *key: datetime | str) -> str:
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps([listing, *parts], separators=(",", ":")).encode()).decode()


def _refused(cursor: str | None) -> InvalidRequestError:
    field = ProblemField(
        field="cursor", value=(cursor or "")[:200], allowed="the `next` of a page of the same list, unchanged"
    )
    return InvalidRequestError("This cursor belongs to no page of this list.", [field])
