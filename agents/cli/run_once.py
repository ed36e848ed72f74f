"""`fitmatrix-agent run-once`: one measurement without a coordinator."""

import hashlib
import mimetypes
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console

import orchestrator
from agents.attempt import AttemptOutcome, run_attempt
from agents.attempt_page import AttemptPage
from agents.cli.frame import (
    EXIT_CODES,
    Chrome,
    Data,
    Devices,
    ExitCode,
    Phones,
    app,
    find_member,
    friendly_errors,
    local_settings,
    looked_at,
)
from agents.cli.maintenance import held, opened_device
from agents.compressed_files import SUFFIX, CompressedFiles, loaded_with
from agents.devices.protocol import Device
from agents.faults import AgentError
from agents.layout import DataLayout
from agents.page_server import PageServer
from agents.upkeep import Closable
from agents.worker_process import remembered_port
from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import Timeouts, Workloads
from orchestrator.contract.page import PageSpec
from orchestrator.contract.quantities import byte_count
from orchestrator.contract.vocabulary import Backend

PAGES: Final = Path(orchestrator.__file__).parent.parent / "webpayloads" / "dist"
"""The pages of this very installation."""
_MEDIA_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_LOOK_SECONDS: Final = 0.1


@app.command(
    name="run-once",
    epilog="Examples: `fitmatrix models build --data DATA distilbert-tiny.q8`, then "
    "`fitmatrix-agent run-once distilbert-tiny.q8 --models DATA` · `fitmatrix-agent run-once distilbert-tiny.q8 "
    "--models DATA --device 2A051FDH --browser webview --backend webgpu`. " + EXIT_CODES,
)
def run_once(
    variant: Annotated[str, typer.Argument(help="Which of the built variants.")],
    models: Annotated[
        Path, typer.Option(help="The data directory that `fitmatrix models build --data` has written.", file_okay=False)
    ],
    device: Annotated[str | None, typer.Option(help="Its id, serial number or name; by default the first.")] = None,
    browser: Annotated[str | None, typer.Option(help="Such as chrome, chrome-beta or webview; else the first.")] = None,
    backend: Annotated[Backend | None, typer.Option(help="By default wasm where the variant has it.")] = None,
    whole: Annotated[float, typer.Option(help="How long it may take, in seconds.", min=1)] = 600,
    data: Data = None,
    devices: Devices = None,
    chrome: Chrome = None,
    phones: Phones = None,
) -> None:
    """Measure one variant on one device, without a coordinator: the first thing to try on a new device."""
    with friendly_errors():
        settings = local_settings(data=data, devices=devices, chrome=chrome, phones=phones)
        built = read_variant(models, variant)
        with looked_at(settings, []) as fleet:
            member = find_member(fleet, device) if device else next(iter(fleet.roll().members), None)
            if member is None:
                raise AgentError("this host has no device")
            registration = member.registration
            browsers = [one.id for one in registration.facts.browsers]
            if not browsers:
                raise AgentError(f"{registration.id} has no browser to measure in: see `fitmatrix-agent doctor`")
            if browser is not None and browser not in browsers:
                raise AgentError(f"{registration.id} has no browser {browser}: it has {', '.join(browsers)}")
            if backend is not None and backend not in built.backends:
                raise AgentError(f"{built.id} does not run on {backend}: it runs on {', '.join(built.backends)}")
            spec = AttemptSpec(
                run_id=f"once-{datetime.now(UTC):%Y%m%d%H%M%S}",
                number=1,
                device_id=registration.id,
                browser=browser or browsers[0],
                variant=built,
                backend=backend or (Backend.WASM if Backend.WASM in built.backends else built.backends[0]),
                workload=Workloads().of(built.task),
                timeouts=Timeouts(whole=whole, silence=whole),
                page_build="0" * 64,
            )
            Console(stderr=True).print(f"{built.id} on {spec.backend}, {registration.id} in {spec.browser}")
            layout = DataLayout(settings.data)
            with held(settings, member), _ended(opened_device(fleet, member)) as opened:
                outcome = _measure(
                    spec,
                    device=opened,
                    page_server=_LoudPages(port=remembered_port(layout.page_port(registration.id))),
                    cache=layout.cache,
                    model_files=_model_files(models, built),
                    scratch=layout.scratch(registration.id),
                )
        for line in told(outcome.report):
            typer.echo(line)
        for problem in outcome.problems:
            typer.echo(f"left behind: {problem}", err=True)
        if outcome.report.fault is not None or outcome.problems:
            raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _ended(device: Device) -> Iterator[Device]:
    """What the device keeps running for its next attempt is ended with the block."""
    try:
        yield device
    finally:
        if isinstance(device, Closable):
            device.close()


class _LoudPages(PageServer):
    """Says each phase of its pages as it begins."""

    def open_attempt(self, spec: PageSpec, **files: Any) -> AttemptPage:
        news = files.pop("on_news")
        said = 0

        def say() -> None:
            nonlocal said
            with suppress(NameError):
                events = page.events
                for received in events[said:]:
                    event = received.event
                    detail = "" if event.detail == event.phase else f": {event.detail}"
                    typer.echo(f"  {event.phase}{detail}", err=True)
                said = len(events)
            news()

        page = super().open_attempt(spec, on_news=say, **files)
        return page


def _measure(spec: AttemptSpec, *, page_server: PageServer, cache: Path, **rest: Any) -> AttemptOutcome:
    pages = {path.relative_to(PAGES).as_posix(): path for path in PAGES.rglob("*") if path.is_file()}
    if "index.html" not in pages:
        raise AgentError("the model pages are not built: run `make pages`")
    stop = threading.Event()
    compressed = CompressedFiles(cache / "gzip")
    packed = {}
    for path in loaded_with(pages, spec.variant.runtime, spec.variant.runtime_version):
        with pages[path].open("rb") as file:
            packed[f"{path}{SUFFIX}"] = compressed.of(
                path, pages[path], hashlib.file_digest(file, "sha256").hexdigest(), stop
            )
    page_server.start()
    try:
        return run_attempt(
            spec,
            page_server=page_server,
            page_files=pages | {path: file for path, file in packed.items() if file is not None},
            media_types={path: _media_type(file) for path, file in pages.items()},
            stop=stop,
            **rest,
        )
    finally:
        page_server.stop()


def read_variant(models: Path, name: str) -> Variant:
    """A built variant; raises `AgentError` with what to do."""
    there = sorted(path.stem for path in (models / "variants").glob("*.json"))
    if name not in there:
        built = f"built there are {', '.join(there)}" if there else "nothing is built there"
        raise AgentError(
            f"no variant {name!r} in {models}, {built}: run `fitmatrix models build --data {models} {name}`"
        )
    try:
        return Variant.model_validate_json((models / "variants" / f"{name}.json").read_bytes())
    except ValidationError as error:
        raise AgentError(f"{name} in {models} was built by another version: build it again") from error


def _model_files(models: Path, variant: Variant) -> dict[str, Path]:
    files = {file.path: models / "blobs" / file.sha256[:2] / file.sha256 for file in variant.files}
    for path in files.values():
        if not path.is_file():
            raise AgentError(f"a file of {variant.id} is missing in {models}: build it again")
    return files


def _media_type(path: Path) -> str:
    return _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _seconds(what: str, samples_ms: list[float]) -> str:
    return f"{what} in {statistics.median(samples_ms) / 1000:.3g} s"


def told(report: AttemptReport) -> list[str]:
    """What came out, in plain words; figures are medians, and nothing is judged."""
    lines = []
    page = report.page
    if page is not None:
        samples = page.generation_samples
        decode = [
            (one.tokens_out - one.first_chunk_tokens) * 1000 / one.decode_ms for one in samples if one.decode_ms > 0
        ]
        lines += [f"decode {statistics.median(decode):.2f} tok/s"] if decode else []
        lines += [_seconds("first token", [one.ttft_ms for one in samples])] if samples else []
        latencies = [one.latency_ms for one in page.inference_samples]
        lines += [_seconds("one pass", latencies)] if latencies else []
    if report.memory is not None:
        lines.append(f"memory {byte_count(report.memory.above_baseline_bytes)} above the idle browser")
    if report.download is not None:
        lines.append(f"downloaded {byte_count(report.download.page_server_bytes)}")
    fault = report.fault
    if fault is None:
        lines.insert(0, "it ran")
    else:
        lines.insert(0, f"it failed in {fault.phase}: {fault.code} ({fault.origin}): {fault.detail}")
    return lines
