"""Several browsers of one device: each is measured, probed and shown for itself."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import Browser
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter
from tests.unit.domain.builders import device, page_report, probe_result

CHROME = Browser(name="chrome", version="156.0.1")
WEBVIEW = Browser(name="webview", version="156.0.2")
BETA = Browser(name="chrome", version="156.0.3", channel="beta")


_numbers = count(1)


@pytest.fixture
def phone(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    name = f"phone{next(_numbers)}"
    agent = HandAgent(coordinator, device(f"{name}.one", browsers=[CHROME, WEBVIEW, BETA]), agent_id=name)
    assert agent.enrol().status_code == 200
    yield agent
    agent.close()


@pytest.fixture
def phone_qa(coordinator: RunningCoordinator, phone: HandAgent) -> Iterator[Submitter]:
    submitter = Submitter(coordinator, f'id == "{phone.device_id}"')
    yield submitter
    submitter.close()


def used(spec: AttemptSpec) -> Browser:
    return {browser.id: browser for browser in (CHROME, WEBVIEW, BETA)}[spec.browser]


def test_a_job_measures_every_browser_in_a_cell_of_its_own(phone: HandAgent, phone_qa: Submitter) -> None:
    job = phone_qa.submit(repeats=2)
    assert phone_qa.job(job)["cells"] == 3
    for _ in range(6):
        spec = phone.take()
        phone.report(spec, browser=used(spec))
    assert phone_qa.job(job)["state"] == "finished"
    runs = [run["browser"] for run in phone_qa.runs(job)]
    assert sorted(runs) == ["chrome"] * 2 + ["chrome-beta"] * 2 + ["webview"] * 2
    cells = {cell["browser"]: cell["runs"] for cell in phone_qa.cells(phone.device_id)}
    assert cells == {"chrome 156": 2, "webview 156": 2, "chrome beta 156": 2}
    for page in ("/", f"/jobs/{job}", f"/devices/{phone.device_id}"):
        assert "webview" in phone_qa.text(page)


def test_auto_repeats_each_browsers_cell_until_it_settles(phone: HandAgent, phone_qa: Submitter) -> None:
    job = phone_qa.submit(repeats="auto", devices=f'id == "{phone.device_id}" && browser.channel == "stable"')
    for _ in range(10):
        spec = phone.take()
        phone.report(spec, browser=used(spec))
    assert (phone_qa.job(job)["state"], phone_qa.job(job)["runs"]["finished"]) == ("finished", 10)
    assert {(cell["browser"], cell["verdict"]) for cell in phone_qa.cells(phone.device_id)} == {
        ("chrome 156", "fits"),
        ("webview 156", "fits"),
    }


def test_probes_are_kept_for_each_browser_until_it_changes(
    coordinator: RunningCoordinator, phone: HandAgent, phone_qa: Submitter
) -> None:
    def probes() -> dict[str, Any]:
        return dict(phone_qa.get(f"/api/v1/devices/{phone.device_id}")["probes"])

    phone_qa.submit(variants=["probe"], devices=f'id == "{phone.device_id}" && browser.id != "chrome-beta"')
    for _ in range(2):
        spec = phone.take()
        phone.report(spec, browser=used(spec), page=page_report(generation_samples=[], probe=probe_result()))
    assert {name: probe["browser"]["name"] for name, probe in probes().items()} == {
        "chrome": "chrome",
        "webview": "webview",
    }
    updated = WEBVIEW.model_copy(update={"version": "157.0.1"})
    newer = HandAgent(coordinator, device(phone.device_id, browsers=[CHROME, updated, BETA]), agent_id=phone.agent_id)
    assert newer.enrol().status_code == 200
    newer.close()
    assert set(probes()) == {"chrome"}
    unprobed = phone_qa.submit(variants=["probe"], devices=f'id == "{phone.device_id}" && !probed')
    assert {run["browser"] for run in phone_qa.runs(unprobed)} == {"webview", "chrome-beta"}


def test_runs_wait_for_a_browser_that_is_gone(
    coordinator: RunningCoordinator, phone: HandAgent, phone_qa: Submitter
) -> None:
    this = f'id == "{phone.device_id}"'
    job = phone_qa.submit(devices=f'{this} && browser.id == "webview"', repeats=2)
    phone_qa.submit(devices=f'{this} && browser.id == "chrome"', priority=1)
    first = phone.take()
    with closing(
        HandAgent(coordinator, device(phone.device_id, browsers=[CHROME]), agent_id=phone.agent_id)
    ) as without:
        assert without.enrol().status_code == 200
        without.report(first, browser=WEBVIEW)
        urgent_or_not = without.take()
        assert urgent_or_not.browser == "chrome"
        without.report(urgent_or_not, browser=CHROME)
    assert phone.enrol().status_code == 200
    second = phone.take()
    assert second.browser == "webview"
    phone.report(second, browser=WEBVIEW)
    assert phone_qa.job(job)["state"] == "finished"


def test_a_device_without_a_browser_is_registered_and_never_measured(coordinator: RunningCoordinator) -> None:
    bare = HandAgent(coordinator, device("bare.phone", browsers=[]), agent_id="bare")
    assert bare.enrol().status_code == 200
    bare.beat()
    qa = Submitter(coordinator, 'id == "bare.phone"')
    refused = qa.post({"name": "x", "variants": ["probe"], "devices": 'id == "bare.phone"'})
    assert refused.status_code == 422
    said = qa.get("/api/v1/devices/bare.phone")
    assert (said["state"], said["reason"]) == (
        "idle",
        "It has no browser that a page could be measured in: install Chrome on it.",
    )
    qa.close()
    bare.close()
