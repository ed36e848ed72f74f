"""Forms in a real Chromium, which says of each where it comes from: logging in, and an audience's way."""

from pathlib import Path

from orchestrator.client import Client
from tests.integration.coordinator.lab import running_coordinator
from tests.waiting import wait_until
from tests.web_browser import WebBrowser, each_state

_TOKEN = "the-first-administrators-token"
_CSV = "os,share\nlinux,60\nandroid,15\n"
_TEXT = "document.querySelector('main').innerText"


def fill(browser: WebBrowser, name: str, value: str) -> None:
    browser.ask("document.querySelector(`[name=${arguments[0]}]`).value = arguments[1]", name, value)


def send(browser: WebBrowser, form: str) -> None:
    browser.driver.find_element("css selector", f"form[action='{form}'] button").click()


def test_an_audience_comes_and_goes_by_forms(browser: WebBrowser, tmp_path: Path) -> None:
    with running_coordinator(tmp_path / "data", token=_TOKEN) as coordinator:
        browser.open(f"{coordinator.url}/audiences")
        fill(browser, "token", _TOKEN)
        send(browser, "/login")
        browser.wait_for("location.pathname === '/audiences' && document.querySelector('.upload') !== null")
        fill(browser, "name", "our-site")
        fill(browser, "csv", "os,share\nlinux,160\n")
        send(browser, "/audiences")
        browser.wait_for(f"{_TEXT}.includes('row 2, column share is 160')")
        assert browser.ask("document.querySelector('[name=csv]').value") == "os,share\nlinux,160\n"
        assert browser.ask("document.querySelector('[name=name]').value") == "our-site"
        assert browser.violations() == []
        fill(browser, "csv", _CSV)
        send(browser, "/audiences")
        browser.wait_for("location.pathname === '/audiences/our-site'")
        with Client(coordinator.url, token=_TOKEN) as client:
            (kept,) = client.audiences()
        assert [(one.name, one.share) for one in kept.segments] == [("os linux", 0.6), ("os android", 0.15)]
        browser.ask("document.querySelector('details.remove').open = true")
        send(browser, "/audiences/our-site/remove")
        browser.wait_for(f"location.pathname === '/audiences' && {_TEXT}.includes('There is no audience yet')")


def test_a_file_is_put_where_it_would_be_typed(browser: WebBrowser, address: str, tmp_path: Path) -> None:
    file = tmp_path / "Our Shop.csv"
    file.write_text("class,share\ndesktop,60\n")
    browser.open(f"{address}/audiences")
    browser.wait_for("!document.getElementById('from-file').hidden")
    browser.driver.find_element("id", "file").send_keys(str(file))
    browser.wait_for("document.getElementById('csv').value !== ''")
    assert browser.ask("document.getElementById('csv').value") == file.read_text()
    assert browser.ask("document.getElementById('name').value") == "our-shop"
    send(browser, "/audiences")
    browser.wait_for("location.pathname === '/audiences/our-shop'")


def test_without_scripts_a_file_is_pasted(browser: WebBrowser, address: str) -> None:
    try:
        browser.open(f"{address}/audiences", scripts=False)
        assert not browser.driver.find_element("id", "from-file").is_displayed()
        browser.driver.find_element("id", "name").send_keys("pasted")
        browser.driver.find_element("id", "csv").send_keys("class,share\ndesktop,60\n")
        send(browser, "/audiences")
        wait_until(lambda: browser.driver.current_url == f"{address}/audiences/pasted", what="the audience's page")
        browser.driver.get(f"{address}/compare?vary=backend")
        send(browser, "/compare")
        wait_until(lambda: "vary=backend&a=webgpu&b=wasm" in browser.driver.current_url, what="the comparison")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_what_is_folded_is_accessible_as_well(browser: WebBrowser, address: str) -> None:
    for page in ("/audiences/our-site?emulated=true", "/compare?vary=device&a=this-machine&b=low-end-a&backend=wasm"):

        def show(size: tuple[int, int], scheme: str, page: str = page) -> None:
            browser.open(address + page, size, scheme=scheme)
            browser.ask("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")

        assert each_state(show, browser) == []
