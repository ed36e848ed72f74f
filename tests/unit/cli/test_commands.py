"""Every command against a coordinator of canned answers: what is printed, what the exit code says."""

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import typer

from orchestrator.api.examples import MATRIX_VIEW
from orchestrator.cli.main import app
from orchestrator.contract.matrix import Matrix, MatrixView
from orchestrator.contract.views import DeviceEstimate, JobPreview, Problem, ProblemField, RunCounts
from orchestrator.contract.vocabulary import JobState, RunState, Verdict
from tests.unit.cli import matrix_samples, samples
from tests.unit.cli.conftest import FakeCoordinator, fitmatrix

NOBODY = "http://127.0.0.1:9"


def _commands(group: typer.Typer) -> Iterator[str]:
    """All that there are, as they are typed."""
    for command in group.registered_commands:
        yield command.name or command.callback.__name__  # type: ignore[union-attr]  # each has one
    for part in group.registered_groups:
        assert part.typer_instance is not None
        yield from (f"{part.name} {command}" for command in _commands(part.typer_instance))


COMMANDS = sorted(_commands(app))


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("name: nightly\nvariants:\n  - smollm2-135m-instruct-q8\n  - nope\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_an_example_and_exit_codes(command: str) -> None:
    result = fitmatrix(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"$ fitmatrix {command}" in result.output
    assert "Exit codes: 0" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_flows_to_the_width_of_a_terminal(command: str) -> None:
    output = fitmatrix(*command.split(), "--help", columns=80).output
    lines = [line.strip() for line in output.splitlines()]
    about = lines[: next(index for index, line in enumerate(lines) if line.startswith("╭"))]
    for line, following in itertools.pairwise(about):
        assert not line or not following or len(f"{line} {following.split()[0]}") > 78, "a line ends where it is full"
    (examples,) = re.findall(r"Examples:(.*)Exit codes:", output, re.DOTALL)
    assert all(line.strip().startswith("$ fitmatrix ") for line in examples.splitlines() if line.strip()), examples


def test_help_needs_neither_the_coordinator_nor_the_agent() -> None:
    heavy = ("fastapi", "sqlalchemy", "celery", "redis", "uvicorn", "selenium", "httpx", "pydantic")
    code = (
        "import sys\n"
        f"for name in {heavy}: sys.modules[name] = None\n"
        "from orchestrator.cli.main import app\n"
        "app(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "submit" in done.stdout


@pytest.mark.parametrize("command", ["up", "coordinator"])
def test_a_missing_extra_is_a_sentence(command: str) -> None:
    code = (
        "import sys\n"
        "for name in ('fastapi', 'celery', 'uvicorn', 'sqlalchemy'): sys.modules[name] = None\n"
        "from orchestrator.cli.main import app\n"
        f"app(['{command}'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "pip install 'fitmatrix[coordinator]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs"],
        ["job", "j"],
        ["runs"],
        ["run", "r"],
        ["devices"],
        ["models", "list"],
        ["matrix"],
        ["devices", "show", "d"],
        ["devices", "probe"],
    ],
)
def test_without_a_coordinator_every_command_says_so(arguments: list[str]) -> None:
    result = fitmatrix(*arguments, server=NOBODY)
    assert result.exit_code == 3
    assert NOBODY in result.stderr
    assert "fitmatrix up" in result.stderr
    assert result.stdout == ""


def test_submit_without_a_coordinator(job_file: Path) -> None:
    assert fitmatrix("submit", str(job_file), server=NOBODY).exit_code == 3


def test_an_unknown_id_is_bad_input(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/x", Problem(title="Not found", status=404, detail="no run x"), status=404)
    result = fitmatrix("run", "x", server=coordinator.url)
    assert result.exit_code == 2
    assert "Not found: no run x" in result.stderr


def test_a_failing_coordinator_is_not_bad_input(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix", b"oops", status=500)
    assert fitmatrix("matrix", server=coordinator.url).exit_code == 3


def test_submit_sends_the_file_and_shows_the_job(coordinator: FakeCoordinator, job_file: Path) -> None:
    coordinator.answer("POST /api/v1/jobs", samples.job(), status=201)
    result = fitmatrix("submit", str(job_file), "--idempotency-key", "k1", server=coordinator.url)
    assert result.exit_code == 0
    assert "job-1" in result.stdout
    assert "tiny-gemma-int8-bin on wasm: the build has no WASM path" in result.stdout
    ((_, _, headers, body),) = coordinator.requests
    assert body == {"name": "nightly", "variants": ["smollm2-135m-instruct-q8", "nope"]}
    assert headers["Idempotency-Key"] == "k1"


def test_submit_reads_standard_input(coordinator: FakeCoordinator) -> None:
    coordinator.answer("POST /api/v1/jobs", samples.job(), status=201)
    result = fitmatrix("submit", "-", "--format", "json", server=coordinator.url, stdin="name: x\nvariants: [a]\n")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["id"] == "job-1"
    assert coordinator.requests[0][3] == {"name": "x", "variants": ["a"]}


def test_a_dry_run_shows_what_would_be_and_creates_nothing(coordinator: FakeCoordinator, job_file: Path) -> None:
    times = {"a": 250.0, "b": 40.0}
    devices = [DeviceEstimate(device_id=name, runs=2, device_seconds=times[name]) for name in times]
    preview = JobPreview(runs=4, cells=5, reused=1, devices=devices, left_out=["x on wasm: no"])
    coordinator.answer("POST /api/v1/jobs/preview", preview)
    result = fitmatrix("submit", str(job_file), "--dry-run", server=coordinator.url)
    assert result.exit_code == 0
    assert [(method, path) for method, path, *_ in coordinator.requests] == [("POST", "/api/v1/jobs/preview")]
    said = " ".join(result.stdout.split())
    assert "4 would be queued, in 5 cells" in said
    assert "1 cell is answered by earlier results" in said
    assert "about 4 min 50 s together" in said
    assert "about 4 min 10 s if every device is free" in said
    assert "x on wasm: no" in said
    assert "Nothing was created" in said
    as_json = fitmatrix("submit", str(job_file), "--dry-run", "--format", "json", server=coordinator.url)
    assert json.loads(as_json.stdout) == preview.model_dump(mode="json")


def test_cancel_takes_a_job_or_a_run(coordinator: FakeCoordinator) -> None:
    coordinator.answer("POST /api/v1/jobs/j-1/cancel", samples.job(id="j-1", state=JobState.CANCELLED))
    ended = samples.run_detail(id="r-1", state=RunState.CANCELLED, verdict=None, attempt_list=[])
    coordinator.answer("POST /api/v1/runs/r-1/cancel", ended)
    for name in ("j-1", "r-1"):
        result = fitmatrix("cancel", name, server=coordinator.url)
        assert result.exit_code == 0, result.output
        assert name in result.stdout
        assert "cancelled" in result.stdout
    as_json = fitmatrix("cancel", "r-1", "--format", "json", server=coordinator.url)
    assert json.loads(as_json.stdout)["state"] == "cancelled"


def test_a_job_says_who_submitted_it_what_bounds_it_and_what_expired(coordinator: FakeCoordinator) -> None:
    spec = samples.job_spec(
        variants='task == "text-generation"', expires=samples.LATER, timeouts={"queue": 90}, reuse={"days": 7}
    )
    job = samples.job(spec=spec, submitter="nightly", runs=RunCounts(finished=2, cancelled=1, expired=3))
    coordinator.answer("GET /api/v1/jobs/job-1", job)
    said = " ".join(fitmatrix("job", "job-1", server=coordinator.url).stdout.split())
    for words in (
        "submitter nightly",
        'those with task == "text-generation"',
        "expires 2026-11-21 21:31:05 UTC",
        "90 s at most for a run to begin",
        "results of the last 7 days",
        "3 expired, 1 cancelled, 2 finished",
    ):
        assert words in said
    coordinator.answer("GET /api/v1/jobs", [job])
    assert "nightly" in fitmatrix("jobs", server=coordinator.url).stdout


def test_a_reused_run_says_whose_result_it_has(coordinator: FakeCoordinator) -> None:
    run = samples.run_detail(reused_from="r-source", attempts=0, attempt_list=[])
    coordinator.answer("GET /api/v1/runs/run-1", run)
    coordinator.answer("GET /api/v1/runs", [run])
    assert "the result of r-source" in fitmatrix("run", "run-1", server=coordinator.url).stdout
    assert "reused" in fitmatrix("runs", server=coordinator.url).stdout


def test_a_rejected_job_names_field_line_value_and_what_is_allowed(
    coordinator: FakeCoordinator, job_file: Path
) -> None:
    problem = Problem(
        title="The job is not valid",
        status=422,
        detail="nothing was created",
        errors=[ProblemField(field="variants[1]", value=samples.POISON, allowed="one of the catalog")],
    )
    coordinator.answer("POST /api/v1/jobs", problem, status=422)
    result = fitmatrix("submit", str(job_file), server=coordinator.url)
    assert result.exit_code == 2
    assert "variants[1] (line 4)" in result.stderr
    assert "allowed: one of the catalog" in result.stderr
    assert "\x1b" not in result.stderr


def test_malformed_yaml_never_reaches_the_coordinator(coordinator: FakeCoordinator, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: [", encoding="utf-8")
    result = fitmatrix("submit", str(path), server=coordinator.url)
    assert result.exit_code == 2
    assert f"{path}, line 1, column 8" in result.stderr
    assert coordinator.requests == []


@pytest.fixture
def running_job(coordinator: FakeCoordinator, monkeypatch: pytest.MonkeyPatch) -> FakeCoordinator:
    """A job that is active when it is first asked for, finished the second time."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    active = samples.job(
        state=JobState.ACTIVE, settled_cells=1, finished_at=None, runs=RunCounts(queued=3, running=1, finished=1)
    )
    coordinator.answer("POST /api/v1/jobs", active, status=201)
    coordinator.answer("GET /api/v1/jobs/job-1", active, samples.job())
    coordinator.answer("GET /api/v1/runs", [samples.run()])
    coordinator.answer("GET /api/v1/devices", [samples.device()])
    coordinator.answer("GET /api/v1/matrix", matrix_samples.demo_matrix())
    return coordinator


def test_waiting_ends_with_the_jobs_part_of_the_matrix(running_job: FakeCoordinator, job_file: Path) -> None:
    result = fitmatrix("submit", str(job_file), "--wait", server=running_job.url)
    assert result.exit_code == 0
    assert "1/2 cells settled; runs: 1 finished, 1 running, 3 queued" in result.stdout
    assert "2/2 cells settled" in result.stdout
    assert result.stdout.count("run-1  ✔ fits") == 1
    assert "This machine" in result.stdout
    assert "Emulated" not in result.stdout


def test_waiting_as_json_keeps_standard_output_clean(running_job: FakeCoordinator, job_file: Path) -> None:
    result = fitmatrix("submit", str(job_file), "--wait", "--format", "json", server=running_job.url)
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["job"]["id"] == "job-1"
    assert [cell["device"] for cell in answer["matrix"]["cells"]] == ["this-machine"]
    assert "cells settled" in result.stderr


def test_inconclusive_runs_are_exit_code_1(running_job: FakeCoordinator) -> None:
    running_job.answer("GET /api/v1/jobs/job-1", samples.job(runs=RunCounts(finished=4, inconclusive=1)))
    result = fitmatrix("job", "job-1", "--wait", server=running_job.url)
    assert result.exit_code == 1
    assert "1 inconclusive" in result.stdout


def test_ctrl_c_leaves_the_job_alone_and_says_where_to_look(
    running_job: FakeCoordinator, job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    result = fitmatrix("submit", str(job_file), "--wait", server=running_job.url)
    assert result.exit_code == 130
    assert "fitmatrix job job-1" in result.stderr
    assert f"{running_job.url}/jobs/job-1" in result.stderr
    assert {method for method, *_ in running_job.requests} == {"POST", "GET"}


def test_jobs(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/jobs", [samples.job()])
    result = fitmatrix("jobs", server=coordinator.url)
    assert "job-1" in result.stdout
    assert "2/2" in result.stdout
    assert json.loads(fitmatrix("jobs", "--format", "json", server=coordinator.url).stdout)["items"][0]["id"] == "job-1"


def test_runs_can_be_filtered(coordinator: FakeCoordinator) -> None:
    waiting = samples.run(id="run-9", state=RunState.QUEUED, verdict=None, finished_at=None)
    coordinator.answer("GET /api/v1/runs", [samples.run(device_name=samples.POISON), waiting])
    result = fitmatrix("runs", "--job", "job-1", "--state", "finished", server=coordinator.url)
    assert coordinator.asked("GET /api/v1/runs") == ["/api/v1/runs?job=job-1&state=finished&limit=50"]
    assert "✔ fits" in result.stdout
    assert "queued" in result.stdout
    assert "\x1b" not in result.stdout
    assert fitmatrix("runs", "--state", "nope", server=coordinator.url).exit_code == 2


def test_a_run_shows_everything_that_is_known(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-1", samples.run_detail())
    result = fitmatrix("run", "run-1", server=coordinator.url)
    assert result.exit_code == 0
    for words in (
        "✔ fits",
        "11.3 tok/s",
        "repeats the reference: passed, score 1 of at least 0.95",
        "chromium 156.0.1.2",
        "--enable-unsafe-webgpu",
        "google swiftshader, software GPU",
        "160 012 345 B  bodies and headers, all workers included",
        "peak 768 MB − idle browser 156 MB; PSS of the browser tree, sampled every 200 ms, 88 samples",
        "largest buffer 28 MB, 210 buffers",
        "repetition 2: 32 tokens in, 16 out, first after 640 ms, decode 10.7 tok/s",
        f"{coordinator.url}/api/v1/blobs/{samples.SHA}",
        "http://localhost:8700/run/run-1.1/s3cret/",
    ):
        assert words in result.stdout, words


def test_a_failed_run_shows_fault_evidence_and_lost_attempts(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-7", samples.out_of_memory_run())
    text = fitmatrix("run", "run-7", server=coordinator.url).stdout
    for words in (
        "✘ out-of-memory @download",
        "cgroup oom_kill went from 0 to 1",
        "lease-expired @open  from the coordinator; another attempt may help",
        "1, kept and not counted",
        "⚙ emulated",
        "page error from unhandled-rejection @download: RangeError no room",
    ):
        assert words in text, words


def test_a_run_shows_loads_labels_repetitions_and_the_check_that_was_used(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-1", samples.classifying_run())
    text = fitmatrix("run", "run-1", server=coordinator.url).stdout
    for words in (
        "b1/len128 sustained, 20 repetitions",
        "keeps 80 % of its speed: last quarter ÷ first quarter",
        "Best label and scores against transformers: passed, score 0.99 of at least 0.95",
        "POSITIVE 0.98, NEGATIVE 0.02",
        "160 000 000 B from the network, 0 B from the cache",
        "0 B from the network, 137 000 000 B from the cache",
        "JS heap",
        "performance.measureUserAgentSpecificMemory()",
        "latencies in ms: 20, 20, 20",
    ):
        assert words in text, words


def test_counts_of_the_same_bytes_stand_side_by_side(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-1", samples.run_detail(variant_bytes=137_000_000))
    text = fitmatrix("run", "run-1", server=coordinator.url).stdout
    for what, count, how in (
        ("model files, as the variant lists them", "137 000 000 B", "their true size"),
        ("model files, as served", "137 000 000 B", "every file once"),
        ("page and runtime, as served", "23 000 000 B", "scripts"),
        ("headers", "12 345 B", "the rest, 0.00772 % of DevTools' total"),
        ("DevTools' total", "160 012 345 B", "all workers included"),
    ):
        (line,) = [line for line in text.splitlines() if line.startswith(what)]
        assert count in line
        assert how in line


def test_a_probing_run_shows_what_it_found_and_no_criteria(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-1", samples.probing_run())
    text = fitmatrix("run", "run-1", server=coordinator.url).stdout
    for words in ("without a model", "SIMD, threads", "without memory64", "89.5 GFLOP/s", "10.7 GB quota"):
        assert words in text, words
    assert "fits when" not in text
    assert "repetitions" not in text


def test_models(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/models", [samples.variant_view(), samples.variant_view(id="other", files=[])])
    text = fitmatrix("models", "list", server=coordinator.url).stdout
    assert "✔ 137 MB" in text
    assert "not built" in text


def test_models_say_what_they_are_made_of(coordinator: FakeCoordinator) -> None:
    pruned = {"kind": "pruning", "removed": 0.846, "original": "Big 8B"}
    distilled = {"kind": "distillation", "teacher": "Big 70B"}
    terms = {"licence": "Some Terms", "licence_terms": "Some Terms (https://example.org)"}
    size = {"published_bytes": 140_000_000, "published_source": "its page"}
    coordinator.answer(
        "GET /api/v1/models",
        [
            samples.variant_view(id="tiny.built", techniques=[pruned], **terms, **size),
            samples.variant_view(id="tiny.unbuilt", techniques=[distilled], files=[], **terms),
        ],
    )
    text = " ".join(fitmatrix("models", "list", server=coordinator.url).stdout.split())
    built, unbuilt = text.split("tiny.unbuilt")
    assert built.count("134 M parameters") + built.count("135 M parameters") == 1
    for words in ("✔ 137 MB", "85 % pruned from Big 8B", "published 140 MB"):
        assert words in built, words
    assert "to accept" not in built
    for words in ("not built", "distilled from Big 70B", "Some Terms (to accept)"):
        assert words in unbuilt, words
    only_built = fitmatrix("models", "list", "--built", server=coordinator.url).stdout
    assert "tiny.built" in only_built
    assert "tiny.unbuilt" not in only_built


def test_nothing_built_says_how_to_build(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/models", [samples.variant_view(files=[])])
    assert "fitmatrix models build" in fitmatrix("models", "list", "--built", server=coordinator.url).stdout


def test_models_of_a_directory_need_no_coordinator(tmp_path: Path) -> None:
    result = fitmatrix("models", "list", "--data", str(tmp_path), "--format", "json", server=NOBODY)
    assert result.exit_code == 0
    assert {item["built"] for item in json.loads(result.stdout)["items"]} == {False}


def test_building_an_unknown_variant_is_a_sentence(tmp_path: Path) -> None:
    result = fitmatrix("models", "build", "no-such-variant", "--data", str(tmp_path))
    assert result.exit_code == 3
    assert "no-such-variant" in result.stderr
    assert "Traceback" not in result.output


def test_building_what_has_terms_asks_for_them(tmp_path: Path) -> None:
    result = fitmatrix("models", "build", "gemma3-1b-it.task-int4", "--data", str(tmp_path))
    assert result.exit_code == 3
    assert "Gemma Terms of Use (https://ai.google.dev/gemma/terms)" in result.stderr
    assert "--accept-licence" in result.stderr
    assert not (tmp_path / "licences.json").exists()


def test_the_matrix_as_json_is_the_contract(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix", matrix_samples.demo_matrix())
    result = fitmatrix("matrix", "--format", "json", server=coordinator.url)
    assert Matrix.model_validate_json(result.stdout) == matrix_samples.demo_matrix()


@pytest.mark.parametrize("kind", ["table", "json", "csv", "markdown"])
def test_the_matrix_goes_to_a_file(coordinator: FakeCoordinator, tmp_path: Path, kind: str) -> None:
    coordinator.answer("GET /api/v1/matrix", matrix_samples.demo_matrix())
    path = tmp_path / "matrix"
    result = fitmatrix("matrix", "--format", kind, "--output", str(path), server=coordinator.url)
    assert (result.exit_code, result.stdout) == (0, "")
    content = path.read_bytes()
    assert b"out-of-memory" in content
    assert (b"\r\n" in content) is (kind == "csv")
    assert b"\r\r" not in content


def test_a_file_that_cannot_be_written_is_a_sentence(coordinator: FakeCoordinator, tmp_path: Path) -> None:
    coordinator.answer("GET /api/v1/matrix", matrix_samples.demo_matrix())
    result = fitmatrix("matrix", "--format", "csv", "--output", str(tmp_path / "no" / "m.csv"), server=coordinator.url)
    assert result.exit_code == 2
    assert "cannot write" in result.stderr


def test_a_verdict_is_never_an_error(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-1", samples.run_detail(verdict=Verdict.WRONG_OUTPUT))
    result = fitmatrix("run", "run-1", server=coordinator.url)
    assert result.exit_code == 0
    assert "≠ wrong output" in result.stdout


def test_the_matrix_is_laid_out_as_asked_for(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix/view", MatrixView.model_validate(MATRIX_VIEW))
    asked = ("matrix", "--rows", "model,backend", "--columns", "device_class", "--only", "backend=wasm")
    result = fitmatrix(*asked, "--only", "label=branch=main", server=coordinator.url)
    assert result.exit_code == 0, result.stderr
    for words in (
        "SmolLM2-135M-Instruct",
        "✔ fits",
        "11.2 tok/s",
        "10/10",
        "2 device models",
        "⚙ emulated",
        "out-of-memory",
    ):
        assert words in result.output
    (path,) = coordinator.asked("GET /api/v1/matrix/view")
    assert parse_qs(urlsplit(path).query) == {
        "rows": ["model,backend"],
        "columns": ["device_class"],
        "backend": ["wasm"],
        "label": ["branch=main"],
    }
    as_json = fitmatrix(*asked, "--format", "json", server=coordinator.url)
    assert MatrixView.model_validate_json(as_json.output) == MatrixView.model_validate(MATRIX_VIEW)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "colour=red"], "device_class"),
        (["--only", "backend"], "NAME=VALUE"),
        (["--rows", "model", "--format", "csv"], "leave out --rows"),
    ],
)
def test_what_the_matrix_cannot_do_is_said(coordinator: FakeCoordinator, arguments: list[str], words: str) -> None:
    result = fitmatrix("matrix", *arguments, server=coordinator.url)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not coordinator.requests


def test_filters_of_cells_are_sent_as_they_are(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/matrix", matrix_samples.demo_matrix())
    result = fitmatrix(
        "matrix",
        "--only",
        "since=2026-01-01T00:00:00Z",
        "--only",
        "model=a",
        "--only",
        "model=b",
        server=coordinator.url,
    )
    assert result.exit_code == 0, result.stderr
    (path,) = coordinator.asked("GET /api/v1/matrix")
    assert parse_qs(urlsplit(path).query) == {"since": ["2026-01-01T00:00:00Z"], "model": ["a", "b"]}
