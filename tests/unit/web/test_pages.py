"""The pages with hand-made data: what they say, and that nothing from outside becomes markup."""

import inspect
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient

from orchestrator.api.exports import ExportFormat
from orchestrator.api.matrix import cell_filter
from orchestrator.client.cell_filters import CellFilters
from orchestrator.contract.views import (
    Drain,
    Reservation,
)
from orchestrator.contract.vocabulary import CellVerdict, FaultCode, Mark, Phase, Purpose, RunState
from orchestrator.presentation.words import plain
from orchestrator.web.assets import asset_address
from orchestrator.web.matrix_form import CHOSEN_BY
from tests.unit.cli import matrix_samples, samples
from tests.unit.domain.builders import adapter, device_probe
from tests.unit.web.hand_made import HandMade, poison

VOID = {"meta", "link", "img", "br", "input", "line", "circle"}


class Page(HTMLParser):
    """Elements, their text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"

    @property
    def text(self) -> str:
        return " ".join(self.words.split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self) -> list[str | None]:
        return [attributes.get("href") for attributes in self.all("a")]


def page(web: TestClient, path: str, status: int = 200) -> Page:
    response = web.get(path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    read = Page(response.text)
    assert read.open == []
    return read


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/jobs",
        "/devices",
        "/audiences",
        "/audiences/our-site",
        "/audiences/none",
        "/compare",
        "/compare?vary=backend&a=webgpu&b=wasm",
        "/runs/run-1",
        "/runs/run-5",
        "/runs/run-6",
        "/runs/run-7",
        "/jobs/job-1",
        "/devices/this-machine",
        "/runs/none",
        "/jobs/none",
        "/devices/none",
    ],
)
def test_every_page_lives_under_a_strict_policy(web: TestClient, reads: HandMade, path: str) -> None:
    poison(reads)
    response = web.get(path)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    read = page(web, path, 404 if "none" in path else 200)
    assert read.all("style") == []
    scripts = [(script.get("src") or "").partition("?")[0] for script in read.all("script")]
    assert scripts[:4] == [f"/static/{name}.js" for name in ("theme", "htmx", "idiomorph", "live")]
    attributes = [name for _, found in read.elements for name in found]
    assert not [name for name in attributes if name == "style" or name.startswith("on")]
    addresses = [found[name] or "" for _, found in read.elements for name in ("src", "href") if name in found]
    assert all(address.startswith(("/", "?", "#", "http://localhost:")) for address in addresses)


@pytest.mark.parametrize("path", ["/", "/devices", "/runs/run-1", "/devices/this-machine", "/audiences/our-site"])
def test_names_from_outside_are_text(web: TestClient, reads: HandMade, path: str) -> None:
    poison(reads)
    read = page(web, path)
    assert plain(samples.POISON) in read.text
    assert "\u202e" not in read.words
    assert "\x1b" not in read.words


def test_the_matrix_shows_verdict_figure_interval_and_marks(web: TestClient) -> None:
    read = page(web, "/")
    for words in (
        "✔ fits 11.3 tok/s 5/5 62–100 %",
        "✘ out-of-memory @download 0/2 0–67 %",
        "◐ too slow 1.83 tok/s",
        "≠ wrong output",
        "? unsettled 47 ms 3/4",
        "⚙ emulated",
        "◇ synthetic",
        "software GPU",
        "pp32/tg16",
        "Chrome was started with --enable-unsafe-webgpu",
        "Throughout: fits when decode ≥ 5 tok/s",
    ):
        assert words in read.text, words
    assert len([link for link in read.links() if link and link.startswith("/cells/")]) == 10


def test_the_matrix_is_a_table_for_screen_readers(web: TestClient) -> None:
    read = page(web, "/")
    (table,) = read.all("table")
    assert (table["role"], table["aria-label"]) == ("grid", "build ↓ · device →")
    assert {header.get("scope") for header in read.all("th")} == {"col", "row", None}
    assert all(meta.get("name") != "viewport" or meta.get("content") for meta in read.all("meta"))


def test_the_matrix_leads_to_its_exports_with_the_filters_of_the_page(web: TestClient) -> None:
    def exports(query: str) -> list[str]:
        links = page(web, f"/?{query}").links()
        return [link for link in links if link and link.startswith("/api/v1/matrix/export?")]

    assert exports("")[0] == "/api/v1/matrix/export?format=csv"
    formats = [dict(parse_qsl(urlsplit(address).query))["format"] for address in exports("")]
    assert set(formats) == set(ExportFormat)
    filtered = exports("backend=wasm&origin=physical&label=suite%3Dnightly&since=2026-01-02&rows=family")
    assert parse_qsl(urlsplit(filtered[0]).query) == [
        ("format", "csv"),
        ("backend", "wasm"),
        ("origin", "physical"),
        ("label", "suite=nightly"),
        ("since", "2026-01-02T00:00:00+00:00"),
    ]


def test_the_api_the_client_and_the_page_choose_cells_by_the_same() -> None:
    known = set(inspect.signature(cell_filter).parameters)
    assert {*map(str, CHOSEN_BY), "label", "since", "until"} == known == set(CellFilters.__annotations__)


def test_an_imported_cell_has_no_runs_here(web: TestClient, reads: HandMade) -> None:
    reads.matrix.shown = matrix_samples.matrix(
        matrix_samples.cell(imported_from="field-2026", last_run="", device="field-2026.phone")
    )
    assert "⇩ imported from field-2026" in page(web, "/").text
    read = page(web, f"/cells/{reads.matrix.cells[0].key}")
    assert "this lab did not measure it" in read.text
    assert "An imported cell has no runs here" in read.text
    assert "/?origin=imported" in read.links()
    assert not [link for link in read.links() if link and link.startswith(("/runs/", "/devices/"))]
    assert "⇩ imported from field-2026" in page(web, f"/cells/{reads.matrix.cells[0].key}/card").text


@pytest.mark.parametrize(
    ("verdict", "outcome", "often"),
    [
        (CellVerdict.FAILS, "✘ out-of-memory @init", ""),
        (CellVerdict.FITS, "✔ fits", "Runs that failed did so most often with out-of-memory @init."),
        (CellVerdict.UNSETTLED, "? unsettled", "Runs that failed did so most often with out-of-memory @init."),
    ],
)
def test_a_cell_says_what_its_fault_means_and_what_to_do(
    web: TestClient, reads: HandMade, verdict: CellVerdict, outcome: str, often: str
) -> None:
    changes = {"verdict": verdict, "fault": FaultCode.OUT_OF_MEMORY, "phase": Phase.INIT, "successes": 4}
    reads.matrix.shown = matrix_samples.matrix(matrix_samples.cell(**changes))
    text = page(web, f"/cells/{reads.matrix.cells[0].key}").text
    assert f"{outcome} 4 of 5" in text
    assert f"{often} There was not enough memory".strip() in text
    assert "What to do: Take a smaller variant" in text
    assert ("@init" in page(web, "/").text) is (verdict is not CellVerdict.FITS)


def test_runs_are_listed_with_the_names_of_their_jobs(web: TestClient, reads: HandMade) -> None:
    assert "job nightly job-1 " in page(web, "/runs/run-1").text
    assert "nightly job-1 " in page(web, f"/cells/{reads.matrix.cells[0].key}").text
    read = page(web, "/devices/this-machine")
    assert "/jobs/job-1" in read.links()


def test_an_empty_matrix_says_what_to_do(web: TestClient, reads: HandMade) -> None:
    reads.matrix.shown = matrix_samples.matrix()
    assert "fitmatrix submit JOB.yaml --wait" in page(web, "/").text


def test_a_slot_of_cells_that_no_layout_tells_apart_leads_to_each_of_them(web: TestClient, reads: HandMade) -> None:
    twice = [matrix_samples.cell(model_bytes=size) for size in (170_000_000, 142_000_000)]
    reads.matrix.shown = matrix_samples.matrix(*twice, matrix_samples.cell(variant="another"))
    whole = page(web, "/")
    assert "The 2 cells of this slot" not in whole.text
    (slot,) = [link for link in whole.links() if link and link.startswith("/?") and "smollm2-135m-instruct-q8" in link]
    assert "Σ several cells taken together" in whole.text
    read = page(web, slot)
    assert "The 2 cells of this slot" in read.text
    assert {f"/cells/{cell.key}" for cell in reads.matrix.cells[:2]} | {"#cells"} <= set(read.links())
    for words in ("smollm2-135m-instruct-q8 wasm, 170 MB ✔ fits", "smollm2-135m-instruct-q8 wasm, 142 MB ✔ fits"):
        assert words in read.text, words


def test_a_compact_matrix_says_what_is_emulated_and_synthetic(web: TestClient) -> None:
    told = web.get("/?density=compact").text
    assert '<span class="name">Emulated 512 MB</span><span><em class="mark">⚙ emulated</em>' in told
    assert '<span class="name">tiny-gemma-int8-bin</span><span><em class="mark">◇ synthetic</em> · ' in told


@pytest.mark.parametrize(
    ("path", "leads_to"), [("/runs/x", "/jobs"), ("/jobs/x", "/jobs"), ("/devices/x", "/devices"), ("/cells/x", "/")]
)
def test_what_is_not_there_leads_to_what_is(web: TestClient, path: str, leads_to: str) -> None:
    kind = path.split("/")[1].removesuffix("s")
    read = page(web, path, 404)
    assert f"There is no {kind} x" in read.text
    assert leads_to in read.links()[-2:]


def test_an_address_that_leads_nowhere_is_told_by_a_page_to_readers_alone(web: TestClient) -> None:
    for path in ("/nothing/here", "/api/v1/nothing"):
        told = web.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
        assert told.status_code == 404
        assert told.headers["content-type"].startswith("text/html") is path.startswith("/nothing")
    read = Page(web.get("/nothing/<b>", headers={"Accept": "text/html"}).text)
    assert "There is no page /nothing/<b>" in read.text
    assert web.get("/nothing").headers["content-type"] == "application/json"


def test_empty_lists_say_what_to_do(web: TestClient, reads: HandMade) -> None:
    reads.the_devices, reads.the_jobs = [], []
    assert "fitmatrix-agent run --coordinator ADDRESS" in page(web, "/devices").text
    assert "fitmatrix submit JOB.yaml --wait" in page(web, "/jobs").text


def test_a_run_shows_why_and_how_to_look_oneself(web: TestClient) -> None:
    read = page(web, "/runs/run-7")
    for words in (
        "✘ out-of-memory @download",
        "cgroup oom_kill went from 0 to 1",
        "lease-expired",
        "1, kept and not counted",
        "all bodies, as served 160 000 000 B 17 answers",
        "repetition 1: 32 tokens in",
        "RangeError no room",
    ):
        assert words in read.text, words
    assert "http://localhost:8700/run/run-1.1/s3cret/" in read.links()
    assert f"/runs/run-7/artifacts/{samples.SHA}" in [image.get("src") for image in read.all("img")]


def test_a_run_shows_loads_labels_throttling_and_its_repetitions(web: TestClient) -> None:
    read = page(web, "/runs/run-5")
    for words in (
        "keeps 80 % of its speed",
        "POSITIVE 0.98, NEGATIVE 0.02",
        "cold load 2.31 s 160 000 000 B from the network",
        "warm load 410 ms 0 B from the network, 137 000 000 B from the cache",
        "JS heap 31 MB workers' JavaScript in performance.measureUserAgentSpecificMemory()",
        "WebGPU 48 MB peak; largest buffer 28 MB",
        "latencies in ms: 20, 20",
    ):
        assert words in read.text, words
    assert "1 20 ms 2 20 ms" in read.text, "the curve's table"
    assert "20 25 ms" in read.text


def test_a_probing_run_shows_what_it_found(web: TestClient) -> None:
    read = page(web, "/runs/run-6")
    for words in ("without a model", "matrix, webgpu 89.5 GFLOP/s", "WASM SIMD, threads", "stopped at the bound"):
        assert words in read.text, words
    assert "fits when" not in read.text


def test_devices_show_what_their_last_probe_found(web: TestClient, reads: HandMade) -> None:
    poisoned = adapter(vendor=samples.POISON[:100], features=[samples.POISON])
    reads.the_devices = [samples.device(probes={"chromium": device_probe(adapter=poisoned)}), samples.device()]
    read = page(web, "/devices")
    assert "not probed" in read.text
    assert "wasm 4.2 GFLOP/s, webgpu 89.5 GFLOP/s" in read.text
    assert "largest buffer 2 GiB" in read.text
    assert len(read.all("details")) == 1
    assert "\x1b" not in read.words


def test_a_device_has_a_page_with_its_state_health_browsers_and_history(web: TestClient, reads: HandMade) -> None:
    reads.the_devices = [samples.sick_device(probes={"webview": device_probe()})]
    health = samples.run_detail(id="run-8", device_id="lab.pixel", purpose=Purpose.HEALTH, marks=[Mark.THROTTLED])
    reads.the_runs["run-8"] = health
    read = page(web, "/devices/lab.pixel")
    for words in (
        "Pixel quarantined 3 runs wait for it",
        samples.SICK_REASON,
        "health run due",
        "3 in a row",
        "83 %, not charging",
        "41 °C, severe throttling",
        "3 d ahead of its host's",
        "chrome: chrome 156.0.1 (stable)",
        "intel gen-12lp",
        "run-8 ✔ fits ↓ throttled",
        "health run",
    ):
        assert words in read.text, words
    assert "/runs/run-8" in read.links()
    assert "/devices/lab.pixel" in page(web, "/devices").links()
    assert "battery 83 %" in page(web, "/devices").text
    run_page = page(web, "/runs/run-8")
    for words in ("shows whether the device works", "↓ throttled: the device slowed itself down"):
        assert words in run_page.text, words


def test_a_device_without_a_browser_says_that_nothing_runs_on_it(web: TestClient, reads: HandMade) -> None:
    reads.the_devices = [samples.device(registration=samples.registration(browsers=[]))]
    assert "nothing runs on it" in page(web, "/devices/this-machine").text


def test_a_run_that_waits_has_a_page(web: TestClient, reads: HandMade) -> None:
    reads.the_runs["run-9"] = samples.run_detail(
        state=RunState.QUEUED, verdict=None, validation=None, finished_at=None, attempt_list=[]
    )
    text = page(web, "/runs/run-9").text
    for words in ("queued", "What it waits for", "reserved lab.pixel: ann has it until", "behind-others 2 runs"):
        assert words in text, words
    assert "What it waits for" not in page(web, "/runs/run-1").text


def test_a_device_says_who_has_it_and_what_the_lab_counts_it_among(web: TestClient, reads: HandMade) -> None:
    reads.the_devices = [
        samples.device(
            reservation=Reservation(by="ann", until=samples.LATER, note=samples.POISON),
            drain=Drain(by="lab lead", since=samples.NOW, note="new battery"),
            classes=["low-end phone"],
            pools=["phones"],
        )
    ]
    text = page(web, "/devices/this-machine").text
    for words in (
        "reserved by ann until 2026-11-21 21:31 UTC: a|b [red]x",
        "drained by lab lead since 2026-11-21 21:30 UTC: new battery",
        "lab's classes low-end phone",
        "pools phones",
    ):
        assert words in text, words


def test_a_job_lists_its_runs(web: TestClient) -> None:
    read = page(web, "/jobs/job-1")
    assert "2 of 2 cells are settled" in read.text
    assert "5 finished" in read.text
    assert "the build has no WASM path" in read.text
    assert {"/runs/run-1", "/runs/run-9"} <= set(read.links())


def test_jobs_are_listed(web: TestClient) -> None:
    read = page(web, "/jobs")
    assert "/jobs/job-1" in read.links()
    assert "2 of 2 cells" in read.text


@pytest.mark.parametrize("name", ["style.css", "htmx.js", "idiomorph.js", "uplot.js", "uplot.css"])
def test_a_pages_files_are_kept_as_long_as_they_are_the_same_and_go_out_compressed(web: TestClient, name: str) -> None:
    address = asset_address(name)
    kept = web.get(address)
    assert (kept.status_code, kept.headers["content-encoding"]) == (200, "gzip")
    assert "immutable" in kept.headers["cache-control"]
    assert web.get(address + "0").headers["cache-control"] == "no-cache"
    plain_one = web.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain_one.headers
    assert plain_one.content == kept.content
    assert int(kept.headers["content-length"]) < len(kept.content)


def test_what_is_not_there_is_said(web: TestClient) -> None:
    assert "There is no run <b>x" in page(web, "/runs/%3Cb%3Ex", 404).text


def test_an_artifact_is_shown_only_as_what_is_safe(web: TestClient, reads: HandMade) -> None:
    (reads.folder / samples.SHA).write_bytes(b"<script>alert(1)</script>")
    shown = web.get(f"/runs/run-1/artifacts/{samples.SHA}")
    assert shown.headers["content-type"] == "image/png"
    assert "content-disposition" not in shown.headers
    poison(reads)
    offered = web.get(f"/runs/run-1/artifacts/{samples.SHA}")
    assert offered.headers["content-type"] == "application/octet-stream"
    assert offered.headers["content-disposition"] == "attachment"
    for response in (shown, offered):
        assert "sandbox" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", [f"/runs/run-1/artifacts/{'ef' * 32}", f"/runs/none/artifacts/{samples.SHA}", "/static/../router.py"]
)
def test_only_a_runs_own_artifacts_and_the_pages_own_files_are_sent(web: TestClient, path: str) -> None:
    assert web.get(path).status_code == 404


def test_an_artifact_that_is_gone_is_missing(web: TestClient) -> None:
    assert web.get(f"/runs/run-1/artifacts/{samples.SHA}").status_code == 404


@pytest.mark.parametrize(
    ("name", "kind"), [("style.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
def test_the_pages_own_files_are_sent(web: TestClient, name: str, kind: str) -> None:
    response = web.get(f"/static/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
