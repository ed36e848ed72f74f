"""What can go wrong in a use case; the API maps each type to problem details."""

from collections.abc import Sequence

from orchestrator.contract.views import ProblemField


class FitmatrixError(Exception):
    """Base of every error that the coordinator's rules raise; the message is one sentence for people."""


class InvalidRequestError(FitmatrixError):
    """The request cannot be carried out as it stands; nothing was changed."""

    def __init__(self, message: str, fields: Sequence[ProblemField] = ()) -> None:
        super().__init__(message)
        self.fields = list(fields)


class NotFoundError(FitmatrixError):
    """There is no such thing."""


class ConflictError(FitmatrixError):
    """The request contradicts the present state, such as a stale fencing token."""


class UnauthorizedError(FitmatrixError):
    """The caller did not say who it is, or said it wrongly."""


class LoginNeededError(UnauthorizedError):
    """A browser asks for a page that needs somebody."""

    def __init__(self, message: str, *, was_wrong: bool) -> None:
        """`was_wrong`: it showed a token or a session that is not good."""
        super().__init__(message)
        self.was_wrong = was_wrong


class ForbiddenError(FitmatrixError):
    """The caller is known and may not do this."""


class TooManyRequestsError(FitmatrixError):
    """The caller asks more often than it may."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(FitmatrixError):
    """Something that the coordinator itself needs does not answer; the same request may succeed later."""
