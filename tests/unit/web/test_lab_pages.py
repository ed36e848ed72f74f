"""The pages of jobs, runs and devices: what they draw, what they let whom do, and that they take what comes."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from orchestrator.contract.attempt import Artifact
from orchestrator.contract.views import Drain, Reservation, RunCounts
from orchestrator.contract.vocabulary import DeviceState, FaultCode, JobState, RunState
from orchestrator.presentation.fault_words import FAULT_ADVICE, FAULT_MEANINGS
from orchestrator.services.histories import TimeLeft
from orchestrator.services.reading import RunQuery
from tests.unit.cli import samples
from tests.unit.web.hand_made import HandMade, hand_made_app
from tests.unit.web.hand_made_lab import ADMIN, ANN, READER, past_attempt
from tests.unit.web.test_pages import Page, page

MEMORY = {
    "method": "PSS",
    "baseline_bytes": 1,
    "samples": [
        {"at_ms": 250 * step, "total_bytes": 3_000_000 + step, "by_role": {"renderer": 2_000_000, "browser": 1_000_000}}
        for step in range(100)
    ],
}
CONSOLE = {"entries": [{"at": "x", "target": "worker", "level": "error", "text": samples.POISON}], "left_out": 3}
NETWORK = [
    {
        "url": "http://localhost:1/run/r-1.1/model/m.onnx",
        "status": 200,
        "received_bytes": 5_000_000,
        "state": "finished",
    },
    {"url": "http://localhost:1/run/r-1.1/", "status": None, "received_bytes": 10, "state": samples.POISON},
]
EVENTS = [
    {"kind": "phase", "phase": "open", "at_ms": 100, "detail": "open", "received_at": "x", "seq": 0, "error": None},
    {"kind": "phase", "phase": "download", "at_ms": 600, "detail": samples.POISON, "seq": 1},
]
TOLD = {"memory.json": MEMORY, "console.json": CONSOLE, "network.json": NETWORK, "events.json": EVENTS}


@pytest.fixture
def web(reads: HandMade) -> TestClient:
    return TestClient(hand_made_app(reads), follow_redirects=False)


def leave(reads: HandMade, told: Mapping[str, object], run_id: str = "run-1", **report: object) -> None:
    """Gives a run's attempt these artifacts."""
    artifacts = []
    for name, content in told.items():
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sha256 = hashlib.sha256(body).hexdigest()
        (reads.folder / sha256).write_bytes(body)
        artifacts.append(Artifact(name=name, media_type="application/json", sha256=sha256, bytes=len(body)))
    attempt = samples.attempt(report=samples.attempt_report(artifacts=artifacts, **report))
    reads.the_runs[run_id] = samples.run_detail(id=run_id, attempt_list=[attempt])


def ids(read: Page) -> list[str]:
    return [str(found["id"]) for _, found in read.elements if "id" in found]


def actions(read: Page) -> set[str]:
    return {str(form.get("action")) for form in read.all("form") if form.get("method") == "post"}


def test_a_job_draws_a_lane_for_each_device_with_every_outcome(web: TestClient) -> None:
    read = page(web, "/jobs/job-1")
    lanes = [found for tag, found in read.elements if tag == "svg" and found.get("class") == "lane"]
    assert [lane["aria-label"] for lane in lanes] == [
        "Emulated 512 MB: 1 fails, 1 the lab failed",
        "This machine: 1 fits, 1 cancelled, 1 too slow, 1 wrong output, 1 under way",
    ]
    bars = [bar for bar in read.all("rect") if "bar" in str(bar.get("class", "")).split()]
    assert {str(bar["fill"]) for bar in bars} <= {f"url(#{one})" for one in ids(read)}, "every pattern is there"
    assert len({bar["fill"] for bar in bars}) == 7
    for words in ("✘ fails: out-of-memory", "⚠ the lab failed: lease-expired", "▷ under way", "⊘ cancelled"):
        assert words in read.text, words
    assert len(set(ids(read))) == len(ids(read))


def test_ten_thousand_attempts_make_a_page_of_a_bounded_size(web: TestClient, reads: HandMade) -> None:
    reads.the_attempts = [past_attempt(number, device_id=f"device-{number % 40}") for number in range(10_000)]
    read = page(web, "/jobs/job-1")
    bars = [bar for bar in read.all("rect") if "bar" in str(bar.get("class", "")).split()]
    assert 24 * 20 < len(bars) <= 2_000
    assert "more at this place" in read.text
    assert "16 more devices" in read.text
    assert "the newest 50 of 10000 attempts" in read.text
    assert all(0 <= float(str(bar["x"]).rstrip("%")) <= 100 for bar in bars)


def test_a_job_that_runs_says_how_far_it_is_and_follows_its_events(web: TestClient, reads: HandMade) -> None:
    reads.the_jobs = [
        samples.job(state=JobState.ACTIVE, finished_at=None, runs=RunCounts(queued=6, running=1, finished=3))
    ]
    reads.the_time_left = TimeLeft(700, 2_000)
    read = page(web, "/jobs/job-1")
    for words in ("3 of 10 runs have ended", "about 12 min if its devices work for it alone", "33 min of all devices"):
        assert words in read.text, words
    assert [found["data-live"] for _, found in read.elements if "data-live" in found] == ["job=job-1"] * 2
    reads.the_jobs = [samples.job()]
    assert not [found for _, found in page(web, "/jobs/job-1").elements if "data-live" in found]


def test_a_jobs_runs_are_filtered_and_paged(web: TestClient, reads: HandMade) -> None:
    read = page(web, "/jobs/job-1?state=finished&verdict=fails&device=low-end-a&variant=v&cursor=0")
    asked = reads.asked[-1]
    assert isinstance(asked, RunQuery)
    assert (asked.job_id, asked.state, asked.verdict, asked.device_id) == ("job-1", "finished", "fails", "low-end-a")
    assert asked.variant == "v"
    chosen = {option.get("value") for option in read.all("option") if "selected" in option}
    assert {"finished", "fails", "low-end-a"} <= chosen
    page(web, "/jobs/job-1?state=nonsense&verdict=&device=")
    asked = reads.asked[-1]
    assert isinstance(asked, RunQuery)
    assert (asked.state, asked.verdict, asked.device_id) == (None, None, None)


@pytest.mark.parametrize(
    ("who", "submitter", "may"),
    [(ADMIN, "ann", True), (ANN, "ann", True), (ANN, "bob", False), (READER, "rita", False)],
)
def test_who_may_not_cancel_sees_no_button(
    web: TestClient, reads: HandMade, who: object, submitter: str, may: bool
) -> None:
    reads.desk.who = who  # type: ignore[assignment]  # one of the people above
    reads.the_jobs = [samples.job(state=JobState.ACTIVE, submitter=submitter)]
    reads.the_runs["run-9"] = samples.run_detail(
        id="run-9", state=RunState.QUEUED, verdict=None, submitter=submitter, attempt_list=[]
    )
    assert actions(page(web, "/jobs/job-1")) == ({"/jobs/job-1/cancel"} if may else set())
    assert actions(page(web, "/runs/run-9")) == ({"/runs/run-9/cancel"} if may else set())


def test_what_has_ended_cannot_be_cancelled(web: TestClient) -> None:
    assert actions(page(web, "/jobs/job-1")) == set()
    assert actions(page(web, "/runs/run-1")) == set()


def test_a_form_does_what_it_says_and_leads_back(web: TestClient, reads: HandMade) -> None:
    for path, form in (
        ("/jobs/job-1/cancel", {}),
        ("/runs/run-9/cancel", {}),
        ("/devices/d-1/reserve", {"seconds": "3600", "note": "to look at it"}),
        ("/devices/d-1/release", {}),
        ("/devices/d-1/drain", {"note": "new battery"}),
        ("/devices/d-1/undrain", {}),
    ):
        answer = web.post(path, data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, path.rpartition("/")[0])
    assert reads.deeds.done == [
        ("cancel job", "job-1", "root"),
        ("cancel run", "run-9", "root"),
        ("reserve", "d-1", "root", timedelta(hours=1), "to look at it"),
        ("release", "d-1", "root"),
        ("drain", "d-1", "root", "new battery"),
        ("undrain", "d-1", "root"),
    ]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"seconds": "soon"},
        {"seconds": "1"},
        {"seconds": "1e9"},
        {"seconds": "3600", "note": "x" * 501},
        {"a": "b" * 9000},
    ],
)
def test_a_form_that_cannot_be_read_changes_nothing(web: TestClient, reads: HandMade, form: dict[str, str]) -> None:
    answer = web.post("/devices/d-1/reserve", data=form)
    assert answer.status_code == 422
    assert "nothing was changed" in Page(answer.text).text
    assert reads.deeds.done == []


def test_who_may_not_is_refused_on_a_page(web: TestClient, reads: HandMade) -> None:
    reads.desk.who = READER
    for path in ("/jobs/job-1/cancel", "/runs/run-9/cancel", "/devices/d-1/reserve", "/devices/d-1/drain"):
        answer = web.post(path, data={"seconds": "3600"})
        assert answer.status_code == 403
        assert "This was not done" in Page(answer.text).text
    assert reads.deeds.done == []


@pytest.mark.parametrize(
    ("who", "holder", "drained", "may"),
    [
        (READER, None, False, set()),
        (None, None, False, set()),
        (ANN, None, False, {"reserve"}),
        (ANN, "ann", False, {"reserve", "release"}),
        (ANN, "bob", False, set()),
        (ADMIN, None, False, {"reserve", "drain"}),
        (ADMIN, "bob", True, {"release", "undrain"}),
    ],
)
def test_a_device_offers_what_its_reader_may_do(
    web: TestClient, reads: HandMade, who: object, holder: str | None, drained: bool, may: set[str]
) -> None:
    reads.desk.who = who  # type: ignore[assignment]  # one of the people above
    reads.the_devices = [
        samples.device(
            reservation=Reservation(by=holder, until=samples.LATER, note="") if holder else None,
            drain=Drain(by="root", since=samples.NOW, note="") if drained else None,
        )
    ]
    assert actions(page(web, "/devices/this-machine")) == {f"/devices/this-machine/{one}" for one in may}


def test_a_run_draws_its_phases_and_curves(web: TestClient, reads: HandMade) -> None:
    leave(reads, TOLD)
    read = page(web, "/runs/run-1")
    assert "launch 0 ms 812 ms" in read.text
    assert "open 812 ms" in read.text
    assert "download 1.41 s" in read.text, "by the page's events: its report says nothing of phases"
    for words in ("24 of 100 points", "renderer", "model/m.onnx 200 5 MB finished", "3 more are not shown"):
        assert words in read.text, words
    charts = [str(found["data-chart"]) for _, found in read.elements if "data-chart" in found]
    names = ("memory", "first-token", "next-token", "chunks")
    assert charts == [f"/runs/run-1/attempts/1/charts/{name}" for name in names]
    told = web.get(charts[0]).json()
    assert (told["unit"], told["across"], len(told["x"])) == ("bytes", "seconds", 100)
    assert [one["name"] for one in told["series"]] == ["all processes", "renderer", "browser"]
    assert all(len(one["values"]) == 100 for one in told["series"])
    told = web.get(charts[3]).json()
    assert (told["unit"], told["across"], told["x"]) == ("seconds", "chunk", [2, 3, 4, 5, 6])
    assert told["series"] == [{"name": "repetition 2", "values": [pytest.approx(0.28)] * 5}]
    assert web.get(charts[1]).json()["series"][0]["values"] == [0.612, 0.64]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"samples": [{"at_ms": -1}]}',
        b"[" * 100_000,
        b'[{"url": 3}]',
    ],
)
def test_artifacts_that_cannot_be_read_are_left_out(web: TestClient, reads: HandMade, content: bytes) -> None:
    leave(reads, dict.fromkeys(TOLD, content))
    read = page(web, "/runs/run-1")
    assert "console.json" in read.text
    assert web.get("/runs/run-1/attempts/1/charts/memory").status_code == 404


def test_what_artifacts_say_is_text(web: TestClient, reads: HandMade) -> None:
    poisoned = {**MEMORY, "samples": [{"at_ms": 1, "total_bytes": 2, "by_role": {samples.POISON * 500: 1, "b": 1}}]}
    leave(reads, {**TOLD, "memory.json": poisoned})
    read = page(web, "/runs/run-1")
    assert "<script>alert(1)</script>" in read.text
    assert "\u202e" not in read.words
    assert "\x1b" not in read.words
    assert len(read.text) < 20_000


def test_a_chart_that_there_is_not_is_missing(web: TestClient) -> None:
    for path in ("/runs/none/attempts/1/charts/memory", "/runs/run-1/attempts/9/charts/memory", "/devices/x/charts/y"):
        assert web.get(path).status_code == 404


def test_a_fault_is_explained_with_what_the_classifier_saw(web: TestClient) -> None:
    read = page(web, "/runs/run-7")
    for words in (
        "There was not enough memory",
        "It came from the device; another attempt would not help",
        "What the classifier saw: cgroup oom_kill went from 0 to 1",
        "What to do: Take a smaller variant",
        "Attempt 2: reported",
        "Attempt 1: lost",
    ):
        assert words in read.text, words
    assert read.text.index("Attempt 2") < read.text.index("Attempt 1"), "the newest first"


def test_every_fault_has_a_meaning_and_the_docs_advise_the_same() -> None:
    assert set(FAULT_MEANINGS) == set(FAULT_ADVICE) == set(FaultCode)
    sections = Path("docs/faults.md").read_text(encoding="utf-8").replace("`", "").split("\n### ")
    said = {section.split("\n", 1)[0]: " ".join(section.split()) for section in sections}
    for code, advice in FAULT_ADVICE.items():
        assert f"*Do:* {advice[0].lower()}{advice[1:]}" in said[code]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RunState.QUEUED, "waits for its device"),
        (RunState.RUNNING, "being measured now"),
        (RunState.INCONCLUSIVE, "says nothing about the model"),
        (RunState.CANCELLED, "Cancelled by ann"),
        (RunState.EXPIRED, "its time was over"),
    ],
)
def test_a_run_without_a_verdict_says_why(web: TestClient, reads: HandMade, state: RunState, words: str) -> None:
    reads.who_cancelled = "ann"
    reads.the_runs["run-9"] = samples.run_detail(id="run-9", state=state, verdict=None, attempt_list=[])
    assert words in page(web, "/runs/run-9").text


def test_a_devices_health_is_drawn_and_written(web: TestClient) -> None:
    read = page(web, "/devices/this-machine")
    charts = [str(found["data-chart"]) for _, found in read.elements if "data-chart" in found]
    assert charts == [f"/devices/this-machine/charts/{name}" for name in ("battery", "heat", "storage", "latency")]
    told = web.get(charts[0]).json()
    assert (told["unit"], told["across"], told["x"][0]) == ("share", "time", samples.NOW.timestamp())
    assert "11-21 21:30 UTC 100 %" in read.text


def test_a_device_that_tells_nothing_has_no_curves(web: TestClient, reads: HandMade) -> None:
    reads.the_health = []
    read = page(web, "/devices/this-machine")
    assert "its agent has not said" in read.text
    assert not [found for _, found in read.elements if "data-chart" in found]


def test_devices_are_filtered_by_state_and_class(web: TestClient, reads: HandMade) -> None:
    phone = samples.registration(id="pixel", name="Pixel", device_class="phone")
    reads.the_devices = [
        samples.device(classes=["lab tier"]),
        samples.device(registration=phone, state=DeviceState.OFFLINE, reason="unplugged"),
    ]
    for query, found in (
        ("", {"This machine", "Pixel"}),
        ("?state=offline", {"Pixel"}),
        ("?class=phone", {"Pixel"}),
        ("?class=lab+tier", {"This machine"}),
        ("?state=idle&class=phone", set()),
        ("?state=nonsense", {"This machine", "Pixel"}),
    ):
        text = page(web, f"/devices{query}").text
        assert {name for name in ("This machine", "Pixel") if name in text} == found, query
    assert "No device is like that" in page(web, "/devices?class=none").text


def test_long_lists_are_paged(web: TestClient, reads: HandMade) -> None:
    reads.the_devices = [
        samples.device(registration=samples.registration(id=f"d-{n}", name=f"D{n}")) for n in range(101)
    ]
    reads.the_jobs = [samples.job(id=f"job-{n}") for n in range(26)]
    assert "/devices?cursor=100" in page(web, "/devices").links()
    assert "/devices/d-100" in page(web, "/devices?cursor=100").links()
    assert "/jobs?state=finished&cursor=25" in page(web, "/jobs?state=finished").links()
    last = page(web, "/jobs?cursor=25")
    assert "/jobs/job-25" in last.links()
    assert "/jobs" in last.links()


def test_a_label_of_ten_kilobytes_is_shortened(web: TestClient, reads: HandMade) -> None:
    long = "<b>x</b>\n" * 1_200
    reads.the_jobs = [samples.job(left_out=[long], submitter=long[:200])]
    reads.the_devices = [samples.device(reason=long, drain=Drain(by="a", since=datetime.now(UTC), note=long[:500]))]
    for path in ("/jobs", "/jobs/job-1", "/devices", "/devices/this-machine"):
        read = page(web, path)
        assert read.all("b") == []
        assert len(read.text) < 12_000
