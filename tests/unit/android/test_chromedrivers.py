"""Which chromedriver drives a phone's browser."""

from pathlib import Path

import pytest

from agents.browsers.chromedrivers import find_chromedriver
from agents.faults import BrowserStartError
from orchestrator.contract.device import Browser


def make_driver(path: Path, answer: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def chrome(version: str, name: str = "chrome") -> Browser:
    return Browser(name=name, version=version)


@pytest.mark.parametrize("place", ["chromedriver-201", "201/chromedriver", "201/chromedriver-linux64/chromedriver"])
def test_the_one_of_the_major_version_is_taken(tmp_path: Path, place: str) -> None:
    make_driver(tmp_path / "200" / "chromedriver", "ChromeDriver 200.0.1 (abc)")
    fitting = make_driver(tmp_path / place, "ChromeDriver 201.0.1 (abc)")
    assert find_chromedriver(chrome("201.0.9999.9"), tmp_path) == fitting


def test_what_fits_is_said_where_none_does(tmp_path: Path) -> None:
    make_driver(tmp_path / "chromedriver", "ChromeDriver 200.0.1 (abc)")
    make_driver(tmp_path / "chromedriver-broken", "no such thing")
    with pytest.raises(BrowserStartError) as refused:
        find_chromedriver(chrome("201.0.9999.9"), tmp_path)
    assert "put one of version 201 into" in str(refused.value)
    assert f"200 ({tmp_path / 'chromedriver'})" in str(refused.value)
    assert "broken" not in str(refused.value)


def test_one_that_was_replaced_is_asked_again(tmp_path: Path) -> None:
    driver = make_driver(tmp_path / "chromedriver", "ChromeDriver 200.0.1 (abc)")
    assert find_chromedriver(chrome("200.1"), tmp_path) == driver
    driver.unlink()
    make_driver(driver, "ChromeDriver 201.0.1 (abc)")
    assert find_chromedriver(chrome("201.1"), tmp_path) == driver


@pytest.mark.parametrize(
    ("browser", "words"),
    [
        (chrome("119.0.1"), "The phone's Chrome is version 119.0.1, but 120 or newer is needed: update it"),
        (chrome("95.0.1", "webview"), "The phone's WebView is version 95.0.1.* update Android System WebView"),
    ],
)
def test_a_browser_that_is_too_old_is_named(tmp_path: Path, browser: Browser, words: str) -> None:
    with pytest.raises(BrowserStartError, match=words):
        find_chromedriver(browser, tmp_path)
