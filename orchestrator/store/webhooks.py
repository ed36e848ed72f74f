"""Webhooks, and what is on its way to them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from orchestrator.contract.vocabulary import Notice
from orchestrator.contract.webhooks import DeliveryState
from orchestrator.domain.notices import Delivery, Webhook, new_delivery
from orchestrator.store.rows import DeliveryRow, WebhookRow

_JOB_NOTICES = (Notice.JOB_FINISHED, Notice.JOB_CANCELLED)


def queue_notice(
    session: Session, notice: Notice, data: Callable[[], dict[str, Any]], named: Sequence[str], now: datetime
) -> int:
    """Writes a delivery for each webhook that is to be told; returns how many.

    `named` webhooks are told of a job's end whatever else they are told of, and then nobody else is.
    """
    webhooks = [_to_webhook(row) for row in session.scalars(select(WebhookRow))]
    if named and notice in _JOB_NOTICES:
        told = [webhook for webhook in webhooks if webhook.name in named]
    else:
        told = [webhook for webhook in webhooks if notice in webhook.notices]
    if told:
        content = data()
        session.execute(
            insert(DeliveryRow), [_columns(new_delivery(webhook.name, notice, content, now)) for webhook in told]
        )
    return len(told)


class WebhookRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, webhook: Webhook) -> None:
        self._session.execute(
            insert(WebhookRow).values(
                name=webhook.name,
                url=webhook.url,
                secret=webhook.secret,
                notices=list(webhook.notices),
                created_at=webhook.created_at,
                created_by=webhook.created_by,
            )
        )

    def get(self, name: str) -> Webhook | None:
        row = self._session.get(WebhookRow, name)
        return _to_webhook(row) if row else None

    def all(self) -> list[Webhook]:
        return [_to_webhook(row) for row in self._session.scalars(select(WebhookRow).order_by(WebhookRow.name))]

    def remove(self, name: str) -> None:
        self._session.execute(delete(DeliveryRow).where(DeliveryRow.webhook == name))
        self._session.execute(delete(WebhookRow).where(WebhookRow.name == name))

    def add_delivery(self, delivery: Delivery) -> None:
        self._session.execute(insert(DeliveryRow).values(**_columns(delivery)))

    def update_delivery(self, delivery: Delivery) -> None:
        self._session.execute(update(DeliveryRow).where(DeliveryRow.id == delivery.id).values(**_columns(delivery)))

    def delivery(self, delivery_id: str) -> Delivery | None:
        row = self._session.get(DeliveryRow, delivery_id)
        return _to_delivery(row) if row else None

    def deliveries(self, webhook: str, limit: int, before: tuple[datetime, str] | None) -> list[Delivery]:
        query = select(DeliveryRow).where(DeliveryRow.webhook == webhook)
        if before is not None:
            moment, delivery_id = before
            query = query.where(
                or_(
                    DeliveryRow.created_at < moment,
                    and_(DeliveryRow.created_at == moment, DeliveryRow.id > delivery_id),
                )
            )
        query = query.order_by(DeliveryRow.created_at.desc(), DeliveryRow.id).limit(limit)
        return [_to_delivery(row) for row in self._session.scalars(query)]

    def due(self, now: datetime) -> list[Delivery]:
        place = func.row_number().over(
            partition_by=DeliveryRow.webhook, order_by=(DeliveryRow.due_at, DeliveryRow.created_at, DeliveryRow.id)
        )
        ranked = (
            select(DeliveryRow.id, place.label("place"))
            .where(DeliveryRow.state == DeliveryState.PENDING, DeliveryRow.due_at <= now)
            .subquery()
        )
        first = select(ranked.c.id).where(ranked.c.place == 1)
        return [
            _to_delivery(row) for row in self._session.scalars(select(DeliveryRow).where(DeliveryRow.id.in_(first)))
        ]

    def next_due(self) -> datetime | None:
        return self._session.scalar(
            select(func.min(DeliveryRow.due_at)).where(DeliveryRow.state == DeliveryState.PENDING)
        )

    def pending(self) -> int:
        query = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state == DeliveryState.PENDING)
        return self._session.scalar(query) or 0

    def postpone(self, webhook: str, until: datetime) -> None:
        self._session.execute(
            update(DeliveryRow)
            .where(
                DeliveryRow.webhook == webhook,
                DeliveryRow.state == DeliveryState.PENDING,
                DeliveryRow.due_at < until,
            )
            .values(due_at=until)
        )

    def give_up(self, created_before: datetime) -> None:
        self._session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.state == DeliveryState.PENDING, DeliveryRow.created_at < created_before)
            .values(state=DeliveryState.GIVEN_UP)
        )

    def forget(self, created_before: datetime) -> None:
        self._session.execute(
            delete(DeliveryRow).where(
                DeliveryRow.state != DeliveryState.PENDING, DeliveryRow.created_at < created_before
            )
        )


def _to_webhook(row: WebhookRow) -> Webhook:
    notices = tuple(Notice(notice) for notice in row.notices)
    return Webhook(row.name, row.url, row.secret, notices, row.created_at, row.created_by)


def _columns(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "webhook": delivery.webhook,
        "payload": dict(delivery.payload),
        "state": delivery.state,
        "tries": delivery.tries,
        "due_at": delivery.due_at,
        "created_at": delivery.created_at,
        "answer": delivery.answer,
    }


def _to_delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        webhook=row.webhook,
        payload=row.payload,
        state=DeliveryState(row.state),
        tries=row.tries,
        due_at=row.due_at,
        created_at=row.created_at,
        answer=row.answer,
    )
