"""Simulated devices at a real coordinator: what the load of the benches and the chaos tests does, is done once each."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.bench.fleet import Ending, Fleet, Model
from tests.bench.fleet.log import overlaps
from tests.integration.coordinator.lab import FORCED, VARIANT, RunningCoordinator, Submitter
from tests.waiting import wait_until


@pytest.fixture
def qa(coordinator: RunningCoordinator) -> Iterator[Submitter]:
    submitter = Submitter(coordinator)
    yield submitter
    submitter.close()


def test_fifty_devices_finish_every_run_once(coordinator: RunningCoordinator, qa: Submitter) -> None:
    with Fleet(coordinator.url, agents=2, devices_per_agent=25, model=Model(seconds=0.1), seed=1, name="many") as fleet:
        devices = 'id.startsWith("many-")'
        job = qa.submit(variants=[VARIANT, FORCED], repeats=2, devices=devices)
        wait_until(lambda: qa.job(job)["state"] == "finished", 60, "the end of the job")
        assert qa.job(job)["runs"]["finished"] == 200
        counted = Counter(entry.run_id for entry in fleet.entries if entry.counted)
        assert set(counted.values()) == {1}
        assert len(counted) == 200
        assert {device: len(overlaps(fleet.entries_of(device))) for device in fleet.device_ids} == dict.fromkeys(
            fleet.device_ids, 0
        )
        verdicts = {run["id"]: run["verdict"] for run in qa.get(f"/api/v1/runs?job={job}&limit=1000")["items"]}
        meant = {entry.run_id: entry.ending for entry in fleet.entries if entry.counted}
        said = {run: "fails" if ending is Ending.OUT_OF_MEMORY else ending for run, ending in meant.items()}
        assert verdicts == said
        assert (fleet.unsent, fleet.busy, fleet.troubles) == (0, 0, [])
        assert fleet.counters.counted == 200


def test_an_agent_that_is_killed_reports_what_was_lost(coordinator: RunningCoordinator, qa: Submitter) -> None:
    always = Model(seconds=0.5, endings={Ending.FITS: 1.0})
    with Fleet(coordinator.url, agents=1, devices_per_agent=2, model=always, seed=2, name="mortal") as fleet:
        job = qa.submit(repeats=2, devices='id.startsWith("mortal-")')
        wait_until(lambda: fleet.busy == 2, what="both devices at work")
        fleet.kill("mortal-000")
        assert not fleet.is_running("mortal-000")
        assert [entry.ending for entry in fleet.entries if entry.began_at] == [Ending.KILLED] * 2
        fleet.restart("mortal-000")
        wait_until(lambda: fleet.busy, what="a device at work")
        wait_until(lambda: any(map(fleet.kill_worker, fleet.device_ids)), what="a worker to kill")
        wait_until(lambda: qa.job(job)["state"] == "finished", 30, "the end of the job")
        wait_until(lambda: fleet.unsent == 0, what="every report acknowledged")
        counted = Counter(entry.run_id for entry in fleet.entries if entry.ending is Ending.FITS and entry.counted)
        assert counted == dict.fromkeys([run["id"] for run in qa.runs(job)], 1)
        assert Counter(entry.ending for entry in fleet.entries)[Ending.KILLED] >= 3
        assert fleet.troubles == []
