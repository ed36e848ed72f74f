"""What webhooks are told, and how often it is tried."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.contract.vocabulary import Notice
from orchestrator.contract.webhooks import DeliveryState
from orchestrator.domain.identifiers import new_id

PING: Final = "ping"
"""The type of what a test sends."""
ANSWER_LENGTH: Final = 500
_GONE: Final = 410


@dataclass(frozen=True)
class Webhook:
    name: str
    url: str
    secret: str
    notices: tuple[Notice, ...]
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class Delivery:
    id: str
    webhook: str
    payload: Mapping[str, Any]
    """`type`, `timestamp` and `data`, as Standard Webhooks recommends."""
    state: DeliveryState
    tries: int
    due_at: datetime
    created_at: datetime
    answer: str = ""


@dataclass(frozen=True)
class DeliveryPlan:
    """How long a notice is tried. A pause must be longer than a try takes: it is also what a sender that died costs."""

    pauses: tuple[timedelta, ...] = tuple(
        timedelta(seconds=seconds) for seconds in (30, 60, 300, 1_800, 7_200, 18_000, 28_800, 36_000)
    )
    """After each try that failed; together about 25 hours."""
    silent: timedelta = timedelta(minutes=1)
    """How long everything else for a receiver waits that did not answer at all."""
    patience: timedelta = timedelta(days=2)
    """After which a notice is given up however often it was tried."""
    memory: timedelta = timedelta(days=7)
    """How long deliveries are kept that are over."""


@dataclass(frozen=True)
class PostAnswer:
    status: int | None
    """None where nobody answered."""
    text: str

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def new_delivery(webhook: str, kind: str, data: Mapping[str, Any], now: datetime) -> Delivery:
    payload = {"type": str(kind), "timestamp": now.isoformat(), "data": dict(data)}
    return Delivery(new_id("msg"), webhook, payload, DeliveryState.PENDING, 0, now, now)


def claimed(delivery: Delivery, plan: DeliveryPlan, now: datetime) -> Delivery:
    """The record while it is tried: due again after its pause, should nobody hear what became of it."""
    pause = plan.pauses[min(delivery.tries, len(plan.pauses) - 1)]
    return replace(delivery, tries=delivery.tries + 1, due_at=now + pause)


def answered(delivery: Delivery, answer: PostAnswer, plan: DeliveryPlan) -> Delivery:
    """The record after a try."""
    state = DeliveryState.PENDING
    if answer.accepted:
        state = DeliveryState.DELIVERED
    elif answer.status == _GONE or delivery.tries > len(plan.pauses):
        state = DeliveryState.GIVEN_UP
    words = f"{answer.status} {answer.text}" if answer.status is not None else answer.text
    return replace(delivery, state=state, answer=words.strip()[:ANSWER_LENGTH])
