"""Whatever keeps an answer from coming."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import ValidationError

from orchestrator.contract.tls import misspoken, untrusted
from orchestrator.contract.views import Problem


class ClientError(Exception):
    """Whatever kept an answer from coming."""


class Unreachable(ClientError):  # noqa: N818 - reads as what it is: `except Unreachable`
    """Nobody answers at the coordinator's address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"Cannot reach the coordinator at {url} ({reason}). Start it with `fitmatrix up`, or name another one."
        )
        self.url = url


class Untrusted(ClientError):  # noqa: N818 - as above
    """The coordinator's certificate is not trusted; nothing was sent to it."""


class TimedOut(ClientError):  # noqa: N818 - as above
    """What was waited for did not happen in time."""


class ProblemError(ClientError):
    """The coordinator answered with an error, told as problem details."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}" if problem.detail else problem.title)
        self.problem = problem


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Around everything that may talk to the coordinator at `url`: what goes wrong becomes a ClientError."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Unreachable(url, "no answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = untrusted(error, setting="--ca FILE or FITMATRIX_CA")
        if reason is not None:
            raise Untrusted(f"the coordinator at {url} is not trusted: {reason}") from error
        raise Unreachable(url, misspoken(error, url) or str(error) or type(error).__name__) from error
    except (TypeError, ValueError) as error:
        raise ClientError(f"the request cannot be written as JSON: {error}") from error


def problem_of(response: httpx.Response) -> ProblemError:
    try:
        return ProblemError(Problem.model_validate_json(response.content))
    except ValidationError:
        # A proxy in between, or another server on that port, does not speak problem details.
        title = f"{response.url.path} answered {response.status_code} {response.reason_phrase}".strip()
        return ProblemError(Problem(title=title, status=response.status_code, detail=response.text[:200].strip()))
