"""How often a notice is tried, and when it is over."""

from datetime import timedelta

import pytest

from orchestrator.contract.webhooks import DeliveryState
from orchestrator.domain.notices import DeliveryPlan, PostAnswer, answered, claimed, new_delivery
from tests.unit.domain.builders import NOW

PLAN = DeliveryPlan()


def test_pauses_grow_for_a_day_and_end() -> None:
    delivery, now, pauses = new_delivery("ci", "job.finished", {"id": "j-1"}, NOW), NOW, []
    while delivery.state is DeliveryState.PENDING:
        delivery = claimed(delivery, PLAN, now)
        pauses.append(delivery.due_at - now)
        now = delivery.due_at
        delivery = answered(delivery, PostAnswer(500, "no"), PLAN)
    assert delivery.state is DeliveryState.GIVEN_UP
    assert pauses == sorted(pauses)
    waited = sum(pauses[:-1], timedelta())
    assert timedelta(hours=24) <= waited <= timedelta(hours=30)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, DeliveryState.DELIVERED),
        (204, DeliveryState.DELIVERED),
        (302, DeliveryState.PENDING),
        (404, DeliveryState.PENDING),
        (410, DeliveryState.GIVEN_UP),
        (None, DeliveryState.PENDING),
    ],
)
def test_only_a_success_is_one(status: int | None, state: DeliveryState) -> None:
    first = claimed(new_delivery("ci", "job.finished", {}, NOW), PLAN, NOW)
    assert answered(first, PostAnswer(status, "words"), PLAN).state is state


def test_what_came_back_is_kept_short() -> None:
    done = answered(new_delivery("ci", "ping", {}, NOW), PostAnswer(500, "x" * 5_000), PLAN)
    assert done.answer.startswith("500 x")
    assert len(done.answer) == 500
