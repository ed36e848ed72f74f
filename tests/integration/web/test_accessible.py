"""Every page, on a desktop and on a phone, in light and dark: what axe says of it, and whether it fits the screen."""

import pytest

from tests.unit.web.hand_made import HandMade, poison
from tests.web_browser import WebBrowser, each_state

_PAGES = (
    *(
        "/",
        "/?rows=model&columns=device_class",
        "/jobs",
        "/jobs/job-1",
        "/runs/run-1",
        "/runs/run-7",
        "/devices",
        "/devices/this-machine",
        "/runs/none",
    ),
    *("/audiences", "/audiences/our-site", "/audiences/our-site?emulated=true"),
    *("/compare", "/compare?vary=backend", "/compare?vary=time", "/compare?vary=device&a=this-machine&b=low-end-a"),
    "/compare?vary=backend&a=webgpu&b=webgpu",
    "/?density=compact",
    "/?rows=weights&columns=origin&weights=trained&origin=physical",
    "/devices?state=drained",
    "/nothing",
)


@pytest.mark.parametrize("page", _PAGES)
def test_a_page_is_accessible_and_fits_the_screen(browser: WebBrowser, address: str, page: str) -> None:
    assert each_state(lambda size, scheme: browser.open(address + page, size, scheme=scheme), browser) == []


@pytest.mark.parametrize("page", ["/", "/devices", "/runs/run-1", "/devices/this-machine", "/audiences/our-site"])
def test_a_poisoned_page_is_as_accessible(browser: WebBrowser, address: str, reads: HandMade, page: str) -> None:
    poison(reads)
    assert each_state(lambda size, scheme: browser.open(address + page, size, scheme=scheme), browser) == []


def test_the_readers_theme_is_kept(browser: WebBrowser, address: str) -> None:
    ink = "getComputedStyle(document.body).color"
    browser.open(address + "/jobs")
    light = browser.ask(ink)
    browser.ask("document.getElementById('theme').click(), document.getElementById('theme').click()")
    dark = browser.ask(ink)
    assert dark != light
    browser.open(address + "/devices")
    assert browser.ask(ink) == dark
    browser.ask("document.getElementById('theme').click()")
    assert browser.ask(ink) == light
