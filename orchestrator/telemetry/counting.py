"""What is counted as it happens; it begins anew with the coordinator."""

import time
from collections.abc import Mapping
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, Verdict
from orchestrator.domain.notices import PostAnswer
from orchestrator.domain.records import Run
from orchestrator.services.ports import QuarantinedBy
from orchestrator.services.webhooks import Poster
from orchestrator.telemetry.histograms import SpeakingHistogram

WAIT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
ATTEMPT_BUCKETS: Final = (1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_POSTS: Final = ("accepted", "refused", "unanswered")


class Telemetry:
    """Hears from the services, the store and the API."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        Info("fitmatrix_build", "Version of the coordinator.", registry=self.registry).info({"version": version})
        self._wait = SpeakingHistogram(
            "fitmatrix_dispatch_wait_seconds",
            "Time from a run's creation to the lease of one of its attempts.",
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self._attempt_seconds = SpeakingHistogram(
            "fitmatrix_attempt_duration_seconds",
            "Time from the lease of an attempt to its report, or to the end of its lease.",
            buckets=ATTEMPT_BUCKETS,
            registry=self.registry,
        )
        self._attempts = Counter(
            "fitmatrix_attempts_total",
            "Attempts that ended, by fault code (none: the model ran).",
            ["fault", "infrastructure"],
            registry=self.registry,
        )
        self._attempts.labels(fault="none", infrastructure="false")
        for code in FaultCode:
            for infrastructure in ("true", "false"):
                self._attempts.labels(fault=code, infrastructure=infrastructure)
        self._quarantines = Counter(
            "fitmatrix_quarantines_total",
            "Devices taken out of service, by who did it.",
            ["by"],
            registry=self.registry,
        )
        for by in QuarantinedBy:
            self._quarantines.labels(by=by)
        self._posts = Counter(
            "fitmatrix_webhook_posts_total",
            "Notices posted to webhooks, each try of them, by what came back.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in _POSTS:
            self._posts.labels(outcome=outcome)
        self._requests = Counter(
            "fitmatrix_http_requests_total",
            "HTTP requests answered, by the route's template and the status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._request_seconds = SpeakingHistogram(
            "fitmatrix_http_request_duration_seconds",
            "Time from an HTTP request to the beginning of its answer.",
            ["method", "route"],
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._last_run = _LastRuns(self.registry)

    def attempt_dispatched(self, waited_seconds: float, run_id: str) -> None:
        self._wait.observe(waited_seconds, exemplar={"run_id": run_id})

    def attempt_ended(self, fault: Fault | None, seconds: float, run_id: str) -> None:
        code = fault.code if fault else "none"
        infrastructure = "true" if fault and fault.is_infrastructure else "false"
        self._attempts.labels(fault=code, infrastructure=infrastructure).inc(exemplar={"run_id": run_id})
        self._attempt_seconds.observe(seconds, exemplar={"run_id": run_id})

    def device_quarantined(self, by: QuarantinedBy) -> None:
        self._quarantines.labels(by=by).inc()

    def run_finished(self, run: Run) -> None:
        self._last_run.note(run)

    def posted(self, answer: PostAnswer) -> None:
        outcome = "accepted" if answer.accepted else "unanswered" if answer.status is None else "refused"
        self._posts.labels(outcome=outcome).inc()

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method=method, route=route, status=status).inc()
        self._request_seconds.observe(seconds, (method, route))


class CountedPoster:
    """A poster whose posts are counted."""

    def __init__(self, post: Poster, telemetry: Telemetry) -> None:
        self._post = post
        self._telemetry = telemetry

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> PostAnswer:
        answer = await self._post(url, headers, body)
        self._telemetry.posted(answer)
        return answer


class _LastRuns:
    """Of each device, what its newest run came to, and when: a value that nobody dates is taken for today's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(f"fitmatrix_last_run_{name}", meaning, ["device"], registry=registry)

        self._lock = Lock()
        self._newest: dict[tuple[Gauge, str], float] = {}
        self._at = gauge("timestamp_seconds", "When the newest run of a model on a device ended.")
        self._fits = gauge("fits", "1 where the newest run of a model on a device fits, else 0.")
        self._figures = {
            "decode_tokens_per_second": gauge(
                "decode_tokens_per_second", "Decode speed in the newest run of a device that generated text."
            ),
            "peak_memory_bytes": gauge(
                "peak_memory_bytes", "Peak of the browser tree above baseline in the newest run that measured it."
            ),
        }
        self._figures_at = {
            "decode_tokens_per_second": gauge(
                "decode_timestamp_seconds", "When the run of fitmatrix_last_run_decode_tokens_per_second ended."
            ),
            "peak_memory_bytes": gauge(
                "peak_memory_timestamp_seconds", "When the run of fitmatrix_last_run_peak_memory_bytes ended."
            ),
        }

    def note(self, run: Run) -> None:
        """Runs come in any order: those of before the start are read while others end."""
        at = run.finished_at.timestamp() if run.finished_at else time.time()
        with self._lock:
            if self._is_news(self._at, run.device_id, at):
                self._fits.labels(device=run.device_id).set(run.verdict is Verdict.FITS)
            for name, gauge in self._figures.items():
                value = getattr(run.figures, name)
                if value is not None and self._is_news(self._figures_at[name], run.device_id, at):
                    gauge.labels(device=run.device_id).set(value)

    def _is_news(self, dated: Gauge, device: str, at: float) -> bool:
        if self._newest.get((dated, device), 0) > at:
            return False
        self._newest[dated, device] = at
        dated.labels(device=device).set(at)
        return True
