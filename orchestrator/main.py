"""The coordinator's wiring."""

import fcntl
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import IO, Final

import uvicorn
from fastapi import Depends, FastAPI

from orchestrator.api.access import require_page, require_page_reader
from orchestrator.api.app import create_app
from orchestrator.api.rates import RateLimits
from orchestrator.api.state import ApiState
from orchestrator.blob_answers import BlobAnswers
from orchestrator.blobs import BlobStore
from orchestrator.browser_desk import BrowserDesk
from orchestrator.browser_door import BrowserDoor
from orchestrator.contract.catalog import Variant
from orchestrator.contract.vocabulary import Role
from orchestrator.contract.wire import IDLE_CONNECTION_SECONDS
from orchestrator.dispatch.bell import Bell
from orchestrator.dispatch.broker import BrokerError, EmbeddedBroker
from orchestrator.dispatch.broker_access import BrokerUsers
from orchestrator.dispatch.courier import CeleryCourier
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.outbox import Outbox
from orchestrator.dispatch.webhook_poster import WebhookPoster
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.notices import DeliveryPlan
from orchestrator.domain.probing import PROBE
from orchestrator.domain.records import Caller
from orchestrator.exposure import check_certificate, check_tokens, exposures
from orchestrator.lab_file import LabFile, LabFileError
from orchestrator.large_jobs import SubmissionDesk, SubmissionProcess
from orchestrator.models.catalog import CatalogOnDisk
from orchestrator.models.definition import CatalogError, size_class
from orchestrator.object_storage import ObjectStorage, StorageError
from orchestrator.pages import PACKAGED_BUILD, PageBuilds, PagesMissingError
from orchestrator.services.agents import AgentRegistry, AgentTimes
from orchestrator.services.attempts import AttemptLedger
from orchestrator.services.audiences import Audiences
from orchestrator.services.authentication import Authentication
from orchestrator.services.cancelling import Cancelling
from orchestrator.services.comparing import Comparing
from orchestrator.services.custody import Custody
from orchestrator.services.dispatching import Dispatching
from orchestrator.services.enrolment import Enrolment
from orchestrator.services.events import EventFeed, EventMemory, forget_events
from orchestrator.services.expiry import Expiry
from orchestrator.services.exporting import Exporting
from orchestrator.services.health_runs import HealthPlan, HealthRuns
from orchestrator.services.histories import Histories, forget_health
from orchestrator.services.importing import Imports
from orchestrator.services.matrix import MatrixReading
from orchestrator.services.observing import Observing
from orchestrator.services.reading import Reading
from orchestrator.services.submission import Submission
from orchestrator.services.users import Users
from orchestrator.services.waiting import Waiting
from orchestrator.services.webhooks import Webhooks
from orchestrator.settings import CoordinatorSettings, StartupError
from orchestrator.signing import SigningError, SigningKey
from orchestrator.store.database import Database, DatabaseError
from orchestrator.store.events import Committed
from orchestrator.submission_process import Place
from orchestrator.telemetry.counting import CountedPoster, Telemetry
from orchestrator.telemetry.exposition import Exposition
from orchestrator.telemetry.lab import LabCollector
from orchestrator.telemetry.requests import RequestMeter
from orchestrator.web.audience_pages import create_audience_router
from orchestrator.web.compare_pages import create_compare_router
from orchestrator.web.device_pages import create_device_router
from orchestrator.web.job_pages import create_job_router
from orchestrator.web.lab_reads import LabReads
from orchestrator.web.login import create_login_router, install_login
from orchestrator.web.matrix_pages import create_matrix_router
from orchestrator.web.reads import ServiceMatrixReads
from orchestrator.web.router import create_static_router, install_missing_page
from orchestrator.web.run_pages import create_run_router

log = logging.getLogger("fitmatrix")

_BACKLOG: Final = 4096
"""Connections that wait to be taken: all of a large lab's agents come at once when the coordinator is back."""
_KEEP_ALIVE_SECONDS: Final = round(3 * IDLE_CONNECTION_SECONDS)
_COLLECT_AFTER: Final = (10_000, 20, 20)
"""Objects, and rounds of the generation before; Python's own 700 are many rounds for the objects of one large job."""
_TURN_SECONDS: Final = 0.0002
"""How long a thread may go on while others wait. A request takes a dozen turns: by Python's own 5 ms it would wait for
a large job's expansion a dozen times as long as it works."""


def serve(settings: CoordinatorSettings) -> None:
    """Runs the coordinator until SIGINT or SIGTERM. Raises StartupError with one sentence when it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    check_certificate(settings)
    with ExitStack() as stack:
        _allow_many_connections()
        listener = _listen(settings)
        stack.callback(listener.close)
        stack.enter_context(_own(settings.data))
        app = assemble(settings, stack)
        _keep_pauses_short()
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        log.info("listening on %s://%s:%s, data in %s", settings.scheme, host, port, settings.data)
        # uvicorn raises the signal that stopped it once more when it is done; ours is the clean-up that follows.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            backlog=_BACKLOG,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
        _Server(config, app.state.fitmatrix.feed).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends the event streams before it waits for what is under way: they never end by themselves."""

    def __init__(self, config: uvicorn.Config, feed: EventFeed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.end_streams()
        await super().shutdown(sockets)


def assemble(settings: CoordinatorSettings, stack: ExitStack) -> FastAPI:
    """The whole coordinator but for its socket; `stack` stops what was started."""
    blobs = BlobStore(settings.data / "blobs")
    page_builds = PageBuilds(settings.data / "page-builds", blobs)
    catalog = CatalogOnDisk(settings.data)
    artifacts = _artifact_store(settings.blobs_url)
    try:
        rates = RateLimits(settings.write_limit, settings.failure_limit)
    except ValueError as error:
        raise StartupError(
            "FITMATRIX_WRITE_LIMIT or FITMATRIX_FAILURE_LIMIT cannot be read: write them like 600/minute"
        ) from error
    try:
        lab_plan = LabFile(settings.lab) if settings.lab else LabPlan
        database_url = settings.database_url or f"sqlite:///{settings.data / 'fitmatrix.db'}"
        database = Database(database_url)
        stack.callback(database.close)
        database.migrate()
        check_tokens(settings, _administrators(database))
        page_build = page_builds.add(PACKAGED_BUILD)
        signing_key = SigningKey.load(settings.data / "keys")
        _check_health_variant(settings.health_variant, catalog.variants())
        broker_url = settings.broker_url
        if broker_url is None:
            broker = EmbeddedBroker(settings.data / "broker")
            broker.start()
            stack.callback(broker.stop)
            broker_url = broker.url
    except (DatabaseError, PagesMissingError, CatalogError, BrokerError, LabFileError, SigningError) as error:
        raise StartupError(str(error)) from error
    except OSError as error:
        raise StartupError(f"the data directory {settings.data} cannot be used: {error}") from error

    agents_broker_url = settings.agents_broker_url or broker_url
    for line in exposures(settings, agents_broker_url):
        log.warning("%s", line)
    courier = CeleryCourier(broker_url, ca=settings.ca)
    stack.callback(courier.close)
    times = AgentTimes(timedelta(seconds=settings.heartbeat_seconds), timedelta(seconds=settings.lease_seconds))
    product_version = version("fitmatrix")
    telemetry = Telemetry(product_version)
    wake = _Relay()
    bootstrap_token = settings.token.get_secret_value() if settings.token else None
    authentication = Authentication(database, _now, bootstrap_token, is_loopback=settings.is_loopback)
    stack.callback(authentication.close)
    broker_users = BrokerUsers(database, broker_url, agents_broker_url, ca=settings.ca)
    broker_users.start()
    stack.callback(broker_users.stop)
    plan = HealthPlan(timedelta(hours=settings.health_hours), settings.health_variant)
    ledger = AttemptLedger(database, _now, wake, telemetry, times, plan.interval, lab_plan)
    dispatching = Dispatching(database, courier, _now, telemetry, times, page_build.id, lab_plan)
    health_runs = HealthRuns(database, catalog, _now, times, plan)
    custody = Custody(database, _now, wake)
    chores = [custody.end_due, health_runs.queue_due, Expiry(database, _now).expire_due]
    bell = Bell(broker_url, ca=settings.ca)
    dispatcher = Dispatcher(dispatching, ledger, chores, times, bell.ring)
    wake.target = dispatcher
    bell.start(dispatcher.hear)
    stack.callback(bell.stop)
    reading = Reading(database, catalog, _now, times, lab_plan)
    waiting = Waiting(database, _now, times, lab_plan)

    feed = EventFeed(database)
    webhooks = Webhooks(database, _now, CountedPoster(WebhookPoster(product_version), telemetry), DeliveryPlan())

    def forget() -> None:
        forget_events(database, _now, EventMemory())
        forget_health(database, _now)

    outbox = Outbox(webhooks, forget)

    matrix = MatrixReading(database, _now, lab_plan)
    observing = Observing(database, reading, _now)
    exposition = Exposition(telemetry.registry, matrix)
    telemetry.registry.register(LabCollector(observing.figures, lambda: feed.readers, settings.data))

    def committed(changes: Committed) -> None:
        for run in changes.finished:
            telemetry.run_finished(run)
        if changes.events:
            feed.notify()
        if changes.deliveries:
            outbox.notify()

    database.listen(committed)

    def tell_last_runs() -> None:
        for run in observing.last_runs(matrix.cells()):
            telemetry.run_finished(run)

    def dispatcher_runs() -> None:
        if not dispatcher.is_alive:
            raise RuntimeError("the dispatcher has stopped")

    registry = AgentRegistry(database, _now, wake, telemetry, agents_broker_url, times, plan.interval, product_version)

    def access_holds(caller: Caller) -> bool:
        if authentication.is_stale:
            authentication.freshen()
        return authentication.is_still_let_in(caller)

    submission = Submission(database, catalog, _now, wake, lab_plan)
    submission_process = SubmissionProcess(Place(database_url, settings.data, settings.lab), database)
    stack.callback(submission_process.stop)

    state = ApiState(
        submission=SubmissionDesk(submission, submission_process, database, catalog, wake),
        cancelling=Cancelling(database, _now, wake),
        custody=custody,
        waiting=waiting,
        reading=reading,
        matrix=matrix,
        comparing=Comparing(matrix),
        exporting=Exporting(database, matrix, _now, product_version, settings.public_url),
        signing_key=signing_key,
        agents=registry,
        ledger=ledger,
        blobs=BlobAnswers(blobs, artifacts),
        artifacts=artifacts or blobs,
        page_builds=page_builds,
        observing=observing,
        metrics=exposition.answer,
        checks={
            "database": database.check,
            "broker": courier.check,
            "dispatcher": dispatcher_runs,
            "matrix": exposition.check,
        }
        | ({"artifacts": artifacts.check} if artifacts else {}),
        feed=feed,
        webhooks=webhooks,
        audiences=Audiences(database, matrix, _now, lab_plan),
        imports=Imports(database, _now, size_class),
        access_holds=access_holds,
        authentication=authentication,
        users=Users(database, _now, authentication),
        enrolment=Enrolment(database, _now, wake, registry, authentication, broker_users),
        rates=rates,
    )
    app = create_app(state, product_version, settings.hosts, partial(RequestMeter, telemetry=telemetry))
    app.include_router(create_static_router())
    app.include_router(create_login_router(BrowserDoor(state)))
    desk = BrowserDesk(state)
    reads = LabReads(reading, waiting, Histories(database, _now, lab_plan), state.blobs)
    matrix_reads = ServiceMatrixReads(state.matrix)
    for router in (
        create_matrix_router(matrix_reads),
        create_compare_router(state.comparing.compare, matrix_reads.values),
        create_job_router(reads, state.cancelling, desk),
        create_run_router(reads, desk),
        create_device_router(reads, state.custody, desk),
    ):
        app.include_router(router, dependencies=[Depends(require_page_reader)])
    app.include_router(create_audience_router(state.audiences, require_page_reader, require_page(Role.SUBMITTER)))
    install_login(app)
    install_missing_page(app)
    for thread in (feed, outbox, dispatcher):
        thread.start()
        stack.callback(thread.stop)
    preparing = Thread(target=exposition.prepare, args=([tell_last_runs],), name="first-scrape", daemon=True)
    preparing.start()
    stack.callback(preparing.join)
    return app


def _artifact_store(url: str | None) -> ObjectStorage | None:
    """The store for artifacts, tried out; None where they stay in the data directory."""
    if url is None:
        return None
    try:
        store = ObjectStorage(url, os.environ.get("AWS_ENDPOINT_URL"))
        store.check_writable()
    except StorageError as error:
        raise StartupError(f"artifacts cannot be kept: {error}") from error
    return store


def _administrators(database: Database) -> int:
    with database.read() as tx:
        return sum(token.role is Role.ADMIN and token.is_good(_now()) for token in tx.access.tokens())


def _check_health_variant(wanted: str | None, catalog: Mapping[str, Variant]) -> None:
    if wanted is not None and wanted != PROBE.id and wanted not in catalog:
        raise StartupError(
            f"there is no variant {wanted} for health runs: set FITMATRIX_HEALTH_VARIANT to one of "
            f"`fitmatrix models list`, to {PROBE.id}, or leave it out"
        )


class _Relay:
    """Breaks the circle between the services, which wake the dispatcher, and the dispatcher, which calls them."""

    def __init__(self) -> None:
        self.target: Dispatcher | None = None

    def __call__(self, devices: Collection[str] | None = None) -> None:
        if self.target is not None:
            self.target.wake(devices)


def _allow_many_connections() -> None:
    """As many open files as we may have: the limit that a shell begins with is less than a large lab's agents."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _keep_pauses_short() -> None:
    """Requests and the dispatcher share one interpreter: what one of them holds it for, all others wait for."""
    gc.collect()
    gc.freeze()  # what was loaded stays: it need not be looked through, a fifth of a second each time
    gc.set_threshold(*_COLLECT_AFTER)
    sys.setswitchinterval(_TURN_SECONDS)


def _listen(settings: CoordinatorSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise StartupError(
            f"port {settings.port} on {settings.host} cannot be used ({error.strerror}): choose another with --port"
        ) from error
    listener.listen(_BACKLOG)
    return listener


def _own(data: Path) -> IO[str]:
    """Makes the data directory ours alone, until the file returned is closed."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / "coordinator.lock").open("w")
    except OSError as error:
        raise StartupError(f"the data directory {data} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StartupError(f"another coordinator uses {data}: stop it, or choose another with --data") from error
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _now() -> datetime:
    return datetime.now(UTC)
