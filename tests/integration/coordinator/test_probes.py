"""Probes of devices, end to end: from the job to the device's record, to selectors, pages and the command line."""

import subprocess
import sys
import threading
from typing import Any

from orchestrator.client import Client
from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.page import PageReport
from orchestrator.contract.vocabulary import Backend, FaultCode, FaultOrigin, JobState, Phase, Task
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter
from tests.unit.domain.builders import adapter, device, page_report, probe_result

NEW_BROWSER = Browser(name="chromium", version="157.0.1")


def probed(**changes: Any) -> PageReport:
    environment = page_report().environment.model_copy(update={"adapter": adapter(), "device_memory_gib": 8})
    return page_report(generation_samples=[], validation=None, environment=environment, probe=probe_result(**changes))


def take_probe(agent: HandAgent) -> AttemptSpec:
    spec = agent.receive()
    assert agent.start(spec) == 200
    assert (spec.variant.id, spec.variant.runtime, spec.workload.task) == ("probe", "probe", Task.PROBE)
    assert (spec.variant.files, spec.backend) == ([], Backend.WASM)
    return spec


def test_a_probe_becomes_the_devices_record_and_never_a_cell(agent: HandAgent, qa: Submitter) -> None:
    assert qa.get(f"/api/v1/devices/{agent.device_id}")["probes"] == {}
    before = qa.text("/metrics")
    response = qa.post({"name": "probe", "variants": ["probe"], "devices": f'id == "{agent.device_id}"'})
    job = response.json()
    assert (job["left_out"], job["runs"]["queued"], job["cells"]) == ([], 1, 0)
    spec = take_probe(agent)
    assert agent.report(spec, page=probed(), browser=NEW_BROWSER).json()["counted"] is True
    ended = qa.job(job["id"])
    assert (ended["state"], ended["runs"]["finished"], ended["cells"]) == ("finished", 1, 0)
    assert qa.run(spec.run_id)["verdict"] == "fits"
    probe = qa.get(f"/api/v1/devices/{agent.device_id}")["probes"]["chromium"]
    assert (probe["run_id"], probe["browser"]["version"], probe["device_memory_gib"]) == (spec.run_id, "157.0.1", 8)
    assert probe["adapter"]["limits"] == {"maxBufferSize": 2147483648}
    assert probe["result"]["gpu_allocated_bytes"] == 1 << 30
    assert qa.cells(agent.device_id) == []
    assert "probe" not in {view["variant"]["id"] for view in qa.get("/api/v1/models")["items"]}

    def results(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("fitmatrix_results_total")]

    assert results(qa.text("/metrics")) == results(before)


def test_a_failed_probe_keeps_the_older_one_and_a_newer_one_replaces_it(agent: HandAgent, qa: Submitter) -> None:
    def record() -> Any:
        return qa.get(f"/api/v1/devices/{agent.device_id}")["probes"]["chromium"]

    for _ in range(2):
        qa.submit(variants=["probe"])
        first = take_probe(agent)
        agent.report(first, page=probed())
        assert record()["run_id"] == first.run_id
    qa.submit(variants=["probe"])
    broken = take_probe(agent)
    fault = Fault(origin=FaultOrigin.BROWSER, code=FaultCode.CRASH, phase=Phase.MEASURE, transient=False)
    agent.report(broken, fault=fault, page=None)
    assert qa.run(broken.run_id)["verdict"] == "fails"
    assert record()["run_id"] == first.run_id


def test_a_probe_outlives_heartbeats_and_a_new_enrolment(agent: HandAgent, qa: Submitter) -> None:
    qa.submit(variants=["probe"])
    spec = take_probe(agent)
    agent.report(spec, page=probed())
    agent.beat()
    assert agent.enrol().status_code == 200
    assert qa.get(f"/api/v1/devices/{agent.device_id}")["probes"]["chromium"]["run_id"] == spec.run_id


def test_selectors_speak_of_probes_and_do_not_stumble_over_unprobed_devices(coordinator: RunningCoordinator) -> None:
    one, two = device("chosen.probed"), device("chosen.new")
    agent = HandAgent(coordinator, one, two, agent_id="chosen")
    agent.enrol()
    qa = Submitter(coordinator, f'id == "{one.id}"')
    qa.submit(variants=["probe"])
    agent.report(take_probe(agent), page=probed())

    def chosen(selector: str) -> set[str]:
        job = qa.submit(variants=["probe"], devices=f'id.startsWith("chosen.") && ({selector})')
        return {run["device_id"] for run in qa.runs(job)}

    assert chosen("webgpu && gpu.limits.maxBufferSize > 1073741824 && wasm.simd") == {one.id}
    assert chosen("!probed") == {two.id}
    wrong = qa.post({"name": "x", "variants": ["probe"], "devices": "gpu.memory > 1"})
    assert wrong.status_code == 422
    assert "memory" in wrong.json()["errors"][0]["allowed"]
    qa.close()
    agent.close()


def test_pages_show_what_a_probe_found(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit(variants=["probe"])
    spec = take_probe(agent)
    agent.report(spec, page=probed())
    run_page = qa.text(f"/runs/{spec.run_id}")
    for words in ("89.5 GFLOP/s, 512 × 512 float32", "without memory64", "1 GiB: stopped at the bound"):
        assert words in run_page, words
    assert "fits when" not in run_page
    assert "none: it probes devices" in qa.text(f"/jobs/{job}")
    assert "intel gen-12lp, wasm 4.2 GFLOP/s, webgpu 89.5 GFLOP/s" in qa.text("/devices")


def test_the_command_line_probes_waits_and_shows(coordinator: RunningCoordinator, agent: HandAgent) -> None:
    def play() -> None:
        agent.report(take_probe(agent), page=probed())

    player = threading.Thread(target=play)
    player.start()
    command = [sys.executable, "-m", "orchestrator.cli.main", "devices", "probe", f'id == "{agent.device_id}"']
    try:
        done = subprocess.run(
            [*command, "--server", coordinator.url], capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        player.join()
    assert done.returncode == 0, done.stderr
    for words in ("runs: 1 finished", agent.device_id, "intel gen-12lp", "largest buffer 2 GiB", "89.5 GFLOP/s"):
        assert words in done.stdout, words
    with Client(coordinator.url) as client:
        found = client.device(agent.device_id).probes.get("chromium")
        assert found is not None
        assert found.result == probe_result()
        again = client.probe(f'id == "{agent.device_id}"')
        assert (again.state, again.runs.total) == (JobState.ACTIVE, 1)
