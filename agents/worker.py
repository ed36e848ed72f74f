"""The Celery worker of one device: `python -m agents.worker`, started by the supervisor only."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from celery import Celery, bootsteps, signals
from celery.worker import WorkController
from celery.worker import state as celery_state
from kombu.entity import Exchange, Queue

from agents.attempt import run_attempt
from agents.consumption import ConsumptionWatch
from agents.coordinator import CoordinatorClient
from agents.delivery import AttemptRunner, Delivery
from agents.devices.declared import discover_devices
from agents.devices.protocol import Device
from agents.faults import AgentError
from agents.layout import DataLayout
from agents.model_cache import ModelCache
from agents.nursery import live
from agents.page_server import PageServer, PageServerError
from agents.phones import open_phone
from agents.spool import Spool
from agents.upkeep import Patience, Upkeep, Verdict
from agents.worker_link import SHUTDOWN_SECONDS, SupervisorLink, WorkerCommand, WorkerConfig, WorkerExit, WorkerState
from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import AttemptRef, DeviceHealth
from orchestrator.contract.tls import broker_tls
from orchestrator.contract.vocabulary import Condition
from orchestrator.contract.wire import ATTEMPT_TASK, device_queue, private_keys

_LOADED_LATE: Final = (
    "billiard.pool",
    "celery.app.amqp",
    "celery.app.control",
    "celery.app.events",
    "celery.app.trace",
    "celery.concurrency.solo",
    "celery.events.receiver",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.control",
    "celery.worker.loops",
    "celery.worker.request",
    "kombu.transport.redis",
    "selenium.webdriver",
    "appium.webdriver",
    "agents.browsers.appium_server",
)
_FIND_SECONDS: Final = 5.0
"""From one try to open a device to the next."""

_log = logging.getLogger(__name__)

FindDevice = Callable[[WorkerConfig], Device | None]


def celery_app(
    broker_url: str, queue: str, handle: Callable[[object], None], *, agent_id: str, ca: Path | None = None
) -> Celery:
    """An application that delivers attempts and does nothing else: no results, no events, no remote control.

    A message counts as acknowledged when it is delivered. Celery's own early acknowledgement would be sent after the
    attempt, since the solo pool blocks the loop that sends it; an outage meanwhile would deliver the attempt again.
    """
    exchange = Exchange(queue, type="direct")  # type: ignore[no-untyped-call]  # kombu is untyped
    delivered = Queue(queue, exchange, routing_key=queue, no_ack=True)  # type: ignore[no-untyped-call]  # kombu is untyped
    app = Celery("fitmatrix-agent", broker=broker_url)
    app.conf.update(
        task_queues=[delivered],
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_use_ssl=broker_tls(broker_url, ca),
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_connect_timeout": 5, "socket_keepalive": True, **private_keys(agent_id)},
    )

    @app.task(name=ATTEMPT_TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # celery is untyped
    def attempt(spec: object) -> None:
        handle(spec)

    return app


class DeviceWorker:
    """One device's worker, from its configuration to its exit status."""

    def __init__(
        self, line: "_Line", config: WorkerConfig, device: Device, run: AttemptRunner, patience: Patience
    ) -> None:
        layout = DataLayout(config.data)
        self._line = line
        self._device_id = config.device_id
        self._coordinator = CoordinatorClient(config.coordinator, token=config.agent_token, ca=config.ca)
        self._page_server = PageServer(port=config.page_port, kept=layout.pages(config.device_id))
        self._upkeep = Upkeep(device, layout, self._on_verdict, patience)
        self._delivery = Delivery(
            coordinator=self._coordinator,
            cache=ModelCache(layout.cache, cap_bytes=config.cache_bytes),
            spool=Spool(layout.spool),
            device=device,
            page_server=self._page_server,
            run=run,
            scratch=layout.scratch(config.device_id),
            hardware=layout.hardware_lock(group) if (group := device.registration.exclusive_group) else None,
            lease_seconds=config.lease_seconds,
            take=self._upkeep.in_use,
            doubt=self._upkeep.doubt,
            on_begin=self._on_begin,
            on_end=self._on_end,
        )
        self._queue = device_queue(config.device_id)
        self._app = celery_app(
            config.broker_url, self._queue, self._delivery.handle, agent_id=config.agent_id, ca=config.ca
        )
        self._watch = ConsumptionWatch(self._app, self._queue, self._delivery, on_stall=_leave_stalled)

    def run(self) -> WorkerExit:
        """Consumes until told to stop."""
        try:
            self._page_server.start()
        except PageServerError as error:
            _log.warning("%s", error)
            return WorkerExit.PORT_TAKEN
        try:
            self._consume()
        finally:
            self._page_server.stop()
            self._coordinator.close()
        return WorkerExit.FAILED if celery_state.should_stop is None else WorkerExit.DONE

    def _consume(self) -> None:
        self._app.steps["consumer"].add(_consuming_step(self._on_consuming))
        worker = WorkController(
            app=self._app,
            hostname=self._device_id,
            pool_cls="solo",
            concurrency=1,
            queues=[self._queue],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        self._line.hand_over(self._on_command, self.shut_down)
        self._upkeep.start(self._delivery)
        self._watch.start()
        worker.start()

    def shut_down(self) -> None:
        """Ends the current attempt and then the worker; bounded."""
        _exit_after(SHUTDOWN_SECONDS)
        self._delivery.close()
        celery_state.should_stop = WorkerExit.DONE.value

    def _on_command(self, command: WorkerCommand) -> None:
        match command.action:
            case "stop-attempt" if command.attempt is not None:
                self._delivery.stop(command.attempt)
            case "renew-token":
                self._coordinator.token = command.agent_token
            case "look":
                self._upkeep.look(absent=command.absent)
            case "drain":
                self._coordinator.token = command.agent_token or self._coordinator.token
                celery_state.should_stop = WorkerExit.DONE.value
            case "shutdown":
                self.shut_down()

    def _on_begin(self, spec: AttemptSpec, began: datetime) -> None:
        attempt = AttemptRef(run_id=spec.run_id, number=spec.number)
        doing = f"{spec.variant.id} on {spec.backend} in {spec.browser}"
        self._line.say(attempt=attempt, begun_at=began, doing=doing)

    def _on_end(self, outcome: str) -> None:
        self._line.say(attempt=None, begun_at=None, doing="", ended=outcome)

    def _on_verdict(self, verdict: Verdict, health: DeviceHealth | None) -> None:
        self._line.say(condition=verdict.condition, reason=verdict.reason, health=health)

    def _on_consuming(self, consuming: bool) -> None:
        if consuming:
            _log.info("takes jobs")
        self._watch.consuming = consuming
        self._line.say(consuming=consuming)


class _Line:
    """What this worker has said to its supervisor, and who hears what the supervisor says."""

    def __init__(self, link: SupervisorLink) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._state = WorkerState(consuming=False)
        self._on_command: Callable[[WorkerCommand], None] | None = None
        self._on_end: Callable[[], None] = _leave
        self.news = threading.Event()
        """A command has come while nobody was there to hear it."""
        link.listen(self._hear, lambda: self._on_end())

    def hand_over(self, on_command: Callable[[WorkerCommand], None], on_end: Callable[[], None]) -> None:
        self._on_command, self._on_end = on_command, on_end

    def say(self, **change: Any) -> None:
        with self._lock:
            self._state = self._state.model_copy(update={"ended": None} | change)
            self._link.say(self._state)

    def _hear(self, command: WorkerCommand) -> None:
        if self._on_command is not None:
            self._on_command(command)
        elif command.action in ("drain", "shutdown"):
            _leave()
        self.news.set()


def _consuming_step(on_change: Callable[[bool], None]) -> type[bootsteps.StartStopStep]:
    """Celery's own extension point that runs at every (re)connection, which its signals do not."""

    class ConsumingStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery is untyped
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, _consumer: object) -> None:
            on_change(True)

        def stop(self, _consumer: object) -> None:
            on_change(False)

        shutdown = stop

    return ConsumingStep


def _leave() -> None:
    os._exit(WorkerExit.DONE)


def _leave_stalled() -> None:
    _log.warning("messages wait but do not arrive; the worker starts again")
    os._exit(WorkerExit.STALLED)


def _exit_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, args=(WorkerExit.DONE.value,))
    timer.daemon = True
    timer.start()


def _log_to_stderr(device_id: str) -> None:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format=f"%(asctime)s {device_id}: %(message)s", datefmt="%H:%M:%S"
    )
    for name in ("httpx", "selenium", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # A lost broker is said once, by `ConsumptionWatch`, instead of with every try.
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("celery.app.trace").setLevel(logging.ERROR)
    # Celery acknowledges once more after the attempt, and is loud when the broker is away then: there is nothing to do.
    for name in ("celery.worker.request", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _on_unknown_message(exc: object = None, **_: object) -> None:
    _log.error("a message was dropped, it is no attempt: %s", exc)


def find_device(config: WorkerConfig) -> Device | None:
    """The configured device as it is found again in this process; the supervisor has already said what is odd.

    Raises `AgentError` when it is known but cannot be opened now.
    """
    if config.phone is not None:
        return open_phone(config.phone, data=config.data, appium_home=config.appium_home, declaration=config.devices)
    devices = discover_devices(
        config.devices, agent_id=config.agent_id, chrome=config.chrome, data=config.data, notice=_log.debug
    )
    return next((device for device in devices if device.registration.id == config.device_id), None)


def _find_patiently(find: FindDevice, config: WorkerConfig, line: _Line) -> Device | None:
    while True:
        line.news.clear()
        try:
            return find(config)
        except AgentError as error:
            line.say(condition=Condition.OFFLINE, reason=str(error))
        line.news.wait(_FIND_SECONDS)


def run_worker(
    *, run: AttemptRunner = run_attempt, find: FindDevice = find_device, patience: Patience | None = None
) -> int:
    """The whole life of a worker process; returns its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = SupervisorLink.open()
    try:
        config = link.config()
    except EOFError:
        return WorkerExit.DONE
    _log_to_stderr(config.device_id)
    line = _Line(link)
    lock = DataLayout(config.data).worker_lock(config.device_id)
    if not lock.acquire(seconds=SHUTDOWN_SECONDS):
        _log.error("another worker of this device is still running")
        return WorkerExit.DEVICE_GONE
    device = _find_patiently(find, config, line)
    if device is None:
        _log.error("the device is gone")
        return WorkerExit.DEVICE_GONE
    signals.task_unknown.connect(_on_unknown_message, weak=False)
    signals.task_rejected.connect(_on_unknown_message, weak=False)
    worker = DeviceWorker(line, config, device, run, patience or Patience())
    # In a thread of its own: what it locks may be locked by the very code that the signal interrupts.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=worker.shut_down).start())
    return worker.run()


def load() -> None:
    """Loads what is otherwise loaded only when it is used, so that all workers of a nursery share it."""
    for module in _LOADED_LATE:
        import_module(module)
    CoordinatorClient("http://localhost").close()
    Celery("nothing", set_as_current=False).finalize()


def main(life: Callable[[], int] = run_worker) -> int:
    """What this module is as a program: one worker, or with `--nursery` the process that forks them."""
    return live(life, load, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
