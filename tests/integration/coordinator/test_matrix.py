"""The matrix over the real wire: laid out, filtered, cell by cell, and what `repeats: auto` makes of shared cells."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from orchestrator.client import Client
from orchestrator.contract.device import Emulation
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from orchestrator.services.outcomes import MAX_AUTO_RUNS
from tests.integration.coordinator.lab import (
    ON_BOTH_DATABASES,
    VARIANT,
    HandAgent,
    RunningCoordinator,
    Submitter,
)
from tests.unit.domain.builders import device

pytestmark = ON_BOTH_DATABASES
OUT_OF_MEMORY = Fault(origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False)


@pytest.fixture
def client(coordinator: RunningCoordinator) -> Iterator[Client]:
    with Client(coordinator.url) as opened:
        yield opened


def view(coordinator: RunningCoordinator, query: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{coordinator.url}/api/v1/matrix/view?{query}", headers=headers)


def test_devices_are_laid_out_by_any_fact(coordinator: RunningCoordinator, client: Client) -> None:
    devices = [
        device("mix.small", model="Small phone", device_class="mix phone", os="android", os_api_level=33),
        device("mix.large", model="Large phone", device_class="mix phone", os="android", os_api_level=34),
        device("mix.desk", model="Desk", device_class="mix desktop"),
        device("mix.low", model="Desk", device_class="mix desktop", emulation=Emulation(cpu_quota=0.5)),
    ]
    agent = HandAgent(coordinator, *devices, agent_id="mix")
    agent.enrol()
    qa = Submitter(coordinator, 'id.startsWith("mix.")')
    qa.submit(labels={"branch": "main"})
    for one in devices:
        spec = agent.receive(one.id)
        agent.start(spec)
        agent.report(spec)
    only: dict[str, Any] = {"device": [one.id for one in devices]}
    by_class = client.matrix_view(["model"], ["device_class"], **only)
    told = [(heading.values["device_class"], heading.emulated) for heading in by_class.columns]
    assert told == [("mix desktop", False), ("mix phone", False), ("mix desktop", True)]
    assert [(slot.cells, slot.runs, slot.device_models) for slot in by_class.slots] == [(1, 1, 1), (2, 2, 2), (1, 1, 1)]
    assert by_class.slots[1].differ_in == ["device_model"]
    by_os = client.matrix_view(["backend"], ["facts.os", "facts.os_api_level"], device_class=["mix phone"])
    assert [tuple(heading.values.values()) for heading in by_os.columns] == [("android", "33"), ("android", "34")]
    whole = client.matrix_view(**only)
    assert [heading.names["device"] for heading in whole.columns] == ["mix.desk", "mix.large", "mix.small", "mix.low"]
    assert {client.cell(slot.cell).cell.device for slot in whole.slots if slot.cell} == set(only["device"])
    assert client.matrix_view(origin=["emulated"], **only).columns == whole.columns[3:]
    assert client.matrix_view(label=["branch=main"], **only).slots == whole.slots
    assert not client.matrix_view(label=["branch=other"], **only).slots
    soon = datetime.now(UTC) + timedelta(minutes=5)
    assert not client.matrix_view(since=soon, **only).rows
    assert len(client.matrix(until=soon, **only).cells) == len(devices)
    assert [cell.device for cell in client.matrix(device_model=["Desk"], origin=["physical"], **only).cells] == [
        "mix.desk"
    ]
    qa.close()
    agent.close()


def test_an_answer_that_nobody_changed_is_not_sent_again(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    qa.submit(repeats=2)
    agent.report(agent.take())
    query = f"device={agent.device_id}&rows=variant&columns=facts.os"
    first = view(coordinator, query)
    assert first.json()["slots"][0]["runs"] == 1
    etag = first.headers["ETag"]
    assert first.json()["version"] in etag
    assert view(coordinator, query, **{"If-None-Match": etag}).status_code == 304
    agent.report(agent.take())
    changed = view(coordinator, query, **{"If-None-Match": etag})
    assert (changed.status_code, changed.json()["slots"][0]["runs"]) == (200, 2)


def test_a_cell_leads_to_its_runs(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(repeats=3)
    reported: list[str] = []
    for _ in range(3):
        spec = agent.take()
        agent.report(spec)
        reported.insert(0, spec.run_id)
    (cell,) = qa.cells(agent.device_id)
    detail = qa.get(f"/api/v1/cells/{cell['key']}?limit=2")
    assert detail["cell"] == cell
    older = qa.get(f"/api/v1/cells/{cell['key']}?limit=2&cursor={detail['next']}")
    assert [run["id"] for run in detail["runs"] + older["runs"]] == reported
    assert older["next"] is None


def test_cells_come_page_by_page(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    qa.submit(criteria={"max_ttft_seconds": 20})
    qa.submit(criteria={"max_ttft_seconds": 30})
    for _ in range(2):
        agent.report(agent.take())
    path = f"/api/v1/matrix?device={agent.device_id}&limit=1"
    first = qa.get(path)
    second = qa.get(f"{path}&cursor={first['next']}")
    assert second["next"] is None
    assert first["cells"] + second["cells"] == qa.cells(agent.device_id)
    refused = httpx.get(f"{coordinator.url}{path.replace(agent.device_id, 'nobody')}&cursor={first['next']}")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("query", "field", "allowed"),
    [
        ("rows=model,colour", "rows", "size_class"),
        ("columns=facts.colour", "columns", "facts.ram_gib"),
        ("rows=", "rows", "facts.os"),
        ("rows=model,model", "rows", "each once"),
        ("origin=borrowed", "origin[0]", "imported"),
        ("weights=heavy", "weights[0]", "synthetic"),
        ("since=yesterday", "since", ""),
        ("label==", "label[0]", ""),
    ],
)
def test_what_there_is_not_is_refused_by_name(
    coordinator: RunningCoordinator, query: str, field: str, allowed: str
) -> None:
    refused = view(coordinator, query)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["field"] == field
    assert allowed in error["allowed"]


def test_there_is_no_cell_of_another_key(coordinator: RunningCoordinator) -> None:
    assert httpx.get(f"{coordinator.url}/api/v1/cells/{'0' * 64}").status_code == 404


def test_two_auto_jobs_over_one_cell_both_stop_when_it_settles(agent: HandAgent, qa: Submitter) -> None:
    jobs = [qa.submit(repeats="auto"), qa.submit(repeats="auto")]
    for _ in range(2 * MAX_AUTO_RUNS):
        if all(qa.job(job)["state"] == "finished" for job in jobs):
            break
        agent.report(agent.take())
    assert [qa.job(job)["state"] for job in jobs] == ["finished"] * 2
    (cell,) = qa.cells(agent.device_id)
    # Five settle it; the other job's next run was in the queue by then.
    assert (cell["verdict"], cell["runs"]) == ("fits", sum(len(qa.runs(job)) for job in jobs))
    assert 5 <= cell["runs"] <= 6


def test_an_auto_job_ends_though_its_cell_never_settles(agent: HandAgent, qa: Submitter) -> None:
    """Three of four fit: between the bounds for as long as one job goes on."""
    job = qa.submit(repeats="auto")
    for number in range(MAX_AUTO_RUNS):
        spec = agent.take()
        if number % 4 == 3:
            agent.report(spec, fault=OUT_OF_MEMORY, page=None)
        else:
            agent.report(spec)
    assert qa.job(job)["state"] == "finished"
    (cell,) = qa.cells(agent.device_id)
    assert (cell["verdict"], cell["runs"], cell["fault"]) == ("unsettled", MAX_AUTO_RUNS, "out-of-memory")
    assert cell["variant"] == VARIANT
