"""The pages of jobs, runs and devices in a real Chromium: curves, live progress, keys, and life without scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from orchestrator.contract.views import Drain, Reservation, RunCounts
from orchestrator.contract.vocabulary import JobState, RunState
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.unit.cli import samples
from tests.unit.web.hand_made import HandMade
from tests.unit.web.test_lab_pages import TOLD, leave
from tests.waiting import wait_until
from tests.web_browser import PHONE, WebBrowser, each_state

OPENED = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
PAINTED = """[...document.querySelectorAll('figure.chart canvas')].map((canvas) => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size;
})"""
"""How many colours each curve's canvas has: an empty one has one."""


def complaints_of(browser: WebBrowser, address: str) -> list[str]:
    """Addresses and scripts that something is wrong with, but for those of pages that were left."""
    found = {said.partition(" ")[0].partition("?")[0] for said in browser.complaints}
    return sorted(one for one in found if one.startswith(address))


@pytest.fixture
def full(reads: HandMade) -> HandMade:
    """Everything at once that these pages can show."""
    leave(reads, TOLD)
    leave(reads, {**TOLD, "memory.json": b"", "console.json": b""}, "run-8", page=None)
    reads.the_jobs = [
        samples.job(
            state=JobState.ACTIVE,
            finished_at=None,
            submitter="ann",
            runs=RunCounts(queued=5, leased=1, running=1, finished=3, cancelled=1),
        )
    ]
    reads.the_runs["run-9"] = samples.run_detail(
        id="run-9", state=RunState.QUEUED, verdict=None, validation=None, finished_at=None, attempt_list=[]
    )
    reads.the_devices = [
        samples.sick_device(
            reservation=Reservation(by="ann", until=samples.LATER, note=samples.POISON),
            drain=Drain(by="root", since=samples.NOW, note="new battery"),
            classes=["low-end phone"],
        ),
        samples.device(reason=samples.POISON * 100),
    ]
    return reads


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(
    "page", ["/jobs", "/jobs/job-1", "/runs/run-1", "/runs/run-8", "/runs/run-9", "/devices", "/devices/lab.pixel"]
)
def test_a_page_with_everything_opened_is_accessible_and_fits_the_screen(
    browser: WebBrowser, address: str, page: str
) -> None:
    def show(size: tuple[int, int], scheme: str) -> None:
        browser.open(address + page, size, scheme=scheme)
        browser.wait_for("document.readyState === 'complete'")
        browser.ask(OPENED)

    assert each_state(show, browser) == []


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize(("page", "curves"), [("/runs/run-1", 4), ("/devices/lab.pixel", 4)])
def test_curves_are_drawn_and_their_tables_folded(browser: WebBrowser, address: str, page: str, curves: int) -> None:
    browser.open(address + page, (1280, 4000))
    browser.wait_for(f"document.querySelectorAll('figure.chart canvas').length === {curves}")
    browser.wait_for(f"{PAINTED}.every((colours) => colours > 3)")
    assert browser.ask("document.querySelectorAll('figure.chart details[open]').length") == 0
    light = browser.ask("document.querySelector('figure.chart canvas').toDataURL()")
    browser.show_in("dark")
    browser.wait_for("document.querySelector('figure.chart canvas').toDataURL() !== arguments[0]", light)
    assert set(complaints_of(browser, address)) <= {f"{address}/api/v1/events"}, "which hand-made pages have not"


@pytest.mark.usefixtures("full")
def test_without_scripts_the_tables_say_it_and_forms_work(browser: WebBrowser, address: str, reads: HandMade) -> None:
    browser.open(f"{address}/runs/run-1", PHONE, scripts=False)
    shown = browser.driver.find_elements("css selector", "figure.chart table")
    assert [table.is_displayed() for table in shown] == [True] * 4
    assert browser.driver.find_elements("css selector", "canvas") == []
    browser.driver.get(f"{address}/jobs/job-1")
    cancel = browser.driver.find_element("css selector", ".confirm summary")
    cancel.click()
    browser.driver.find_element("css selector", ".confirm button").click()
    wait_until(lambda: reads.deeds.done == [("cancel job", "job-1", "root")], what="the cancelled job")
    assert browser.driver.current_url == f"{address}/jobs/job-1"


@pytest.mark.usefixtures("full")
def test_a_device_is_reserved_with_the_keyboard_alone(browser: WebBrowser, address: str, reads: HandMade) -> None:
    reads.the_devices = [samples.device()]
    browser.open(f"{address}/devices/this-machine")
    for _ in range(30):
        if browser.ask("document.activeElement.matches('.confirm summary')"):
            break
        browser.press(Keys.TAB)
    browser.press(Keys.ENTER, Keys.TAB, Keys.TAB, *"mine", Keys.ENTER)
    wait_until(lambda: reads.deeds.done)
    assert [deed[0::4] for deed in reads.deeds.done] == [("reserve", "mine")]


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCoordinator]:
    with running_coordinator(tmp_path_factory.mktemp("coordinator") / "data") as running:
        yield running


@pytest.fixture
def agent(coordinator: RunningCoordinator) -> Iterator[HandAgent]:
    played = HandAgent(coordinator, agent_id="lab")
    assert played.enrol().status_code == 200
    yield played
    played.close()


@pytest.fixture
def qa(coordinator: RunningCoordinator, agent: HandAgent) -> Iterator[Submitter]:
    submitter = Submitter(coordinator, f'id == "{agent.device_id}"')
    yield submitter
    submitter.close()


def test_a_job_is_followed_as_it_goes(
    browser: WebBrowser, coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter
) -> None:
    job = qa.submit(repeats=2)
    headline = "document.querySelector('.headline').textContent"
    browser.open(f"{coordinator.url}/jobs/{job}")
    browser.ask("window.wasHere = true")
    assert "0 of 2 runs have ended" in browser.ask(headline)
    for number in (1, 2):
        spec = agent.take()
        browser.wait_for("document.querySelector('.tally').textContent.includes('1 running')")
        browser.wait_for("document.querySelector('rect.bar.running') !== null")
        assert agent.report(spec).status_code == 200
        browser.wait_for(f"{headline}.includes('{number} of 2 runs have ended')")
    browser.wait_for("document.querySelector('.state').textContent === 'finished'")
    browser.wait_for("document.querySelectorAll('#runs tbody tr').length === 2")
    assert browser.ask("document.getElementById('job').hasAttribute('data-live')") is False
    assert browser.ask("window.wasHere") is True, "the page was never loaded anew"
    assert complaints_of(browser, coordinator.url) == []


def test_a_device_that_changes_is_seen_at_once(
    browser: WebBrowser, coordinator: RunningCoordinator, agent: HandAgent, tmp_path: Path
) -> None:
    agent.beat()
    browser.open(f"{coordinator.url}/devices/{agent.device_id}")
    browser.ask("document.querySelector('.confirm').open = true")
    browser.wait_for("document.querySelector('#device .state').textContent === 'idle'")
    agent.says = {"condition": "resting", "reason": "Too hot."}
    agent.beat()
    browser.wait_for("document.querySelector('#device .state').textContent === 'resting'")
    assert browser.ask("document.querySelector('.confirm').open") is True, "what the reader has opened stays open"
    agent.says = {}
    agent.beat()
    assert complaints_of(browser, coordinator.url) == []
