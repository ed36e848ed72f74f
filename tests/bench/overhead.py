"""`run_overhead`: what a run costs beyond a bare Selenium script that opens the same page."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agents import upkeep
from agents.attempt import AttemptOutcome, run_attempt
from agents.browsers.chrome import ChromeDriver
from agents.coordinator import CoordinatorClient
from agents.delivery import Delivery
from agents.layout import DataLayout
from agents.model_cache import ModelCache
from agents.spool import Spool
from orchestrator.blobs import sha256_of
from orchestrator.contract.attempt import AttemptReport, AttemptSpec, PageBuild, PageBuildFile
from orchestrator.contract.catalog import Variant
from tests.bench.bare import grid, open_bare, with_driver
from tests.bench.lab import DEVICE, Lab, MeasureError
from tests.bench.pairing import Patience, Round, interleave, median, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut
from tests.integration.agents_host.lab import Coordinator
from tests.workbench import PATIENCE as PAGE_PATIENCE
from tests.workbench import Workbench, built

VARIANT: Final = "word-sum-classifier.fp32"
"""The smallest there is, by the engine that starts fastest: the page's own work is in both sides all the same."""
PATIENCE: Final = Patience(least=12, most=24, seconds=90.0)
_CACHE_BYTES: Final = 2**40
_TOKEN: Final = "bench"


@dataclass(frozen=True)
class Overhead:
    """A whole run, a bare script and the script through Selenium Grid, in turn."""

    heavy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return ("run_overhead/desktop",)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        workbench, variant = lab.workbench, built(VARIANT)
        driver = workbench.devices[DEVICE].browser(workbench.devices[DEVICE].registration.facts.browsers[0].id)
        if not isinstance(driver, ChromeDriver):
            raise MeasureError("the device has no Chrome of this host")
        with ExitStack() as stack:
            worker = stack.enter_context(delivering(workbench, variant))
            sides: dict[str, Callable[[], float]] = {
                "run": worker.seconds,
                "bare": lambda: open_bare(workbench.server, worker.spec(), worker.served, driver, with_driver(driver)),
            }
            try:
                through_grid = stack.enter_context(grid(driver))
                sides["grid"] = lambda: open_bare(workbench.server, worker.spec(), worker.served, driver, through_grid)
            except MeasureError as error:
                lab.say(f"left out: Selenium Grid: {error}")
            for once in sides.values():
                once()  # The first run fetches the pages and watches the idle browser; the first of Grid is slow too.
            worker.phases_ms.clear()

            def report(number: int, one: Round) -> None:
                speeds = ", ".join(f"{side} {seconds:.3f} s" for side, seconds in one.items())
                lab.say(f"run_overhead: round {number}: {speeds}")

            rounds = interleave(sides, PATIENCE if lab.patience == Patience() else lab.patience, report)
            note = f"{variant.id} on {variant.backends[0]}; median phases in ms: {worker.phases}"
        (name,) = wanted
        bare = median([one["bare"] for one in rounds])
        for side in list(sides):
            if side == "bare":
                continue
            added = [one[side] - one["bare"] for one in rounds]
            yield Measurement(
                name=name if side == "run" else f"{name}/{side}",
                value=median(added),
                unit="s",
                baseline=f"a bare Selenium script: {bare:.3g} s",
                target="≤ 0.1 s" if side == "run" else None,
                n=len(rounds),
                spread=value_spread(added),
                note=note if side == "run" else "Selenium Grid 4 on the same machine",
            )


class Worker:
    """What a device's worker does with a message, from its arrival until the device is free."""

    def __init__(self, workbench: Workbench, variant: Variant, delivery: Delivery, build: PageBuild) -> None:
        self._workbench = workbench
        self._variant = variant
        self._delivery = delivery
        self._build = build
        self.phases_ms: list[dict[str, float]] = []
        self.reports: list[AttemptReport] = []
        self.served: dict[str, Any] = {}
        """The files of the last run, by the names of `PageServer.open_attempt`."""

    def spec(self) -> AttemptSpec:
        variant = self._variant
        return self._workbench.spec(variant, variant.backends[0], DEVICE, page_build=self._build.id)

    def seconds(self) -> float:
        payload = self.spec().model_dump(mode="json")
        began = time.monotonic()
        self._delivery.handle(payload)
        whole = time.monotonic() - began
        report = self.reports[-1]
        if report.run_id != payload["run_id"] or report.fault is not None:
            raise MeasureError(f"the run failed: {report.fault}")
        phases = {str(phase): ms for phase, ms in report.phases_ms.items()}
        own = (report.finished_at - report.started_at).total_seconds() * 1000
        phases["page"] = own - sum(phases.values())
        self.phases_ms.append({**phases, "around": whole * 1000 - own})
        return whole

    @property
    def phases(self) -> str:
        return ", ".join(f"{name} {median([one[name] for one in self.phases_ms]):.0f}" for name in self.phases_ms[0])


@contextmanager
def delivering(workbench: Workbench, variant: Variant) -> Iterator[Worker]:
    """A worker with all its parts but the broker, and a coordinator on loopback that answers it over HTTP."""
    folder = workbench.scratch.parent / "overhead"
    files = {sha256_of(path): path for path in workbench.page_files.values()}
    files |= {file.sha256: workbench.files_of(variant)[file.path] for file in variant.files}
    coordinator = Coordinator(broker_url="")
    coordinator.token = _TOKEN
    coordinator.build = _page_build(workbench)
    client = _Client(coordinator.url, files)
    device = workbench.devices[DEVICE]

    def run(spec: AttemptSpec, **options: Any) -> AttemptOutcome:
        outcome = run_attempt(spec, **options)
        worker.reports.append(outcome.report)
        worker.served = {name: options[name] for name in ("page_files", "media_types", "model_files")}
        return outcome

    care = upkeep.Upkeep(device, DataLayout(folder), lambda _verdict, _health: None, upkeep.Patience())
    delivery = Delivery(
        coordinator=client,
        cache=ModelCache(folder / "cache", cap_bytes=_CACHE_BYTES),
        spool=Spool(folder / "spool"),
        device=device,
        page_server=workbench.server,
        run=run,
        scratch=folder / "scratch",
        hardware=None,
        lease_seconds=PAGE_PATIENCE.whole,
        on_begin=lambda _attempt, _at: None,
        take=care.in_use,
        doubt=care.doubt,
        on_end=lambda _ending: None,
    )
    worker = Worker(workbench, variant, delivery, coordinator.build)
    try:
        yield worker
    finally:
        client.close()
        coordinator.close()


class _Client(CoordinatorClient):
    """Files come from this disk: how fast they are fetched once is no part of a run."""

    def __init__(self, url: str, files: Mapping[str, Path]) -> None:
        super().__init__(url, token=_TOKEN)
        self._files = files

    @contextmanager
    def blob(self, sha256: str, *, offset: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        with self._files[sha256].open("rb") as stream:
            stream.seek(offset)
            yield offset, iter(lambda: stream.read(2**20), b"")


def _page_build(workbench: Workbench) -> PageBuild:
    media_types = workbench.media_types
    files = [
        PageBuildFile(path=path, sha256=sha256_of(file), bytes=file.stat().st_size, media_type=media_types[path])
        for path, file in sorted(workbench.page_files.items())
    ]
    return PageBuild(id=hashlib.sha256(repr(files).encode()).hexdigest(), files=files)


def trials(variants: dict[str, Variant]) -> tuple[list[Overhead], list[LeftOut]]:
    """The one trial, where the catalog has its variant."""
    if VARIANT in variants:
        return [Overhead()], []
    return [], [LeftOut("run_overhead/desktop", f"the catalog has no variant {VARIANT}")]
