"""Posting to webhooks, as careful as one must be with a stranger's address."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import httpx

from orchestrator.contract.tls import untrusted
from orchestrator.domain.notices import ANSWER_LENGTH, PostAnswer

WHOLE_SECONDS: Final = 10.0
"""Everything together, however slowly the receiver's answer drips."""


class WebhookPoster:
    """Follows no redirects and no proxy settings, and reads no more of an answer than is kept."""

    def __init__(self, product_version: str) -> None:
        self._trust = ssl.create_default_context()
        self._headers = {"User-Agent": f"fitmatrix/{product_version}"}

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> PostAnswer:
        try:
            async with (
                asyncio.timeout(WHOLE_SECONDS),
                httpx.AsyncClient(verify=self._trust, trust_env=False, timeout=WHOLE_SECONDS) as client,
                client.stream("POST", url, content=body, headers={**self._headers, **headers}) as response,
            ):
                return PostAnswer(response.status_code, await _beginning(response))
        except TimeoutError:
            return PostAnswer(None, f"no answer within {WHOLE_SECONDS:.0f} seconds")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            reason = untrusted(error, setting="the operating system's certificates")
            return PostAnswer(None, reason or f"{type(error).__name__}: {error}")


async def _beginning(response: httpx.Response) -> str:
    received = b""
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) >= ANSWER_LENGTH:
            break
    return " ".join(received[:ANSWER_LENGTH].decode("utf-8", errors="replace").split())
