"""What breaks in the middle of a run is mended, and no run is lost or counted twice."""

from tests.acceptance.lab import MINILM, TINY, Lab, finished
from tests.integration.coordinator.lab import Submitter
from tests.waiting import wait_until
from tests.workbench import SHORT

DESK = 'name == "plain desk"'
LENIENT = {"max_latency_seconds": 60, "min_decode_tokens_per_second": 0.1}
"""What breaks is the subject here, not how fast a busy machine is."""


def running(qa: Submitter, job: str) -> str | None:
    """The id of the run that the agent is busy with."""
    return next((run["id"] for run in qa.runs(job) if run["state"] == "running"), None)


def in_the_browser(lab: Lab, qa: Submitter, job: str) -> str:
    """Waits until a run has a browser open."""
    run = wait_until(lambda: running(qa, job), 60, "a running run")
    wait_until(lab.busy_worker, 60, "a browser")
    return run


def cells_runs(qa: Submitter, variant: str) -> int:
    return sum(
        cell["runs"]
        for cell in qa.get("/api/v1/matrix")["cells"]
        if cell["variant"] == variant and cell["device_name"] == "plain desk"
    )


def test_a_worker_killed_in_the_middle_leaves_one_result(lab: Lab, qa: Submitter) -> None:
    before = cells_runs(qa, MINILM)
    job = qa.submit(variants=[MINILM], backends=["wasm"], devices=DESK, workload=SHORT, criteria=LENIENT)
    run_id = in_the_browser(lab, qa, job)
    wait_until(lab.busy_worker, 60, "a browser").kill()
    (run,) = finished(qa, job)
    assert run["id"] == run_id
    assert (run["state"], run["verdict"]) == ("finished", "fits")
    attempts = qa.run(run_id)["attempt_list"]
    assert [attempt["state"] for attempt in attempts] in (["faulted", "reported"], ["lost", "reported"])
    assert attempts[0]["fault"]["transient"] is True
    assert cells_runs(qa, MINILM) == before + 1
    wait_until(lambda: not lab.browsers(), 20, "no browser left")


def test_a_broker_flushed_while_runs_are_in_flight_loses_none(lab: Lab, qa: Submitter) -> None:
    job = qa.submit(
        variants=[TINY, MINILM], backends=["wasm"], devices=DESK, workload=SHORT, criteria=LENIENT, repeats=2
    )
    in_the_browser(lab, qa, job)
    lab.coordinator.broker.flushall()
    wait_until(lambda: qa.job(job)["runs"]["finished"] >= 1, 90, "a first result")
    lab.coordinator.broker.flushall()
    runs = finished(qa, job)
    assert [run["state"] for run in runs] == ["finished"] * 4


def test_a_coordinator_started_again_in_the_middle_loses_nothing(lab: Lab, qa: Submitter) -> None:
    before = cells_runs(qa, TINY)
    job = qa.submit(variants=[TINY], backends=["wasm"], devices=DESK, workload=SHORT, criteria=LENIENT, repeats=3)
    in_the_browser(lab, qa, job)
    lab.coordinator.kill()
    lab.coordinator.start()
    runs = finished(qa, job)
    assert [run["state"] for run in runs] == ["finished"] * 3
    assert cells_runs(qa, TINY) == before + 3
