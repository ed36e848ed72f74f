"""Addresses that are told what happened."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import Answer, Message, Slug
from orchestrator.contract.vocabulary import Notice

WebhookUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@/?#]+(?:[/?][^\s#]*)?$", max_length=2_000)]
"""With neither credentials nor a fragment."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given-up"
    """Every try failed, or the receiver answered 410: it wants no more of it."""


class WebhookRequest(Message):
    name: Slug
    url: WebhookUrl
    notices: list[Notice] = Field(default=list(Notice), max_length=20)
    """What it is told of. A job that names the webhook in `notify` tells it of its end in any case."""


class WebhookView(Answer):
    name: str
    url: str
    notices: list[Notice]
    created_at: AwareDatetime
    created_by: str


class CreatedWebhook(WebhookView):
    secret: str
    """Signs what is sent, as Standard Webhooks says. It is told this once."""


class DeliveryView(Answer):
    """A notice on its way to a webhook."""

    id: str
    """The `webhook-id` of every try."""
    webhook: str
    type: str
    state: DeliveryState
    tries: int
    created_at: AwareDatetime
    due_at: AwareDatetime | None
    """When it is tried next; null once it is over."""
    answer: str
    """What the last try brought, shortened."""
