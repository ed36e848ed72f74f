"""A build against a real coordinator: gate, JUnit, exit codes, and every example of docs/ci.md as it stands there."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest
import yaml

from orchestrator.contract.fault import Fault
from orchestrator.contract.page import GenerationSample, ValidationOutput
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import FORCED, FORCED_IDS, HandAgent, RunningCoordinator, Submitter
from tests.integration.coordinator.playing import playing
from tests.unit.domain.builders import device, page_report
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs/examples/ci"
INSTALL = "python -m pip install fitmatrix"
RIGHT = ValidationOutput(texts=["hello hello", "hello hello"], forced_ids=FORCED_IDS)
BROKEN_CABLE = Fault(
    origin=FaultOrigin.AGENT, code=FaultCode.AGENT_ERROR, phase=Phase.OPEN, transient=False, detail="the cable broke"
)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A checkout of somebody's project, with the examples of the documentation in it."""
    shutil.copytree(EXAMPLES, tmp_path / "ci")
    return tmp_path


def environment(coordinator: RunningCoordinator, build: Path) -> dict[str, str]:
    """What a build system sets, and nothing of ours but the coordinator's address and the commands."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PYTHONPATH", "TMPDIR") if name in os.environ}
    programs = build / "bin"
    programs.mkdir(exist_ok=True)
    command = programs / "fitmatrix"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m orchestrator.cli.main "$@"\n')
    command.chmod(0o755)
    return kept | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "FITMATRIX_SERVER": coordinator.url,
        "GITHUB_STEP_SUMMARY": str(build / "summary.md"),
        "GITHUB_REPOSITORY": "somebody/assistant",
        "GITHUB_RUN_ID": build.name,
        "GITHUB_RUN_ATTEMPT": "1",
        "CI_PROJECT_PATH": "somebody/assistant",
        "CI_JOB_ID": f"gitlab-{build.name}",
    }


def shell(coordinator: RunningCoordinator, build: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=build,
        env=environment(coordinator, build),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def answering(agent: HandAgent, decode_ms: float = 5000, **report: Any) -> Iterator[None]:
    """Runs whatever comes, decoding 127 tokens in so many milliseconds, until the block ends."""
    sample = GenerationSample(tokens_in=512, tokens_out=128, ttft_ms=500, decode_ms=decode_ms)
    page = page_report(validation=RIGHT, generation_samples=[sample] * 5)
    with playing([agent], lambda _spec: {"page": page} | report):
        yield


def own_job(build: Path, agent: HandAgent, **changes: Any) -> None:
    """The example's job on this test's device alone; other tests of the module have devices of their own."""
    job = yaml.safe_load((EXAMPLES / "job.yaml").read_text())
    (build / "ci/job.yaml").write_text(json.dumps(job | {"devices": f'id == "{agent.device_id}"'} | changes))


def test_a_build_passes_and_tells_it_in_junit(coordinator: RunningCoordinator, agent: HandAgent, build: Path) -> None:
    own_job(build, agent)
    with answering(agent):
        done = shell(coordinator, build, console_command())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Gate ci/gate.yaml holds. Requirements met: 3 of 3." in done.stdout
    root = xml.parse(build / "fitmatrix.xml").getroot()
    (case,) = root.iter("testcase")
    assert case.get("name") == f"{FORCED}/wasm/{agent.device_id}/chromium"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("1", "0", "0")
    properties = [(one.get("name"), one.get("value")) for one in case.iter("property")]
    runs = [value for name, value in properties if name == "run"]
    assert len(runs) == 3
    assert all(str(address).startswith(f"{coordinator.url}/runs/r-") for address in runs)
    assert ("decode_tokens_per_second", "25.4") in properties


def test_a_broken_gate_fails_the_build_and_says_by_how_much(
    coordinator: RunningCoordinator, agent: HandAgent, build: Path
) -> None:
    own_job(build, agent)
    with answering(agent, decode_ms=127_000 / 6.2):
        done = shell(coordinator, build, console_command())
    assert done.returncode == 4, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "Gate ci/gate.yaml is broken. Requirements met: 2 of 3." in said
    assert "decode_tokens_per_second >= 8" in said
    assert "22 % below" in said
    failure = xml.parse(build / "fitmatrix.xml").find(".//failure")
    assert failure is not None
    assert "runs well on desktops: decode_tokens_per_second >= 8" in str(failure.text)


def test_a_job_of_more_runs_than_a_page_holds_is_judged_as_a_whole(
    coordinator: RunningCoordinator, qa: Submitter, build: Path
) -> None:
    devices = [device(f"crowd{number}.desk") for number in range(11)]
    with closing(HandAgent(coordinator, *devices, agent_id="crowd")) as crowd:
        crowd.enrol().raise_for_status()
        job = qa.submit(variants=[FORCED], devices='id.startsWith("crowd")', repeats=100)
        spec = crowd.receive()
        assert crowd.start(spec) == 200
        crowd.report(spec, page=page_report(validation=RIGHT)).raise_for_status()
        qa.cancel(f"jobs/{job}")
        (build / "gate.yaml").write_text(
            f"rules: [{{devices: 'id == \"{spec.device_id}\"', require: {{verdict: fits}}}}]"
        )
        done = shell(coordinator, build, f"fitmatrix job {job} --wait --gate gate.yaml --junit out.xml")
    assert qa.get(f"/api/v1/runs?job={job}&limit=1000")["next"] is not None
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Gate gate.yaml holds. Requirements met: 1 of 1." in done.stdout
    cases = list(xml.parse(build / "out.xml").iter("testcase"))
    assert len(cases) == 11
    assert [len(case.findall("properties/property[@name='run']")) for case in cases] == [100] * 11
    assert sum(case.find("skipped") is None for case in cases) == 1


def test_a_rule_can_ask_the_catalog(coordinator: RunningCoordinator, agent: HandAgent, build: Path) -> None:
    own_job(build, agent, repeats=1)
    (build / "gate.yaml").write_text(
        "rules:\n"
        "  - {name: small ones, variants: size_mb < 500.0, require: {verdict: fits}}\n"
        "  - {name: large ones, variants: size_mb >= 500.0, require: {verdict: fits}, unmeasured: allow}\n"
    )
    with answering(agent):
        done = shell(coordinator, build, "fitmatrix submit ci/job.yaml --wait --gate gate.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Gate gate.yaml holds. Requirements met: 1 of 1." in done.stdout
    (build / "gate.yaml").write_text(
        "rules:\n  - variants: size_mb < 500.0 && sise_class == 'tiny'\n    require: {verdict: fits}\n"
    )
    wrong = shell(coordinator, build, "fitmatrix submit ci/job.yaml --wait --gate gate.yaml")
    assert wrong.returncode == 2
    assert "gate.yaml, line 2: rules[0].variants is " in wrong.stderr
    assert "column 20: there is no sise_class; there are: " in wrong.stderr


def test_what_the_lab_lost_is_not_the_models_failure(
    coordinator: RunningCoordinator, agent: HandAgent, build: Path
) -> None:
    own_job(build, agent, repeats=1)
    with answering(agent, fault=BROKEN_CABLE, page=None):
        done = shell(coordinator, build, console_command())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "is open: not all of it was measured" in done.stdout
    error = xml.parse(build / "fitmatrix.xml").find(".//error")
    assert error is not None
    assert "the cable broke" in str(error.text)


def test_a_wrong_gate_submits_nothing(
    coordinator: RunningCoordinator, qa: Submitter, agent: HandAgent, build: Path
) -> None:
    own_job(build, agent, name=f"never {agent.agent_id}")
    (build / "ci/gate.yaml").write_text("rules:\n  - require: {speed: fast}\n")
    done = shell(coordinator, build, console_command())
    assert done.returncode == 2
    assert "ci/gate.yaml, line 2: rules[0].require.speed is 'fast'; allowed: no such field" in done.stderr
    assert f"never {agent.agent_id}" not in [job["spec"]["name"] for job in qa.get("/api/v1/jobs")["items"]]


def test_after_the_timeout_the_job_goes_on_and_can_be_waited_for(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, build: Path
) -> None:
    own_job(build, agent, repeats=1)
    hasty = console_command().replace("3600", "0.5")
    done = shell(coordinator, build, hasty)
    assert done.returncode == 124, done.stdout + done.stderr
    assert xml.parse(build / "fitmatrix.xml").find(".//error") is not None
    job = next(word for word in done.stderr.split() if word.startswith("j-"))
    assert qa.job(job)["state"] == "active"
    with answering(agent):
        again = shell(coordinator, build, f"fitmatrix job {job} --wait --gate ci/gate.yaml --junit fitmatrix.xml")
    assert again.returncode == 0, again.stdout + again.stderr


def test_ctrl_c_leaves_the_job_running_and_says_so(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, build: Path
) -> None:
    own_job(build, agent)
    watching = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.main", "submit", "ci/job.yaml", "--wait", "--gate", "ci/gate.yaml"],
        cwd=build,
        env=environment(coordinator, build),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    head = watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, told = watching.communicate(timeout=30)
    assert watching.returncode == 130
    job = head.split()[1]
    assert f"The job goes on. Look at it with: fitmatrix job {job}" in told
    assert qa.job(job)["state"] == "active"
    with answering(agent):
        wait_until(lambda: qa.job(job)["state"] == "finished", what="the job's end without its watcher")


def console_command() -> str:
    """The command at the top of docs/ci.md."""
    return next(iter(blocks("console")))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs/ci.md").read_text(), re.MULTILINE | re.DOTALL)


def github_script() -> str:
    steps = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())["jobs"]["fits"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert scripts.pop(0) == INSTALL
    return "\n".join(scripts)


def gitlab_script() -> str:
    job = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["fits-on-devices"]
    assert job["before_script"] == [INSTALL]
    return "\n".join(job["script"])


@pytest.mark.parametrize(
    "script", [github_script, gitlab_script, lambda: blocks("bash")[0]], ids=["github", "gitlab", "shell"]
)
def test_every_example_runs_as_it_stands(
    coordinator: RunningCoordinator, agent: HandAgent, build: Path, script: Any
) -> None:
    own_job(build, agent)
    with answering(agent):
        done = shell(coordinator, build, script())
    assert done.returncode == 0, done.stdout + done.stderr
    assert xml.parse(build / "fitmatrix.xml").find(".//testcase") is not None
    if script is github_script:
        assert FORCED in (build / "summary.md").read_text()


def test_the_examples_of_job_and_gate_are_accepted_as_they_are(
    coordinator: RunningCoordinator, agent: HandAgent, build: Path
) -> None:
    done = shell(coordinator, build, "fitmatrix submit ci/job.yaml --wait --gate ci/gate.yaml --timeout 0.1")
    assert done.returncode == 124, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "schema"), [("github-actions.yml", "vendor.github-workflows"), ("gitlab-ci.yml", "vendor.gitlab-ci")]
)
def test_the_build_systems_own_schemas_accept_the_examples(name: str, schema: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_gate_of_the_documentation_is_one(build: Path) -> None:
    from orchestrator.cli.gate_file import read_gate_file

    path = build / "documented.yaml"
    path.write_text(blocks("yaml")[0])
    assert len(read_gate_file(path).rules) == 2
