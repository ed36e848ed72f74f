"""Real attempts on a simulated low-end phone, in Chrome and in the system's WebView, by full Appium sessions."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend
from tests.phone_bench import PHONE, PhoneBench, phone_bench
from tests.workbench import Tried, built

BROWSERS = ("chrome", "webview")


@pytest.fixture(scope="module")
def phone() -> Iterator[PhoneBench]:
    with phone_bench(profile="low-end") as bench:
        yield bench


@pytest.fixture(scope="module", params=BROWSERS)
def tried(phone: PhoneBench, request: pytest.FixtureRequest) -> tuple[str, Tried]:
    """A tiny model's run in each of the phone's browsers."""
    return request.param, phone.bench.run(built("llama-tiny.q8"), Backend.WASM, PHONE, browser=request.param)


def test_a_model_runs_and_is_measured(tried: tuple[str, Tried]) -> None:
    name, run = tried
    page = run.completed
    report = run.report
    assert report.browser is not None
    assert report.browser.name == name
    assert page.generation_samples
    assert page.environment.user_agent is None or "Android" in page.environment.user_agent
