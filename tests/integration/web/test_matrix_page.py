"""The matrix under a reader's hands, in a real Chromium."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.unit.cli import matrix_samples, samples
from tests.unit.web.hand_made import HandMade
from tests.unit.web.large_matrix import large_matrix
from tests.web_browser import PHONE, WebBrowser, each_state

_FOCUSED = "document.activeElement.closest('td > a')?.textContent"
_PLACE = "[document.activeElement.closest('tr')?.rowIndex, document.activeElement.closest('td')?.cellIndex]"
_CARD = "document.querySelector('#card:popover-open')?.innerText"
_TILES = "document.querySelectorAll('table.matrix td > a').length"


def focus_first_tile(browser: WebBrowser) -> None:
    browser.wait_for("document.querySelector('table.matrix td > a[tabindex=\"0\"]') !== null")
    browser.ask("document.querySelector('table.matrix td > a').focus()")


def test_the_arrow_keys_walk_through_the_matrix_and_pass_over_what_was_not_measured(
    browser: WebBrowser, address: str
) -> None:
    browser.open(address + "/")
    focus_first_tile(browser)
    first = browser.ask(_PLACE)
    browser.press(Keys.ARROW_RIGHT)
    assert browser.ask(_PLACE) == [first[0], first[1] + 2]
    browser.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert browser.ask(_PLACE) == first
    browser.press(Keys.ARROW_DOWN)
    assert browser.ask(_PLACE) == [first[0] + 1, first[1]]
    browser.press(Keys.CONTROL + Keys.END)
    assert browser.ask(_PLACE) == [5, 4]
    browser.press(Keys.HOME)
    assert browser.ask(_PLACE) == [5, 1]


def test_one_tile_is_on_the_tab_keys_way(browser: WebBrowser, address: str) -> None:
    browser.open(address + "/")
    focus_first_tile(browser)
    assert browser.ask("document.querySelectorAll('table.matrix td > a[tabindex=\"0\"]').length") == 1
    browser.press(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    place = browser.ask(_PLACE)
    browser.press(Keys.TAB)
    assert browser.ask(_FOCUSED) is None
    browser.press(Keys.SHIFT + Keys.TAB)
    assert browser.ask(_PLACE) == place


def test_a_card_tells_of_the_focused_cell_and_goes_away_with_escape(browser: WebBrowser, address: str) -> None:
    browser.open(address + "/")
    focus_first_tile(browser)
    browser.press(Keys.ARROW_DOWN)
    said = browser.wait_for(_CARD)
    for words in ("✔ fits", "5 of 5 runs fit: 62–100 %", "latency", "47 ms"):
        assert words in said, words
    browser.press(Keys.ESCAPE)
    browser.wait_for(f"!({_CARD})")
    assert [line for line in browser.complaints if "/api/v1/events" not in line] == []


def test_enter_opens_the_cell_with_its_runs(browser: WebBrowser, address: str) -> None:
    browser.open(address + "/")
    focus_first_tile(browser)
    browser.press(Keys.ENTER)
    browser.wait_for("location.pathname.startsWith('/cells/')")
    assert "/runs/run-1" in browser.wait_for("document.querySelector('tbody th.id a').getAttribute('href')")


def test_what_is_chosen_stands_in_the_address_and_back_undoes_it(browser: WebBrowser, address: str) -> None:
    browser.open(address + "/")
    browser.wait_for("window.htmx !== undefined && document.readyState === 'complete'")
    browser.ask("document.querySelector('input[name=backend][value=wasm]').click()")
    browser.wait_for(f"{_TILES} === 5")
    assert browser.ask("location.search") == "?backend=wasm"
    browser.ask("document.querySelector('input[name=origin][value=physical]').click()")
    browser.wait_for(f"{_TILES} === 2")
    shared = browser.ask("location.href")
    assert browser.ask("location.search") == "?backend=wasm&origin=physical"
    browser.ask("history.back()")
    browser.wait_for(f"{_TILES} === 5")
    browser.open(shared)
    assert browser.ask(_TILES) == 2
    assert browser.ask("document.querySelector('input[name=backend][value=wasm]').checked")


def test_rows_and_columns_by_anything(browser: WebBrowser, address: str, reads: HandMade) -> None:
    reads.matrix.shown = large_matrix(20, 20)
    browser.open(address + "/")
    browser.wait_for("window.htmx !== undefined && document.readyState === 'complete'")
    browser.ask(
        "['rows', 'columns'].forEach((name, at) => { const one = document.querySelector(`select[name=${name}]`);"
        " one.value = ['family', 'device_class'][at]; one.dispatchEvent(new Event('change', { bubbles: true })); })"
    )
    browser.wait_for("document.querySelector('table.matrix').ariaLabel === 'family ↓ · device class →'")
    assert "medians over" in browser.ask("document.querySelector('table.matrix').innerText")
    address_of_slot = browser.ask("document.querySelector('table.matrix td > a').getAttribute('href')")
    browser.open(address + address_of_slot)
    assert browser.ask(_TILES) > 1
    hrefs = browser.ask("[...document.querySelectorAll('table.matrix td > a')].map((a) => a.getAttribute('href'))")
    assert all(href.startswith("/cells/") for href in hrefs)


def test_it_works_without_scripts(browser: WebBrowser, address: str) -> None:
    try:
        browser.open(address + "/", scripts=False)
        browser.driver.find_element("xpath", "//summary[starts-with(normalize-space(), 'Backend')]").click()
        browser.driver.find_element("css selector", "input[name=backend][value=wasm]").click()
        browser.driver.find_element("css selector", "#ask button[type=submit]").click()
        browser.wait_for(f"{_TILES} === 5")
        assert "backend=wasm" in browser.driver.current_url
        browser.driver.find_element("css selector", "table.matrix td > a").click()
        browser.wait_for("location.pathname.startsWith('/cells/')")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("poison", [samples.POISON, "<b>" + "long " * 2_000, "a\nb\r\n" + "x" * 10_000])
def test_names_from_outside_are_text(browser: WebBrowser, address: str, reads: HandMade, poison: str) -> None:
    named = dict.fromkeys(("model", "variant", "workload", "device_name", "browser", "device_class"), poison)
    reads.matrix.shown = matrix_samples.matrix(
        matrix_samples.cell(**named), matrix_samples.cell(device="other", chrome_flags=[poison])
    )
    for size in ((1280, 800), PHONE):
        browser.open(address + "/", size)
        assert browser.overflow == 0
        assert browser.ask("document.querySelectorAll('main b:not(td b, li b), main script').length") == 0
        focus_first_tile(browser)
        browser.press(Keys.ARROW_RIGHT)
        browser.wait_for(_CARD)
        assert browser.ask("document.querySelector('#card').getBoundingClientRect().width") <= size[0]
    browser.open(address + browser.ask("document.querySelector('table.matrix td > a').getAttribute('href')"), PHONE)
    assert browser.overflow == 0


def test_a_large_matrix_is_accessible_with_its_card_open(browser: WebBrowser, address: str, reads: HandMade) -> None:
    reads.matrix.shown = large_matrix(25, 20)

    def show(size: tuple[int, int], scheme: str) -> None:
        browser.open(address + "/", size, scheme=scheme)
        focus_first_tile(browser)
        browser.press(Keys.ARROW_DOWN)
        browser.wait_for(_CARD)

    assert each_state(show, browser) == []


def test_mixed_slots_menus_and_cells_are_accessible(browser: WebBrowser, address: str, reads: HandMade) -> None:
    reads.matrix.shown = large_matrix(20, 20)

    def show(size: tuple[int, int], scheme: str) -> None:
        browser.open(address + "/?rows=family&columns=device_class&backend=wasm", size, scheme=scheme)
        browser.ask("document.querySelector('details.pick').open = true")

    assert each_state(show, browser) == []
    cell = reads.matrix.cells[0].key[:12]
    assert each_state(lambda size, scheme: browser.open(f"{address}/cells/{cell}", size, scheme=scheme), browser) == []
    refused = f"{address}/?rows=nonsense"
    assert each_state(lambda size, scheme: browser.open(refused, size, scheme=scheme), browser) == []
    reads.matrix.shown = matrix_samples.matrix()
    assert each_state(lambda size, scheme: browser.open(address + "/", size, scheme=scheme), browser) == []
