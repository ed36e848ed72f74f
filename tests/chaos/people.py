"""Who uses the lab's API while it is tormented: an administrator, and submitters with tokens of their own."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.chaos.patience import persist

SUBMITTERS: Final = ("ann", "bob")


class _AwayError(Exception):
    """Nobody who could answer did."""


class People:
    """Whoever asks does so until there is an answer: a coordinator that is away, or whose database is, gives none.

    Loopback without an administrator's token lets everybody in: who shows none is the administrator.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", timeout=10)
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Self:
        for name in SUBMITTERS:
            body = {"name": name, "role": "submitter"}
            self._tokens[name] = self.ask("POST", "/tokens", json=body).raise_for_status().json()["token"]
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def ask(
        self, method: str, path: str, by: str | None = None, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """An answer, which may be a refusal; `by` is one of the submitters, or nobody in particular."""
        shown = {"Authorization": f"Bearer {self._tokens[by]}"} if by else {}

        def ask() -> httpx.Response:
            try:
                answer = self._client.request(method, path, headers={**shown, **(headers or {})}, **body)
            except httpx.TransportError as error:
                raise _AwayError from error
            if answer.is_server_error:
                raise _AwayError(answer.text)
            return answer

        return persist(ask, _AwayError)
