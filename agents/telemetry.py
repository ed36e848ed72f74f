"""Every metric of the agent, declared once."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from agents.faults import AgentError


class MetricsPortError(AgentError):
    """The metrics cannot be served."""


class AgentMetrics:
    """Names are `fitmatrix_agent_<noun>_<unit>`; labels are device ids and outcomes, never runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.attempts = Counter(
            "fitmatrix_agent_attempts",
            "Attempts that ended on this agent, by outcome: completed, dropped or the fault's code.",
            ["device", "outcome"],
            registry=self.registry,
        )
        self.worker_restarts = Counter(
            "fitmatrix_agent_worker_restarts",
            "Unexpected deaths of a device's worker process.",
            ["device"],
            registry=self.registry,
        )
        self.device_up = Gauge(
            "fitmatrix_agent_device_up",
            "Whether the device can take an attempt (1) or not (0).",
            ["device"],
            registry=self.registry,
        )
        self._reports = Gauge(
            "fitmatrix_agent_spool_reports",
            "Reports on disk: waiting to be sent, or rejected by the coordinator.",
            ["state"],
            registry=self.registry,
        )
        self._cache = Gauge(
            "fitmatrix_agent_cache_bytes", "Size of the cached model and page files.", registry=self.registry
        )
        self._free = Gauge(
            "fitmatrix_agent_storage_free_bytes",
            "Free space of the disk that the agent's data is on.",
            registry=self.registry,
        )

    def observe(
        self,
        *,
        waiting: Callable[[], int],
        rejected: Callable[[], int],
        cached: Callable[[], int],
        free: Callable[[], int],
    ) -> None:
        """Reads these from disk at each scrape."""
        self._free.set_function(free)
        self._reports.labels(state="waiting").set_function(waiting)
        self._reports.labels(state="rejected").set_function(rejected)
        self._cache.set_function(cached)

    def serve(self, port: int, host: str = "127.0.0.1") -> None:
        """Until the process ends. Raises MetricsPortError when the address cannot be listened on."""
        try:
            start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise MetricsPortError(f"metrics cannot be served on {host}, port {port}: {error.strerror}") from error
