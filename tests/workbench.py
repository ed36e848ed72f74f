"""Runs variants in a real browser without a coordinator: the pages as they are built, an agent's whole attempt.

Used by the acceptance tests of runtimes and faults, and by the benchmarks.
"""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agents.attempt import AttemptOutcome, run_attempt
from agents.attempt_page import AttemptPage
from agents.compressed_files import SUFFIX, CompressedFiles, loaded_with
from agents.devices.declared import discover_devices
from agents.devices.protocol import Device
from agents.file_lock import FileLock
from agents.page_server import PageServer
from orchestrator.blobs import BlobStore
from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import Criteria, Timeouts, Workload, Workloads
from orchestrator.contract.page import GenerationSample, PageReport, PageSpec
from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.judgement import Judgement, judge
from orchestrator.models.build import build_variants
from orchestrator.models.catalog import load_catalog
from orchestrator.pages import PACKAGED_BUILD, media_type

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "test-models"
"""Built models outlive a session: building is tested elsewhere."""

DEVICES = """
devices:
  - name: desk
    chrome_flags: ["--enable-unsafe-webgpu"]
  - name: plain desk
"""
SHORT = {
    "text-generation": {"prompt_tokens": 16, "generated_tokens": 8, "warmups": 1, "repetitions": 2},
    "text-classification": {"length": 16, "warmups": 1, "repetitions": 3},
    "feature-extraction": {"length": 16, "warmups": 1, "repetitions": 3},
    "fill-mask": {"length": 16, "warmups": 1, "repetitions": 3},
}
PATIENCE = Timeouts(whole=300, silence=120)


def build(*variants: str) -> None:
    """Those that are not in the cache yet; packages may have to be downloaded for them."""
    for variant in variants:
        # Another process of the tests may be about to build the same.
        with FileLock(CACHE / "locks" / variant).held():
            build_variants([variant], CACHE, report=lambda _progress: None)


def built(variant: str) -> Variant:
    """A variant of the catalog with its files, built if need be."""
    build(variant)
    return load_catalog(CACHE).variants[variant]


def workload_of(variant: Variant, **changes: Any) -> Workload:
    """The short workload of the variant's task, with changes."""
    short = {task: dict(said) for task, said in SHORT.items()}
    if variant.task in short:
        short[variant.task].update(changes)
    return Workloads.model_validate(short).of(variant.task)


@dataclass(frozen=True)
class Tried:
    """What came of one attempt."""

    outcome: AttemptOutcome
    judgement: Judgement

    @property
    def report(self) -> AttemptReport:
        return self.outcome.report

    @property
    def page(self) -> PageReport:
        """The page's own report. Raises AssertionError, with the fault, where it never came."""
        assert self.report.page is not None, self.report.fault
        return self.report.page

    @property
    def completed(self) -> PageReport:
        """The report of a page that has done all of its work. Raises AssertionError, with what went wrong."""
        assert self.report.fault is None, self.report.fault
        assert self.page.completed, self.page.errors
        return self.page


class Pages(PageServer):
    """A page server that may tell its pages to do without their instruments, which no agent ever does."""

    instruments = True
    on_word: Callable[[AttemptPage], None] | None = None
    """Hears of everything that a page says, before its attempt does."""

    def open_attempt(self, spec: PageSpec, *, on_news: Callable[[], None] = lambda: None, **files: Any) -> AttemptPage:
        def hear() -> None:
            if self.on_word is not None:
                self.on_word(page)
            on_news()

        spec = spec.model_copy(update={"instruments": self.instruments})
        page = super().open_attempt(spec, on_news=hear, **files)
        return page


class Workbench:
    """A page server and the devices of a file, one attempt at a time; its directory goes with it."""

    def __init__(self, directory: Path, devices: str = DEVICES) -> None:
        self._directory = directory
        self._server = Pages()
        self._blobs = BlobStore(CACHE / "blobs")
        self._compressed = CompressedFiles(CACHE / "gzip")
        self._numbers = count(1)
        file = directory / "devices.yaml"
        file.write_text(devices, encoding="utf-8")
        found = discover_devices(file, agent_id="bench", notice=print)
        self.devices: dict[str, Device] = {device.registration.name: device for device in found}
        self.stop = threading.Event()
        self.page_files = {
            path.relative_to(PACKAGED_BUILD).as_posix(): path for path in PACKAGED_BUILD.rglob("*") if path.is_file()
        }

    @property
    def media_types(self) -> dict[str, str]:
        return {path: media_type(file) for path, file in self.page_files.items()}

    @property
    def server(self) -> Pages:
        return self._server

    @property
    def origin(self) -> str:
        return self._server.origin

    @property
    def scratch(self) -> Path:
        return self._directory / "scratch"

    def __enter__(self) -> "Workbench":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def files_of(self, variant: Variant) -> dict[str, Path]:
        """Where the variant's files lie, by their path in the variant."""
        return {file.path: self._blobs.path(file.sha256) for file in variant.files}

    def served_files(self, variant: Variant) -> dict[str, Path]:
        """The page's files, compressed as an agent's cache has them."""
        files = dict(self.page_files)
        for path in loaded_with(self.page_files, variant.runtime, variant.runtime_version):
            file = self.page_files[path]
            sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
            if compressed := self._compressed.of(path, file, sha256, self.stop):
                files[f"{path}{SUFFIX}"] = compressed
        return files

    def spec(
        self,
        variant: Variant,
        backend: Backend,
        device: str = "desk",
        *,
        browser: str | None = None,
        workload: Workload | None = None,
        timeouts: Timeouts = PATIENCE,
        page_build: str = "0" * 64,
    ) -> AttemptSpec:
        """What a coordinator would send for another run."""
        registration = self.devices[device].registration
        return AttemptSpec(
            run_id=f"run-{next(self._numbers)}",
            number=1,
            device_id=registration.id,
            browser=browser or registration.facts.browsers[0].id,
            variant=variant,
            backend=backend,
            workload=workload or workload_of(variant),
            timeouts=timeouts,
            page_build=page_build,
        )

    def run(
        self,
        variant: Variant,
        backend: Backend,
        device: str = "desk",
        *,
        workload: Workload | None = None,
        model_files: Mapping[str, Path] | None = None,
        timeouts: Timeouts = PATIENCE,
        criteria: Criteria | None = None,
        instruments: bool = True,
        browser: str | None = None,
    ) -> Tried:
        """One attempt; `model_files` in place of the variant's own to serve something else under its names.

        Without `instruments` the page keeps no ledger and posts no events: for measuring what they cost.
        `browser` is the device's first one where it is not said.
        """
        self._server.instruments = instruments
        workload = workload or workload_of(variant)
        outcome = self.attempt(
            variant, backend, device, workload=workload, model_files=model_files, timeouts=timeouts, browser=browser
        )
        assert outcome.problems == []
        return Tried(outcome, judge(outcome.report, variant, workload, criteria or Criteria()))

    def attempt(
        self,
        variant: Variant,
        backend: Backend,
        device: str = "desk",
        *,
        workload: Workload | None = None,
        model_files: Mapping[str, Path] | None = None,
        timeouts: Timeouts = PATIENCE,
        browser: str | None = None,
    ) -> AttemptOutcome:
        """The same, without a judgement, and with whatever is left in need of a person."""
        spec = self.spec(variant, backend, device, workload=workload, timeouts=timeouts, browser=browser)
        return run_attempt(
            spec,
            device=self.devices[device],
            page_server=self._server,
            page_files=self.served_files(variant),
            media_types=self.media_types,
            model_files=self.files_of(variant) if model_files is None else model_files,
            scratch=self.scratch,
            stop=self.stop,
        )


def new_workbench(devices: str = DEVICES) -> Workbench:
    """A workbench in a short-named temporary directory, which Chromium's sockets need."""
    return Workbench(Path(tempfile.mkdtemp(prefix="fm-")), devices)


def assert_times_of_chunks(sample: GenerationSample, chunks: int) -> None:
    """Each in its turn, from the first to the last of what was measured."""
    assert len(sample.chunk_ms) == chunks
    assert sample.chunk_ms == sorted(sample.chunk_ms)
    assert sample.chunk_ms[0] == pytest.approx(sample.ttft_ms, abs=0.01)
    assert sample.chunk_ms[-1] - sample.chunk_ms[0] == pytest.approx(sample.decode_ms, abs=0.01)
