"""Who has a device, when it is left alone, and what a run is told that waits for it, on a real coordinator."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.contract.device import DeviceRegistration
from tests.integration.coordinator.follower import Follower
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.unit.domain.builders import device
from tests.waiting import wait_until

LAB = """
classes:
  - {name: old desk, selector: 'os_version == "12" && ram_gib >= 16', description: What stands there.}
  - {name: phone, selector: 'os == "android"'}
pools:
  - {name: twins, selector: 'id.startsWith("twin")', limit: 1}
"""
_numbers = count(1)


@pytest.fixture(scope="module")
def lab_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lab") / "lab.yaml"
    path.write_text(LAB)
    return path


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory, lab_file: Path) -> Iterator[RunningCoordinator]:
    with running_coordinator(tmp_path_factory.mktemp("custody") / "data", lab=str(lab_file)) as running:
        yield running


@pytest.fixture
def http(coordinator: RunningCoordinator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{coordinator.url}/api/v1", timeout=10) as client:
        yield client


def view(qa: Submitter, agent: HandAgent) -> Any:
    return qa.get(f"/api/v1/devices/{agent.device_id}")


def why(qa: Submitter, job: str) -> dict[str, str]:
    """Code and detail of all that keeps a job's only run, in order."""
    (run,) = qa.runs(job)
    explanation = qa.get(f"/api/v1/runs/{run['id']}/why")
    assert explanation["state"] == run["state"]
    return {reason["code"]: reason["detail"] for reason in explanation["reasons"]}


def nothing_is_leased(qa: Submitter, agent: HandAgent, job: str) -> None:
    """After heartbeats, at which the dispatcher looks for work."""
    for _ in range(3):
        agent.beat()
    (run,) = qa.runs(job)
    assert (run["state"], view(qa, agent)["attempt"]) == ("queued", None)


def end(agent: HandAgent, job: str) -> None:
    spec = agent.take()
    assert spec.run_id
    assert agent.report(spec).json()["counted"] is True


def reserve_for_ann(coordinator: RunningCoordinator, agent: HandAgent) -> datetime:
    """As if another person had reserved it."""
    until = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
    with sqlite3.connect(coordinator.data / "fitmatrix.db", timeout=15) as connection:
        connection.execute(
            "UPDATE devices SET reserved_by = 'ann', reserved_until = ?, reservation_note = 'a crash' WHERE id = ?",
            (f"{until:%Y-%m-%d %H:%M:%S.%f}", agent.device_id),
        )
    connection.close()
    return until


def let_it_run_out(coordinator: RunningCoordinator, agent: HandAgent) -> None:
    with sqlite3.connect(coordinator.data / "fitmatrix.db", timeout=15) as connection:
        connection.execute(
            "UPDATE devices SET reserved_until = '2000-01-01 00:00:00.000000' WHERE id = ?", (agent.device_id,)
        )
    connection.close()


def test_a_device_that_somebody_has_is_for_their_runs_alone(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, http: httpx.Client
) -> None:
    until = f"{reserve_for_ann(coordinator, agent):%Y-%m-%d %H:%M} UTC"
    job = qa.submit()
    nothing_is_leased(qa, agent, job)
    seen = view(qa, agent)
    assert seen["state"] == "reserved"
    assert seen["reason"] == f"ann has it until {until} (a crash)."
    assert seen["reservation"]["by"] == "ann"
    assert why(qa, job) == {
        "reserved": f"{agent.device_id}: ann has it until {until} (a crash). It goes on then, or when the device is "
        "released."
    }
    path = f"/devices/{agent.device_id}/reservation"
    refused = http.put(path, json={"seconds": 3600})
    assert refused.status_code == 409
    assert f"ann has {agent.device_id} until {until} (a crash)" in refused.json()["detail"]
    assert http.delete(path).json()["state"] == "idle"
    end(agent, job)


def test_the_holders_own_runs_go_to_a_reserved_device(agent: HandAgent, qa: Submitter, http: httpx.Client) -> None:
    path = f"/devices/{agent.device_id}/reservation"
    answer = http.put(path, json={"seconds": 3600, "note": "mine"})
    assert answer.status_code == 200
    assert answer.json()["reservation"]["note"] == "mine"
    end(agent, qa.submit())
    assert http.delete(path).json()["reservation"] is None
    assert http.delete(path).status_code == 200


def test_a_reservation_that_ran_out_is_none(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    reserve_for_ann(coordinator, agent)
    let_it_run_out(coordinator, agent)
    assert (view(qa, agent)["state"], view(qa, agent)["reservation"]) == ("idle", None)
    end(agent, qa.submit())


def test_the_end_of_a_reservation_is_an_event(
    coordinator: RunningCoordinator, agent: HandAgent, http: httpx.Client
) -> None:
    assert http.put(f"/devices/{agent.device_id}/reservation", json={"seconds": 60}).status_code == 200
    follower = Follower(coordinator.url, device=agent.device_id, topics=["device"], after=0)
    follower.wait_for(agent.device_id, "reserved")
    told = len(follower.states(agent.device_id))
    let_it_run_out(coordinator, agent)
    wait_until(lambda: follower.states(agent.device_id)[told:] == ["ready"], what="the reservation's end as an event")
    follower.stop()


def test_a_drained_device_ends_what_it_does_and_gets_nothing_more(
    agent: HandAgent, qa: Submitter, http: httpx.Client
) -> None:
    first = qa.submit()
    spec = agent.take()
    path = f"/devices/{agent.device_id}/drain"
    drained = http.put(path, json={"note": "new battery"}).json()
    assert (drained["state"], drained["attempt"]["run_id"]) == ("drained", spec.run_id)
    assert http.put(path, json={"note": "new battery"}).json()["drain"] == drained["drain"]
    second = qa.submit()
    reasons = why(qa, second)
    assert list(reasons) == ["drained", "busy"]
    assert f"works on {spec.run_id} of local since " in reasons["busy"]
    assert agent.report(spec).json()["counted"] is True
    assert qa.job(first)["state"] == "finished"
    nothing_is_leased(qa, agent, second)
    said = why(qa, second)["drained"]
    assert f"(new battery), until `fitmatrix devices undrain {agent.device_id}`." in said
    assert http.delete(path).json()["state"] == "idle"
    end(agent, second)


def test_custody_of_what_is_not_there(http: httpx.Client) -> None:
    for path in ("reservation", "drain"):
        assert (
            http.put(f"/devices/none/{path}", json={"seconds": 60} if path == "reservation" else {}).status_code == 404
        )
        assert http.delete(f"/devices/none/{path}").status_code == 404
    assert http.get("/runs/none/why").status_code == 404


@pytest.mark.parametrize("body", [{}, {"seconds": 1}, {"seconds": 1e9}, {"seconds": "long"}, {"seconds": 60, "x": 1}])
def test_a_bad_reservation_changes_nothing(
    agent: HandAgent, qa: Submitter, http: httpx.Client, body: dict[str, Any]
) -> None:
    assert http.put(f"/devices/{agent.device_id}/reservation", json=body).status_code == 422
    assert view(qa, agent)["reservation"] is None


def test_classes_have_their_devices_and_selectors_speak_of_them(agent: HandAgent, qa: Submitter) -> None:
    old, phone = qa.get("/api/v1/device-classes")["items"]
    assert (old["name"], old["description"]) == ("old desk", "What stands there.")
    assert agent.device_id in old["devices"]
    assert phone["devices"] == []
    assert view(qa, agent)["classes"] == ["old desk"]
    job = qa.submit(devices=f'"old desk" in classes && id == "{agent.device_id}"')
    end(agent, job)
    refused = qa.post({"name": "x", "variants": ["probe"], "devices": '"phone" in classes'})
    assert refused.status_code == 422
    unknown = qa.post({"name": "x", "variants": ["probe"], "devices": 'webgpu && "phones" in classes'}).json()
    assert [(wrong["field"], wrong["allowed"]) for wrong in unknown["errors"]] == [
        (
            "devices",
            "a CEL expression: column 11: there is no device class phones; the lab file has old desk, phone; "
            "did you mean phone?",
        )
    ]


def twins(number: int) -> tuple[DeviceRegistration, DeviceRegistration]:
    return device(f"twin{number}.a"), device(f"twin{number}.b")


def test_a_full_pool_and_shared_hardware_are_named(coordinator: RunningCoordinator, qa: Submitter) -> None:
    number = next(_numbers)
    agent = HandAgent(coordinator, *twins(number), agent_id=f"twin{number}")
    assert agent.enrol().status_code == 200
    first = qa.submit(devices=f'id == "twin{number}.a"')
    spec = agent.take()
    second = qa.submit(devices=f'id == "twin{number}.b"')
    reasons = why(qa, second)
    assert list(reasons) == ["pool-full"]
    assert f"{spec.run_id} of local on twin{number}.a" in reasons["pool-full"]
    assert agent.report(spec).json()["counted"] is True
    assert qa.job(first)["state"] == "finished"
    assert agent.receive(f"twin{number}.b").device_id == f"twin{number}.b"
    agent.close()


def test_devices_that_share_hardware_wait_for_each_other(coordinator: RunningCoordinator, qa: Submitter) -> None:
    pair = [device(f"pair.{name}", exclusive_group="pair") for name in "ab"]
    agent = HandAgent(coordinator, *pair, agent_id="pair")
    assert agent.enrol().status_code == 200
    qa.submit(devices='id == "pair.a"')
    spec = agent.take()
    job = qa.submit(devices='id == "pair.b"')
    said = why(qa, job)["busy"]
    assert said.startswith(f"pair.a, which shares its hardware, works on {spec.run_id} of local since ")
    agent.report(spec)
    agent.close()


def test_runs_say_how_many_come_first_and_when_they_are_done(agent: HandAgent, qa: Submitter) -> None:
    agent.says = {"condition": "resting", "reason": "Too hot."}
    agent.beat()
    urgent, older, mine = qa.submit(priority=90), qa.submit(), qa.submit()
    reasons = why(qa, mine)
    assert list(reasons) == ["resting", "behind-others"]
    assert reasons["resting"] == f"{agent.device_id}: Too hot. It goes on by itself when the device is ready."
    said = "2 runs for its device come first: 1 of higher priority, 1 submitted earlier, or of smaller models."
    assert reasons["behind-others"] == said
    assert why(qa, older)["behind-others"].startswith("1 run for its device comes first: 1 of higher priority")
    assert list(why(qa, urgent)) == ["resting"]
    agent.says = {}
    for job in (urgent, older, mine):
        end(agent, job)
        assert why(qa, job) == {}
    (run,) = qa.runs(mine)
    assert qa.get(f"/api/v1/runs/{run['id']}/why")["state"] == "finished"


def test_a_run_that_was_sent_and_not_started_says_so(agent: HandAgent, qa: Submitter) -> None:
    job = qa.submit()
    spec = agent.receive()
    wait_until(lambda: "sent" in why(qa, job).get("about-to-begin", ""), what="a message that is sent")
    said = why(qa, job)["about-to-begin"]
    assert said.startswith(f"Attempt {spec.number} was sent to the worker of {agent.device_id} at ")
    assert "not been started since" in said
    assert agent.start(spec) == 200
    assert why(qa, job) == {}
    assert agent.report(spec).json()["counted"] is True


def test_a_maintenance_window_that_opens_is_heeded_without_a_restart(
    coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter, lab_file: Path
) -> None:
    today = datetime.now(UTC).date()
    window = (
        f"maintenance:\n  - {{name: repairs, selector: 'id == \"{agent.device_id}\"', timezone: UTC, "
        f"first_day: {today - timedelta(days=1)}, last_day: {today + timedelta(days=1)}}}\n"
    )
    lab_file.write_text(LAB + window)
    try:
        job = qa.submit()
        nothing_is_leased(qa, agent, job)
        assert view(qa, agent)["state"] == "maintenance"
        end_of_it = f"{today + timedelta(days=2)} 00:00 UTC"
        assert why(qa, job)["maintenance"] == (
            f"{agent.device_id}: The lab leaves it alone until {end_of_it}: repairs. It goes on then."
        )
        lab_file.write_text(LAB + "maintenance: nonsense\n")
        nothing_is_leased(qa, agent, job)
    finally:
        lab_file.write_text(LAB)
    end(agent, job)


def test_a_hostile_selector_leaves_the_coordinator_alone(qa: Submitter) -> None:
    for expression in ("(" * 499 + "true" + ")" * 497, "!" * 990 + "true", "os == 'x' && os.matches('(a{999}){999}')"):
        refused = qa.post({"name": "x", "variants": ["probe"], "devices": expression})
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert error["field"] == "devices"
        assert "column " in error["allowed"]
    assert qa.get("/healthz")


def test_a_lab_file_that_is_broken_from_the_start_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("classes:\n  - {name: a, selector: 'os = 1'}\n")
    code, said = RunningCoordinator(tmp_path / "data", lab=str(path)).fail_to_start()
    assert code == 3
    assert f"{path}, line 2, classes[0].selector: column 4: " in said
