"""A lab whose devices are played: whatever comes is answered at once, so that pages can be typed in seconds."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator.contract.attempt import AttemptSpec, MemoryFigure
from orchestrator.contract.catalog import LabelScore
from orchestrator.contract.device import Browser, DeviceRegistration
from orchestrator.contract.page import GenerationSample, InferenceSample, PageReport, ValidationOutput
from orchestrator.contract.vocabulary import Task
from tests.acceptance.lab import finished
from tests.integration.coordinator.lab import (
    FORCED,
    FORCED_IDS,
    LABELLED,
    HandAgent,
    RunningCoordinator,
    Submitter,
    running_coordinator,
)
from tests.integration.coordinator.playing import playing
from tests.integration.docs.reader import ROOT
from tests.unit.domain.builders import GIB, adapter, device, page_report, probe_result

DESK: Final = "lab-1.this-machine"
PHONE: Final = "lab.pixel"
OLD_VERSION: Final = "156.0.1"
NEW_VERSION: Final = "157.0.1"
_GENERATED: Final = [GenerationSample(tokens_in=64, tokens_out=32, ttft_ms=500, decode_ms=1250)] * 5
_INFERRED: Final = [InferenceSample(latency_ms=40, batch=1)] * 20
_SAID: Final = ValidationOutput(
    texts=["hello hello", "hello hello"],
    forced_ids=FORCED_IDS,
    labels=[[LabelScore(label="POSITIVE", score=0.97), LabelScore(label="NEGATIVE", score=0.03)]],
)
_MEMORY: Final = MemoryFigure(method="PSS", baseline_bytes=100_000_000, peak_bytes=500_000_000, samples=9)


def page_of(spec: AttemptSpec) -> PageReport:
    if spec.variant.id == "probe":
        environment = page_report().environment.model_copy(update={"adapter": adapter(), "device_memory_gib": 8})
        return page_report(generation_samples=[], validation=None, environment=environment, probe=probe_result())
    if spec.variant.task is Task.TEXT_GENERATION:
        return page_report(generation_samples=_GENERATED, validation=_SAID)
    return page_report(generation_samples=[], inference_samples=_INFERRED, validation=_SAID)


def played_devices(version: str) -> list[DeviceRegistration]:
    """A desktop, and a phone with little memory that has Chrome and a WebView."""
    desk = device(DESK, name="this machine", browsers=[Browser(name="chromium", version=version)])
    browsers = [Browser(name=name, version=version) for name in ("chrome", "webview")]
    phone = device(PHONE, name="pixel", os="android", os_api_level=34, device_class="phone", browsers=browsers)
    return [desk, phone.model_copy(update={"facts": phone.facts.model_copy(update={"ram_bytes": 4 * GIB})})]


@contextmanager
def answering(coordinator: RunningCoordinator, devices: Sequence[DeviceRegistration]) -> Iterator[None]:
    """The devices are there, each an agent's own, until the block ends."""
    browsers = {(one.id, browser.id): browser for one in devices for browser in one.facts.browsers}

    def told(spec: AttemptSpec) -> dict[str, Any]:
        return {"page": page_of(spec), "browser": browsers[spec.device_id, spec.browser], "memory": _MEMORY}

    with ExitStack() as stack:
        agents = [
            stack.enter_context(closing(HandAgent(coordinator, one, agent_id=one.id.replace(".", "-"))))
            for one in devices
        ]
        for agent in agents:
            agent.enrol().raise_for_status()
        with playing(agents, told):
            yield


@dataclass(frozen=True)
class PlayedLab:
    coordinator: RunningCoordinator
    parted_at: str
    """The moment before which one version of the browsers was there, and after which the other."""


@contextmanager
def played_lab(directory: Path) -> Iterator[PlayedLab]:
    """With the device classes that the pages speak of, and results of two versions of the browsers."""
    lab = yaml.safe_load((ROOT / "deploy/lab.example.yaml").read_text())
    # Its maintenance would come over whoever runs the tests on a Sunday night.
    (directory / "lab.yaml").write_text(yaml.safe_dump({"classes": lab["classes"]}))
    with (
        running_coordinator(directory / "data", lab=str(directory / "lab.yaml")) as coordinator,
        closing(Submitter(coordinator, "true")) as qa,
    ):
        with answering(coordinator, played_devices(OLD_VERSION)):
            _measure(qa, repeats=2)
        parted_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        with answering(coordinator, played_devices(NEW_VERSION)):
            _measure(qa, repeats="auto", labels={"release": "2026-11"})
            yield PlayedLab(coordinator, parted_at)


def _measure(qa: Submitter, **job: Any) -> None:
    finished(qa, qa.submit(name="nightly", variants=[FORCED, LABELLED], backends=["wasm", "webgpu"], **job))
