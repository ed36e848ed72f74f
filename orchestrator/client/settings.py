"""How both clients reach a coordinator."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from orchestrator.client.errors import ClientError, Unreachable
from orchestrator.contract.tls import TrustError, trust
from orchestrator.contract.wire import IDLE_CONNECTION_SECONDS

ANSWER_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
"""Seconds. A matrix of thousands of cells is slow to write; a coordinator that is there connects at once."""


@contextmanager
def http_settings(url: str, token: str | None, ca: Path | None) -> Iterator[dict[str, Any]]:
    """What httpx's clients are made with. Raises ClientError for what they refuse."""
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        # trust_env off: a proxy setting must not swallow a coordinator on loopback or in the lab's network.
        yield {
            "base_url": url,
            "headers": headers,
            "verify": trust(ca),
            "trust_env": False,
            "limits": httpx.Limits(keepalive_expiry=IDLE_CONNECTION_SECONDS),
        }
    except TrustError as error:
        raise ClientError(str(error)) from error
    except (httpx.InvalidURL, ValueError) as error:
        raise Unreachable(url, f"not a usable address: {error}") from error
