"""A page that stays open while results come in: a real coordinator, an agent played by hand, a real Chromium."""

from pathlib import Path

from tests.integration.coordinator.lab import HandAgent, Submitter, running_coordinator
from tests.web_browser import WebBrowser

_TILE = "document.querySelector('table.matrix td > a')"


def test_the_matrix_shows_each_result_as_it_comes_in(browser: WebBrowser, tmp_path: Path) -> None:
    with running_coordinator(tmp_path / "data") as coordinator:
        agent = HandAgent(coordinator, agent_id="lab")
        assert agent.enrol().status_code == 200
        qa = Submitter(coordinator)
        try:
            browser.open(f"{coordinator.url}/")
            assert "Nothing has been measured yet" in browser.ask("document.querySelector('main').innerText")
            browser.ask("window.stays = true")
            qa.submit(repeats=3)
            agent.report(agent.take())
            browser.wait_for(f"{_TILE} !== null && {_TILE}.innerText.includes('1/1')")
            browser.ask(f"{_TILE}.focus()")
            focused = browser.ask("document.activeElement.getAttribute('href')")
            agent.report(agent.take())
            browser.wait_for(f"{_TILE}.innerText.includes('2/2')")
            assert browser.ask("document.activeElement.getAttribute('href')") == focused
            assert browser.ask("window.stays")
            assert browser.complaints == []
            browser.open(coordinator.url + focused)
            browser.ask("window.stays = true")
            agent.report(agent.take())
            browser.wait_for("document.querySelector('main').innerText.includes('3 of 3')")
            assert browser.ask("window.stays")
            assert browser.ask("document.getElementById('stale').hidden")
        finally:
            qa.close()
            agent.close()
    browser.wait_for("!document.getElementById('stale').hidden")
