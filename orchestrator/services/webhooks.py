"""Registering webhooks, and bringing notices to them."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from orchestrator.contract.views import Listing, ProblemField
from orchestrator.contract.webhooks import (
    CreatedWebhook,
    DeliveryState,
    DeliveryView,
    WebhookRequest,
    WebhookView,
)
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.notices import (
    PING,
    Delivery,
    DeliveryPlan,
    PostAnswer,
    Webhook,
    answered,
    claimed,
    new_delivery,
)
from orchestrator.domain.records import Caller
from orchestrator.domain.signatures import new_secret, signed_headers
from orchestrator.services.paging import Page, paged
from orchestrator.services.ports import Clock, Store, Transaction

log = logging.getLogger(__name__)

MOST_WEBHOOKS: Final = 50
_DELIVERIES: Final = "deliveries"


class WebhookRecords(Protocol):
    def add(self, webhook: Webhook) -> None: ...
    def get(self, name: str) -> Webhook | None: ...
    def all(self) -> list[Webhook]: ...
    def remove(self, name: str) -> None:
        """With everything that is on its way to it."""
        ...

    def add_delivery(self, delivery: Delivery) -> None: ...
    def update_delivery(self, delivery: Delivery) -> None: ...
    def delivery(self, delivery_id: str) -> Delivery | None: ...
    def deliveries(self, webhook: str, limit: int, before: tuple[datetime, str] | None) -> list[Delivery]:
        """Newest first."""
        ...

    def due(self, now: datetime) -> list[Delivery]:
        """Of each webhook the one that is due longest."""
        ...

    def next_due(self) -> datetime | None: ...
    def pending(self) -> int:
        """How many are still to come."""
        ...

    def postpone(self, webhook: str, until: datetime) -> None:
        """Whatever of it is due before."""
        ...

    def give_up(self, created_before: datetime) -> None: ...
    def forget(self, created_before: datetime) -> None:
        """Deliveries that are over."""
        ...


class Poster(Protocol):
    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> PostAnswer:
        """Bounded in time; never raises for what a receiver does."""
        ...


def check_notify(tx: Transaction, names: Sequence[str]) -> None:
    """Raises InvalidRequestError for a job's `notify` that names a webhook which there is not."""
    known = [webhook.name for webhook in tx.webhooks.all()] if names else []
    wrong = [
        ProblemField(
            field=f"notify[{index}]",
            value=name,
            allowed=f"a webhook: {', '.join(known)}" if known else "nothing: no webhook is registered",
        )
        for index, name in enumerate(names)
        if name not in known
    ]
    if wrong:
        raise InvalidRequestError("The job is to notify a webhook that there is not; nothing was created.", wrong)


class Webhooks:
    def __init__(self, store: Store, clock: Clock, post: Poster, plan: DeliveryPlan) -> None:
        self._store = store
        self._clock = clock
        self._post = post
        self._plan = plan

    def register(self, request: WebhookRequest, caller: Caller) -> CreatedWebhook:
        """Raises ConflictError where the name is taken or there are too many."""
        notices = tuple(dict.fromkeys(request.notices))
        webhook = Webhook(request.name, request.url, new_secret(), notices, self._clock(), caller.name)
        with self._store.write() as tx:
            known = tx.webhooks.all()
            if any(one.name == request.name for one in known):
                raise ConflictError(f"there is a webhook {request.name} already: remove it first, or choose a name")
            if len(known) >= MOST_WEBHOOKS:
                raise ConflictError(f"there are {MOST_WEBHOOKS} webhooks already: remove one first")
            tx.webhooks.add(webhook)
            tx.audit.add(caller, "webhook.add", request.name, host=urlsplit(request.url).hostname)
        return CreatedWebhook(**dict(_view(webhook)), secret=webhook.secret)

    def all(self) -> Listing[WebhookView]:
        with self._store.read() as tx:
            return Listing(items=[_view(webhook) for webhook in tx.webhooks.all()])

    def show(self, name: str) -> WebhookView:
        with self._store.read() as tx:
            return _view(_webhook(tx, name))

    def remove(self, name: str, caller: Caller) -> None:
        with self._store.write() as tx:
            _webhook(tx, name)
            tx.webhooks.remove(name)
            tx.audit.add(caller, "webhook.remove", name)

    def deliveries(self, name: str, page: Page) -> Listing[DeliveryView]:
        """Newest first."""
        with self._store.read() as tx:
            _webhook(tx, name)
            found = tx.webhooks.deliveries(name, page.limit + 1, page.place(_DELIVERIES))
        listing = paged(found, page, _DELIVERIES, lambda delivery: (delivery.created_at, delivery.id))
        return Listing(items=[_delivery_view(delivery) for delivery in listing.items], next=listing.next)

    def ping(self, name: str) -> DeliveryView:
        """Sends a test at once, and once."""
        now = self._clock()
        with self._store.read() as tx:
            webhook = _webhook(tx, name)
        delivery = replace(new_delivery(name, PING, {"webhook": name}, now), tries=1)
        answer = asyncio.run(self._try(webhook, delivery))
        done = answered(delivery, answer, self._plan)
        if done.state is DeliveryState.PENDING:
            done = replace(done, state=DeliveryState.GIVEN_UP)
        with self._store.write() as tx:
            if tx.webhooks.get(name) is not None:
                tx.webhooks.add_delivery(done)
        return _delivery_view(done)

    async def deliver_due(self) -> int:
        """Tries what is due, at most one of each webhook at a time; returns how many.

        Each is claimed before it is sent, by making it due again after its pause: another coordinator does not see
        it meanwhile, and what a sender that dies leaves behind is tried again.
        """
        tried = await asyncio.to_thread(self._claim)
        if tried:
            answers = await asyncio.gather(*(self._try(webhook, delivery) for webhook, delivery in tried))
            outcomes = [(delivery, answer) for (_, delivery), answer in zip(tried, answers, strict=True)]
            await asyncio.to_thread(self._conclude, outcomes)
        return len(tried)

    def next_due(self) -> datetime | None:
        with self._store.read() as tx:
            return tx.webhooks.next_due()

    def tidy(self) -> None:
        """Gives up what was tried for too long, and forgets what has been over for long."""
        now = self._clock()
        with self._store.write() as tx:
            tx.webhooks.give_up(now - self._plan.patience)
            tx.webhooks.forget(now - self._plan.memory)

    def _claim(self) -> list[tuple[Webhook, Delivery]]:
        now = self._clock()
        with self._store.read() as tx:
            if not tx.webhooks.due(now):
                return []
        with self._store.write() as tx:
            webhooks = {webhook.name: webhook for webhook in tx.webhooks.all()}
            tried = [
                (webhooks[delivery.webhook], claimed(delivery, self._plan, now)) for delivery in tx.webhooks.due(now)
            ]
            for _, delivery in tried:
                tx.webhooks.update_delivery(delivery)
        return tried

    def _conclude(self, outcomes: Sequence[tuple[Delivery, PostAnswer]]) -> None:
        now = self._clock()
        with self._store.write() as tx:
            for delivery, answer in outcomes:
                done = answered(delivery, answer, self._plan)
                tx.webhooks.update_delivery(done)
                if answer.status is None:
                    tx.webhooks.postpone(delivery.webhook, now + self._plan.silent)
                if not answer.accepted:
                    log.warning("webhook %s did not take %s: %s", delivery.webhook, delivery.id, done.answer[:200])

    async def _try(self, webhook: Webhook, delivery: Delivery) -> PostAnswer:
        body = json.dumps(dict(delivery.payload), ensure_ascii=False, separators=(",", ":")).encode()
        signed = signed_headers(webhook.secret, delivery.id, self._clock(), body)
        return await self._post(webhook.url, {"Content-Type": "application/json", **signed}, body)


def _webhook(tx: Transaction, name: str) -> Webhook:
    webhook = tx.webhooks.get(name)
    if webhook is None:
        raise NotFoundError(f"there is no webhook {name}")
    return webhook


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        name=webhook.name,
        url=webhook.url,
        notices=list(webhook.notices),
        created_at=webhook.created_at,
        created_by=webhook.created_by,
    )


def _delivery_view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        webhook=delivery.webhook,
        type=str(delivery.payload["type"]),
        state=delivery.state,
        tries=delivery.tries,
        created_at=delivery.created_at,
        due_at=delivery.due_at if delivery.state is DeliveryState.PENDING else None,
        answer=delivery.answer,
    )
