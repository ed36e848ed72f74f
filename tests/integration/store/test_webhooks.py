"""Notices travel over real HTTP, as often as it takes and no more."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.contract.views import Listing
from orchestrator.contract.vocabulary import JobState, Notice, Role
from orchestrator.contract.webhooks import DeliveryState, DeliveryView, WebhookRequest
from orchestrator.dispatch.outbox import Outbox
from orchestrator.dispatch.webhook_poster import WebhookPoster
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.notices import DeliveryPlan
from orchestrator.domain.records import Caller
from orchestrator.services.paging import Page
from orchestrator.services.webhooks import MOST_WEBHOOKS, Webhooks, check_notify
from orchestrator.store.database import Database
from orchestrator.store.events import Committed
from tests.integration.coordinator.receiver import Receiver, receiving
from tests.integration.store.test_events import job
from tests.ports import free_port
from tests.unit.domain.builders import NOW
from tests.waiting import wait_until

HASTY = DeliveryPlan(pauses=(timedelta(milliseconds=20),) * 3, silent=timedelta(milliseconds=20))

ADMIN = Caller("admin", Role.ADMIN)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def sender(database: Database, plan: DeliveryPlan = HASTY) -> Webhooks:
    return Webhooks(database, lambda: datetime.now(UTC), WebhookPoster("1"), plan)


@pytest.fixture
def webhooks(database: Database) -> Iterator[Webhooks]:
    """With a thread that sends."""
    registered = sender(database)
    outbox = Outbox(registered, lambda: None)

    def committed(changes: Committed) -> None:
        if changes.deliveries:
            outbox.notify()

    database.listen(committed)
    outbox.start()
    yield registered
    outbox.stop()


def finish(database: Database, identifier: str = "j-1") -> None:
    with database.write() as tx:
        tx.jobs.add(job(identifier), None)
    with database.write() as tx:
        tx.jobs.update(job(identifier, state=JobState.FINISHED, finished_at=NOW))


def only(listing: Listing[DeliveryView]) -> DeliveryView:
    (one,) = listing.items
    return one


def ended(webhooks: Webhooks, name: str) -> DeliveryView:
    def over() -> DeliveryView | None:
        items = webhooks.deliveries(name, Page(10)).items
        return items[0] if items and items[0].state is not DeliveryState.PENDING else None

    return wait_until(over, what="the end of a delivery")


def test_a_receiver_that_fails_first_is_told_in_the_end(
    database: Database, webhooks: Webhooks, receiver: Receiver
) -> None:
    made = webhooks.register(WebhookRequest(name="ci", url=receiver.url), ADMIN)
    receiver.answers = [(500, {}, b"not yet"), (302, {"Location": receiver.url + "/elsewhere"}, b"")]
    finish(database)
    done = ended(webhooks, "ci")
    assert (done.state, done.tries, done.answer) == (DeliveryState.DELIVERED, 3, "204")
    assert [one.path for one in receiver.received] == ["/hooks"] * 3
    assert {one.headers["webhook-id"] for one in receiver.received} == {done.id}
    assert {one.body for one in receiver.received} == {receiver.received[0].body}
    payload = receiver.received[0].payload
    assert (payload["type"], payload["data"]["id"], payload["data"]["state"]) == ("job.finished", "j-1", "finished")
    assert all(one.is_signed_by(made.secret) for one in receiver.received)
    assert not receiver.received[0].is_signed_by("whsec_AAAA")


def test_it_is_given_up_after_the_last_pause(database: Database, webhooks: Webhooks, receiver: Receiver) -> None:
    webhooks.register(WebhookRequest(name="ci", url=receiver.url), ADMIN)
    receiver.answers = [(503, {}, b"busy" * 1_000)] * 9
    finish(database)
    done = ended(webhooks, "ci")
    assert (done.state, done.tries) == (DeliveryState.GIVEN_UP, len(HASTY.pauses) + 1)
    assert done.answer.startswith("503 busy")
    assert len(done.answer) == 500
    assert len(receiver.received) == done.tries


def test_gone_is_gone(database: Database, webhooks: Webhooks, receiver: Receiver) -> None:
    webhooks.register(WebhookRequest(name="ci", url=receiver.url), ADMIN)
    receiver.answers = [(410, {}, b"")]
    finish(database)
    assert ended(webhooks, "ci").state is DeliveryState.GIVEN_UP
    assert len(receiver.received) == 1


def test_nobody_there_is_a_sentence(webhooks: Webhooks) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    webhooks.register(WebhookRequest(name="ci", url=url), ADMIN)
    pinged = webhooks.ping("ci")
    assert pinged.state is DeliveryState.GIVEN_UP
    assert "ConnectError" in pinged.answer
    assert only(webhooks.deliveries("ci", Page(10))) == pinged


def test_a_ping_is_sent_once_whatever_comes_of_it(webhooks: Webhooks, receiver: Receiver) -> None:
    made = webhooks.register(WebhookRequest(name="ci", url=receiver.url, notices=[]), ADMIN)
    receiver.answers = [(500, {}, b"no")]
    assert webhooks.ping("ci").state is DeliveryState.GIVEN_UP
    assert webhooks.ping("ci").state is DeliveryState.DELIVERED
    assert [one.payload["type"] for one in receiver.received] == ["ping", "ping"]
    assert receiver.received[0].is_signed_by(made.secret)


def test_two_coordinators_send_once(database: Database, receiver: Receiver) -> None:
    patient = DeliveryPlan()
    both = [sender(database, patient), sender(database, patient)]
    both[0].register(WebhookRequest(name="ci", url=receiver.url), ADMIN)
    for number in range(5):
        finish(database, f"j-{number}")

    def deliver(one: Webhooks) -> None:
        while asyncio.run(one.deliver_due()):
            pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver, both))
    assert sorted(one.payload["data"]["id"] for one in receiver.received) == [f"j-{number}" for number in range(5)]


def test_a_sender_that_died_in_the_middle_costs_one_pause(database: Database, receiver: Receiver) -> None:
    webhooks = sender(database)
    webhooks.register(WebhookRequest(name="ci", url=receiver.url), ADMIN)
    finish(database)
    receiver.may_answer.clear()

    async def die() -> None:
        task = asyncio.create_task(webhooks.deliver_due())
        await asyncio.to_thread(wait_until, lambda: receiver.received)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(die())
    receiver.may_answer.set()
    assert only(webhooks.deliveries("ci", Page(10))).state is DeliveryState.PENDING
    wait_until(lambda: asyncio.run(sender(database).deliver_due()), what="another try")
    assert only(webhooks.deliveries("ci", Page(10))).state is DeliveryState.DELIVERED
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1


def test_a_silent_receiver_does_not_hold_up_the_others(database: Database, receiver: Receiver) -> None:
    webhooks = sender(database, DeliveryPlan())
    webhooks.register(WebhookRequest(name="dead", url=f"http://127.0.0.1:{free_port()}/"), ADMIN)
    webhooks.register(WebhookRequest(name="well", url=receiver.url), ADMIN)
    for number in range(3):
        finish(database, f"j-{number}")
    while asyncio.run(webhooks.deliver_due()):
        pass
    assert len(receiver.received) == 3
    dead = webhooks.deliveries("dead", Page(10)).items
    assert sorted(one.tries for one in dead) == [0, 0, 1]
    assert all(one.due_at is not None and one.due_at > datetime.now(UTC) for one in dead)


def test_what_was_tried_for_too_long_is_given_up(database: Database, receiver: Receiver) -> None:
    moments = iter([datetime.now(UTC)] * 1 + [datetime.now(UTC) + timedelta(days=3)] * 9)
    webhooks = Webhooks(database, lambda: next(moments), WebhookPoster("1"), DeliveryPlan())
    webhooks.register(WebhookRequest(name="ci", url=receiver.url), ADMIN)
    finish(database)
    webhooks.tidy()
    assert only(webhooks.deliveries("ci", Page(10))).state is DeliveryState.GIVEN_UP
    assert asyncio.run(webhooks.deliver_due()) == 0


def test_names_are_taken_once_and_bounded(database: Database) -> None:
    webhooks = sender(database)
    for number in range(MOST_WEBHOOKS):
        webhooks.register(WebhookRequest(name=f"w{number}", url="http://127.0.0.1/"), ADMIN)
    with pytest.raises(ConflictError, match="remove one first"):
        webhooks.register(WebhookRequest(name="more", url="http://127.0.0.1/"), ADMIN)
    with pytest.raises(ConflictError, match="there is a webhook w0 already"):
        webhooks.register(WebhookRequest(name="w0", url="http://127.0.0.1/"), ADMIN)
    webhooks.remove("w0", ADMIN)
    with pytest.raises(NotFoundError):
        webhooks.show("w0")
    shown = webhooks.show("w1")
    assert "secret" not in shown.model_dump()


def test_a_job_names_webhooks_that_there_are(database: Database) -> None:
    with database.read() as tx:
        check_notify(tx, [])
        with pytest.raises(InvalidRequestError) as caught:
            check_notify(tx, ["ci"])
    assert caught.value.fields[0].allowed == "nothing: no webhook is registered"
    sender(database).register(WebhookRequest(name="ci", url="http://127.0.0.1/", notices=[Notice.JOB_FINISHED]), ADMIN)
    with database.read() as tx:
        check_notify(tx, ["ci"])
        with pytest.raises(InvalidRequestError) as caught:
            check_notify(tx, ["ci", "nightly"])
    (field,) = caught.value.fields
    assert (field.field, field.value, field.allowed) == ("notify[1]", "nightly", "a webhook: ci")


def test_deliveries_come_page_by_page(database: Database) -> None:
    webhooks = sender(database)
    webhooks.register(WebhookRequest(name="ci", url="http://127.0.0.1:1/"), ADMIN)
    for number in range(5):
        finish(database, f"j-{number}")
    first = webhooks.deliveries("ci", Page(2))
    second = webhooks.deliveries("ci", Page(3, first.next))
    assert len({one.id for one in (*first.items, *second.items)}) == 5
    assert second.next is None
    with pytest.raises(InvalidRequestError):
        webhooks.deliveries("ci", Page(2, first.next and first.next + "A"))
