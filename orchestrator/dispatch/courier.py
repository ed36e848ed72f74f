"""Sending attempts through Celery."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from celery import Celery
from kombu.exceptions import BatchPublishError, OperationalError
from kombu.messaging import Producer

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.tls import broker_tls
from orchestrator.contract.wire import ATTEMPT_TASK, attempt_id, device_queue
from orchestrator.services.ports import CourierError

CONNECT_SECONDS = 2
_BATCH: Final = 50
"""Messages in one round trip: the first need not wait for hundreds of others."""


class CeleryCourier:
    """Only delivers: no result backend, no retries of its own, nothing derived from events."""

    def __init__(self, broker_url: str, *, ca: Path | None = None) -> None:
        """`ca` signs the certificate of a broker that speaks TLS."""
        self._app = Celery("fitmatrix", broker=broker_url)
        self._app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_ignore_result=True,
            broker_use_ssl=broker_tls(broker_url, ca),
            broker_connection_timeout=CONNECT_SECONDS,
            broker_transport_options={
                "socket_connect_timeout": CONNECT_SECONDS,
                "socket_timeout": CONNECT_SECONDS,
                "max_retries": 0,
            },
        )

    def send(self, specs: Sequence[AttemptSpec]) -> None:
        """Many of them in few round trips to the broker."""
        try:
            with self._app.producer_or_acquire() as producer:
                if len(specs) == 1:
                    self._publish(specs[0], producer)
                    return
                with producer.batch(_BATCH):
                    for spec in specs:
                        self._publish(spec, producer)
        except (OperationalError, BatchPublishError, OSError) as error:
            raise CourierError(str(error)) from error

    def _publish(self, spec: AttemptSpec, producer: Producer) -> None:
        self._app.send_task(
            ATTEMPT_TASK,
            args=[spec.model_dump(mode="json", by_alias=True)],
            queue=device_queue(spec.device_id),
            declare=(),  # its worker does, and a list needs no declaration to be pushed to
            argsrepr=attempt_id(spec.run_id, spec.number),  # otherwise all of it is spelled out for logs
            ignore_result=True,
            retry=False,
            producer=producer,
        )

    def check(self) -> None:
        """Raises CourierError when the broker does not answer."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0, timeout=CONNECT_SECONDS)
        except (OperationalError, OSError) as error:
            raise CourierError("the broker does not answer") from error

    def close(self) -> None:
        self._app.close()
