"""`matrix_page`: how soon ten thousand cells can be used, what they cost to send, and whether they scroll smoothly."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from selenium import webdriver

from orchestrator.contract.catalog import Variant
from tests.bench.history import MOST_CELLS, coordinator_with_past
from tests.bench.lab import Lab, MeasureError
from tests.bench.pairing import Round, interleave, median, ratio_spread, ratios, value_spread
from tests.bench.record import Measurement
from tests.bench.servers import nginx
from tests.bench.trial import LeftOut, Trial
from tests.waiting import wait_until
from tests.web_browser import DESKTOP, WebBrowser, web_browser

_NAME: Final = "matrix_page"
_RUNS: Final = 20_000
_SLOW_FRAME_MS: Final = 50
_WHEEL_TURNS: Final = 60
_WHEEL_PIXELS: Final = (100, 20)
"""To the right and down: there are more devices than builds."""
_SETTLED_MS: Final = 1500
_WATCH: Final = """
window.answered = null; window.longest = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
}).observe({ type: 'longtask', buffered: true });
let pressed = false;
addEventListener('keydown', (event) => { pressed ||= event.key === 'ArrowDown'; }, true);
addEventListener('focusin', ({ target }) => {
  if (pressed && window.answered === null && target.matches('table.matrix td > a'))
    requestAnimationFrame(() => setTimeout(() => { window.answered = performance.now(); }));
}, true);
"""
"""Notes when the first arrow key has been answered and painted, in milliseconds since the navigation began."""
_FRAMES: Final = """
window.frames_ms = []; let before = performance.now();
const note = (now) => { window.frames_ms.push(now - before); before = now; requestAnimationFrame(note); };
requestAnimationFrame(note);
"""
_SIDES: Final = ("left", "top")
_EMPTY: Final = """<!doctype html><title>empty</title>
<div class="sheet" style="height:600px;overflow:auto"><div style="height:9000px;width:9000px">empty</div></div>"""


@dataclass(frozen=True)
class _Opened:
    answered_ms: float
    longest_task_ms: float
    sent_bytes: int


class MatrixPage:
    names = tuple(f"{_NAME}/{what}" for what in ("interactive", "longest_task", "scrolling", "transferred"))
    heavy = False

    def __init__(self, nginx_binary: str) -> None:
        self._nginx = nginx_binary

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fm-page-")))
            coordinator, _ = stack.enter_context(coordinator_with_past("sqlite", _RUNS))
            page = httpx.get(f"{coordinator.url}/", timeout=60)
            plain = stack.enter_context(nginx(_copy(coordinator.url, page.text, scratch), self._nginx, scratch))
            browser = stack.enter_context(web_browser(scratch / "profile", performance=True))
            _check(page.text)
            opened: dict[str, list[_Opened]] = {"coordinator": [], "plain": []}

            def open_one(side: str, url: str) -> float:
                opened[side].append(_open(browser, url))
                return opened[side][-1].answered_ms / 1000

            def report(number: int, one: Round) -> None:
                lab.say(f"{_NAME}: round {number}: {one['coordinator']:.2f} s against {one['plain']:.2f} s")

            sides = {
                "coordinator": lambda: open_one("coordinator", f"{coordinator.url}/"),
                "plain": lambda: open_one("plain", plain.url),
            }
            rounds = interleave(sides, lab.patience, report)
            yield from _loading(rounds, opened["coordinator"], len(page.content))
            yield _scrolling(_jank(browser, f"{coordinator.url}/"), _jank(browser, f"{plain.url}empty.html"))


def trials(_variants: dict[str, Variant]) -> tuple[Sequence[Trial], Sequence[LeftOut]]:
    """One trial where there is an nginx to compare with."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        return [], [LeftOut(_NAME, "nginx is missing: run deploy/setup/nginx.sh")]
    return [MatrixPage(binary)], []


def _loading(rounds: Sequence[Round], opened: Sequence[_Opened], whole_bytes: int) -> Iterator[Measurement]:
    seconds = [one["coordinator"] for one in rounds]
    shares = ratios(rounds, "coordinator", "plain")
    baseline = median([one["plain"] for one in rounds])
    yield Measurement(
        name=f"{_NAME}/interactive",
        value=median(seconds),
        unit="s",
        baseline=f"the same page and files from nginx: {baseline:.3g} s",
        ratio=median(shares),
        target="≤ 1.5 s",
        n=len(rounds),
        spread=ratio_spread(shares),
        note=f"{MOST_CELLS} cells, nothing cached by the browser: until the first arrow key is answered and painted",
    )
    tasks = [one.longest_task_ms for one in opened]
    yield Measurement(
        name=f"{_NAME}/longest_task",
        value=median(tasks),
        unit="ms",
        n=len(tasks),
        spread=value_spread(tasks),
        note="the longest that the page's main thread was busy in one go while it loaded",
    )
    sent = [float(one.sent_bytes) for one in opened]
    yield Measurement(
        name=f"{_NAME}/transferred",
        value=median(sent),
        unit="bytes",
        baseline=f"the HTML alone, uncompressed: {whole_bytes} bytes",
        ratio=median(sent) / whole_bytes,
        target="≤ 500,000 bytes",
        n=len(sent),
        note="all files of the page as they went over the wire, by the browser's own count",
    )


def _scrolling(frames: Sequence[float], empty: Sequence[float]) -> Measurement:
    slow, slow_empty = (sum(frame > _SLOW_FRAME_MS for frame in some) / len(some) for some in (frames, empty))
    return Measurement(
        name=f"{_NAME}/scrolling",
        value=slow,
        unit="share",
        baseline=f"an empty box: {slow_empty:.3g}, p99 {np.percentile(empty, 99):.0f} ms",
        n=len(frames),
        note=f"frames that took more than {_SLOW_FRAME_MS} ms while the wheel was turned; "
        f"p99 {np.percentile(frames, 99):.0f} ms",
    )


def _copy(url: str, html: str, scratch: Path) -> Path:
    """The page and its files as they would lie on a plain web server."""
    root = scratch / "root"
    (root / "static").mkdir(parents=True)
    (root / "index.html").write_text(html)
    (root / "empty.html").write_text(_EMPTY)
    for part in html.split("/static/")[1:]:
        name = part.partition("?")[0]
        (root / "static" / name).write_bytes(httpx.get(f"{url}/static/{name}").content)
    for folder in (scratch, root, root / "static"):
        folder.chmod(0o755)
    return root


def _check(html: str) -> None:
    cells = html.count('<a href="/cells/')
    if cells != MOST_CELLS:
        raise MeasureError(f"the page shows {cells} cells, not {MOST_CELLS}")


def _open(browser: WebBrowser, url: str) -> _Opened:
    driver = browser.driver
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
    try:
        browser.open("about:blank", DESKTOP)
        _sent(driver)
        driver.execute_cdp_cmd("Page.navigate", {"url": url})
        key = {"key": "ArrowDown", "code": "ArrowDown", "windowsVirtualKeyCode": 40}

        def answered() -> float | None:
            browser.ask("document.querySelector('table.matrix td > a[tabindex=\"0\"]')?.focus()")
            for kind in ("rawKeyDown", "keyUp"):
                driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, **key})
            found: float | None = browser.ask("window.answered")
            return found

        milliseconds = wait_until(answered, what="an answered arrow key")
        wait_until(lambda: browser.ask("document.readyState") == "complete", what="the whole page")
        wait_until(lambda: browser.ask("performance.now()") > milliseconds + _SETTLED_MS, what="a settled page")
        return _Opened(float(milliseconds), float(browser.ask("window.longest")), _sent(driver))
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def _sent(driver: webdriver.Chrome) -> int:
    """Bytes over the wire since it was last asked."""
    entries: list[dict[str, Any]] = driver.get_log("performance")  # type: ignore[no-untyped-call]  # selenium does not say its type
    messages = [json.loads(entry["message"])["message"] for entry in entries]
    return sum(
        int(one["params"]["encodedDataLength"]) for one in messages if one["method"] == "Network.loadingFinished"
    )


def _jank(browser: WebBrowser, url: str) -> list[float]:
    """How long each frame took while the wheel was turned."""
    browser.open(url, DESKTOP)
    browser.wait_for("document.readyState === 'complete'")
    browser.ask("document.querySelector('.sheet').scrollIntoView()")
    browser.driver.execute_script(_FRAMES)
    left, top = (browser.ask(f"document.querySelector('.sheet').getBoundingClientRect().{side}") for side in _SIDES)
    right, down = _WHEEL_PIXELS
    wheel = {"type": "mouseWheel", "x": left + 300, "y": top + 250, "deltaX": right, "deltaY": down}
    for _ in range(_WHEEL_TURNS):
        browser.driver.execute_cdp_cmd("Input.dispatchMouseEvent", wheel)
    # Scrolling goes on smoothly after the last turn.
    if not browser.wait_for(f"document.querySelector('.sheet').scrollLeft > {_WHEEL_TURNS * right // 2}"):
        raise MeasureError("the wheel did not scroll the matrix")
    return [float(frame) for frame in browser.ask("window.frames_ms")]
