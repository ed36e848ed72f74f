"""What `/metrics` says, read by the parsers of Prometheus' own library."""

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_families
from starlette.types import Message

from orchestrator.contract.fault import Fault
from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, FaultOrigin, Phase
from orchestrator.telemetry.cells import CELL_ID_LENGTH
from orchestrator.telemetry.counting import Telemetry
from orchestrator.telemetry.exposition import Exposition
from orchestrator.telemetry.labels import LONGEST, bounded
from orchestrator.telemetry.requests import NO_ROUTE, RequestMeter
from tests.unit.cli.matrix_samples import cell, figure

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
POISON = '<script>alert("x")</script>\nfitmatrix_evil 1\n\\" é'


def openmetrics_families(text: str) -> Iterable[Metric]:
    found: Iterable[Metric] = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # the library types only the other parser
    return found


class Shelf:
    """Cells that are put there and taken away."""

    def __init__(self, *cells: Cell) -> None:
        self.now: Sequence[Cell] = cells
        self.number = 0
        self.asked = 0

    def put(self, *cells: Cell) -> None:
        self.now, self.number = cells, self.number + 1

    def version(self) -> str:
        return str(self.number)

    def cells(self) -> Sequence[Cell]:
        self.asked += 1
        return self.now


def key(letter: str) -> str:
    return letter * 64


def exposed(shelf: Shelf) -> dict[str, Metric]:
    return families(exposition(shelf))


def exposition(shelf: Shelf, registry: CollectorRegistry | None = None) -> Exposition:
    made = Exposition(registry or CollectorRegistry(), shelf)
    made.prepare()
    return made


def families(made: Exposition) -> dict[str, Metric]:
    said, _ = made.answer(OPENMETRICS)
    return {family.name: family for family in openmetrics_families(said.decode())}


def values(family: Metric) -> dict[str, float]:
    return {sample.labels["cell"][0]: sample.value for sample in family.samples}


def test_a_cell_tells_all_that_it_has() -> None:
    said = exposed(Shelf(cell(key=key("a"), latency_seconds=figure(0.25))))
    assert values(said["fitmatrix_cell_fit_probability"]) == {"a": 0.917}
    assert values(said["fitmatrix_cell_runs"]) == values(said["fitmatrix_cell_successes"]) == {"a": 5}
    assert values(said["fitmatrix_cell_settled"]) == {"a": 1}
    assert values(said["fitmatrix_cell_latency_seconds"]) == {"a": 0.25}
    assert {sample.labels["verdict"]: sample.value for sample in said["fitmatrix_cell_verdict"].samples} == {
        verdict: verdict is CellVerdict.FITS for verdict in CellVerdict
    }
    (info,) = said["fitmatrix_cell_info"].samples
    assert (info.value, info.labels["key"], info.labels["cell"]) == (1, key("a"), key("a")[:CELL_ID_LENGTH])
    (size,) = said["fitmatrix_variant_bytes"].samples
    assert size.value == 137_000_000


def test_what_was_not_measured_is_not_told() -> None:
    assert exposed(Shelf(cell(key=key("a"))))["fitmatrix_cell_latency_seconds"].samples == []


def test_an_imported_cell_is_no_measurement_of_this_lab() -> None:
    said = exposed(Shelf(cell(key=key("a")), cell(key=key("b"), imported_from="somebody")))
    assert set(values(said["fitmatrix_cell_runs"])) == {"a"}
    assert sum(sample.value for sample in said["fitmatrix_cells"].samples) == 1


def test_cells_come_change_and_go() -> None:
    shelf = Shelf(cell(key=key("a")))
    text = exposition(shelf)
    assert values(families(text)["fitmatrix_cell_runs"]) == {"a": 5}
    assert values(families(text)["fitmatrix_cell_runs"]) == {"a": 5}
    assert shelf.asked == 1, "a matrix without news is not read again"
    (same,) = shelf.now
    shelf.put(same, *(cell(key=f"{number:016}".ljust(64, "0"), runs=1) for number in range(300)))
    assert len(families(text)["fitmatrix_cell_runs"].samples) == 301
    shelf.put(cell(key=key("a"), runs=6, successes=6), cell(key=f"{299:016}".ljust(64, "0"), runs=2))
    said = families(text)["fitmatrix_cell_runs"].samples
    assert sorted(sample.value for sample in said) == [2, 6]
    shelf.put()
    assert families(text)["fitmatrix_cell_runs"].samples == []


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS])
def test_poison_stays_in_its_label(accept: str) -> None:
    """HTML, line breaks, quotes, ten thousand characters, and what no text may hold."""
    poisons = [POISON, "x" * 10_000, "nul \0 bell \a \r", "half \ud800 of a pair"]
    cells = [cell(key=key(str(place)), device_name=poison, browser=poison) for place, poison in enumerate(poisons)]
    said, media_type = exposition(Shelf(*cells)).answer(accept)
    assert media_type.startswith(accept.partition(";")[0])
    read = openmetrics_families if accept == OPENMETRICS else plain_families
    found = {family.name: family for family in read(said.decode())}
    assert all(name.startswith("fitmatrix_cell") or name == "fitmatrix_variant_bytes" for name in found)
    told = {sample.labels["cell"][0]: sample.labels["device_name"] for sample in found["fitmatrix_cell_info"].samples}
    assert told["0"] == POISON
    assert len(told["1"]) == LONGEST
    assert told["2"] == "nul \ufffd bell \ufffd \ufffd"
    assert told["3"] == "half \ufffd of a pair"
    assert told["0"] == bounded(POISON)


def test_an_observation_names_its_run_in_openmetrics_alone() -> None:
    telemetry = Telemetry("1")
    telemetry.attempt_dispatched(0.3, "run-1")
    fault = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)
    telemetry.attempt_ended(fault, 12, "run-2")
    made = exposition(Shelf(), telemetry.registry)
    text, _ = made.answer(OPENMETRICS)
    named = {
        (family.name, sample.exemplar.labels["run_id"])
        for family in openmetrics_families(text.decode())
        for sample in family.samples
        if sample.exemplar
    }
    assert named == {
        ("fitmatrix_dispatch_wait_seconds", "run-1"),
        ("fitmatrix_attempt_duration_seconds", "run-2"),
        ("fitmatrix_attempts", "run-2"),
    }
    plain, _ = made.answer("")
    assert b"run-1" not in plain


def test_requests_are_told_by_their_route() -> None:
    router = APIRouter()

    @router.get("/runs/{run_id}")
    def run(run_id: str) -> str:
        return run_id

    @router.get("/broken")
    def broken() -> Response:
        return Response(status_code=503)

    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/api")
    telemetry = Telemetry("1")
    app.add_middleware(RequestMeter, telemetry=telemetry)
    for method, path in (("GET", "/api/runs/a"), ("GET", "/api/runs/b"), ("GET", "/api/broken"), ("BREW", "/secret")):
        asyncio.run(ask(app, method, path))
    requests = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == "fitmatrix_http_requests_total"
    }
    assert requests == {
        ("GET", "/api/runs/{run_id}", "200"): 2,
        ("GET", "/api/broken", "503"): 1,
        ("other", NO_ROUTE, "404"): 1,
    }


async def ask(app: FastAPI, method: str, path: str) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Message) -> None: ...

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "scheme": "http",
    }
    await app(scope, receive, send)
