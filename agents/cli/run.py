"""`fitmatrix-agent run`: the agent itself."""

import logging
import signal
import threading
from typing import Annotated

import typer

from agents.cli.frame import (
    EXIT_CODES,
    CaFile,
    Chrome,
    Data,
    Devices,
    Phones,
    app,
    friendly_errors,
    log_to_stderr,
    read_settings,
)
from agents.faults import AgentError
from agents.fleet import HostFleet
from agents.identity import agent_id
from agents.layout import DataLayout
from agents.settings import AgentSettings
from agents.supervisor import Supervisor
from agents.telemetry import AgentMetrics


@app.command(
    epilog="Examples: `fitmatrix-agent run --coordinator http://lab:8600` · "
    "`fitmatrix-agent run --coordinator http://lab:8600 --devices devices.yaml --metrics-port 9300`. " + EXIT_CODES
)
def run(
    coordinator: Annotated[
        str | None, typer.Option(help="Where the coordinator answers, such as http://lab:8600.")
    ] = None,
    data: Data = None,
    devices: Devices = None,
    chrome: Chrome = None,
    phones: Phones = None,
    ca: CaFile = None,
    cache_gib: Annotated[
        float | None, typer.Option(help="How much disk cached models may take; 50 by default.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve Prometheus metrics on this port; 0, the default, is off."),
    ] = None,
    metrics_host: Annotated[
        str | None,
        typer.Option(help="Serve them on this address of the host, for a Prometheus elsewhere; 127.0.0.1 by default."),
    ] = None,
) -> None:
    """Register this host's devices and run what the coordinator sends, until Ctrl-C.

    Phones may be plugged in and out meanwhile. Each option can be given as FITMATRIX_AGENT_<OPTION> instead.
    FITMATRIX_AGENT_TOKEN is a code of `fitmatrix agents code`, where the coordinator asks for one: it is needed once,
    then the agent has a token of its own in its data directory. It is no option, since command lines are public.
    """
    with friendly_errors():
        settings = read_settings(
            coordinator=coordinator,
            data=data,
            devices=devices,
            chrome=chrome,
            phones=phones,
            ca=ca,
            cache_gib=cache_gib,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
        )
        log_to_stderr()
        lock = DataLayout(settings.data).supervisor_lock()
        if not lock.try_acquire():
            raise AgentError(f"another agent is already running with the data directory {settings.data}")
        try:
            _supervise(settings)
        finally:
            lock.release()


def _supervise(settings: AgentSettings) -> None:
    log = logging.getLogger(__name__)
    stop = threading.Event()
    metrics = AgentMetrics()
    if settings.metrics_port:
        metrics.serve(settings.metrics_port, settings.metrics_host)
        log.info("metrics at http://%s/metrics", settings.metrics_address)
    identity = agent_id(DataLayout(settings.data).agent_id)
    supervisor = Supervisor(settings, agent_id=identity, fleet=HostFleet(settings, identity), metrics=metrics)

    def end(_signal: int, _frame: object) -> None:
        if not stop.is_set():
            log.info("stopping: running attempts are ended and cleaned up")
        stop.set()
        supervisor.wake()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    supervisor.run(stop)
    log.info("stopped")
