"""What people do on the pages: whose session may, what other sites cannot, and what the audit log says of it."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.integration.users.conftest import ROOT
from tests.integration.users.house import HERE, bearing, house, new_code, new_token
from tests.unit.domain.builders import device

DEVICE = "lab.desk"


@pytest.fixture(scope="module")
def lab(guarded: TestClient) -> TestClient:
    """With one device, and a job of ann's that waits for it."""
    body = {
        "contract_version": 4, "agent_id": "lab", "agent_version": "1", "hostname": "host",
        "devices": [device(DEVICE).model_dump(mode="json")],
    }  # fmt: skip
    answer = guarded.post("/api/v1/agents/enrol", json=body, headers=bearing(new_code(guarded, ROOT)))
    assert answer.status_code == 200, answer.text
    for name, role in (("ann", "submitter"), ("bob", "submitter"), ("rita", "reader")):
        SECRETS[name] = new_token(guarded, name, role, ROOT)
    return guarded


SECRETS: dict[str, str] = {"admin": ROOT}


def browser_of(lab: TestClient, name: str) -> TestClient:
    browser = TestClient(lab.app, base_url=HERE, follow_redirects=False)
    assert browser.post("/login", data={"token": SECRETS[name]}).status_code == 303
    return browser


def job_of(lab: TestClient, name: str) -> str:
    job = {
        "name": "test", "variants": ["probe"], "backends": ["wasm"], "devices": f'id == "{DEVICE}"', "repeats": 1,
    }  # fmt: skip
    answer = lab.post("/api/v1/jobs", json=job, headers=bearing(SECRETS[name]))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def audit(lab: TestClient) -> list[tuple[str, str, str]]:
    rows = lab.get("/api/v1/audit", headers=bearing(ROOT)).json()["items"]
    return [(row["actor"], row["action"], row["subject"]) for row in rows]


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [("rita", 403, "active"), ("bob", 403, "active"), ("ann", 303, "cancelled"), ("admin", 303, "cancelled")],
)
def test_a_job_is_cancelled_by_whoever_may(lab: TestClient, name: str, status: int, state: str) -> None:
    job = job_of(lab, "ann")
    browser = browser_of(lab, name)
    shows_button = f'action="/jobs/{job}/cancel"' in browser.get(f"/jobs/{job}").text
    assert shows_button is (status == 303)
    assert browser.post(f"/jobs/{job}/cancel").status_code == status
    assert lab.get(f"/api/v1/jobs/{job}", headers=bearing(ROOT)).json()["state"] == state
    assert ((name, "job.cancel", job) in audit(lab)) is (status == 303)
    assert (f"cancelled by {name}" in browser.get(f"/jobs/{job}").text) is (status == 303)


def test_a_device_is_reserved_released_drained_and_undrained(lab: TestClient) -> None:
    own = f"/devices/{DEVICE}"
    ann, bob, root = (browser_of(lab, name) for name in ("ann", "bob", "admin"))
    assert ann.post(f"{own}/reserve", data={"seconds": "3600", "note": "<b>mine</b>"}).headers["location"] == own
    shown = bob.get(own).text
    assert "by ann until" in shown
    assert "&lt;b&gt;mine" in shown
    taken = bob.post(f"{own}/reserve", data={"seconds": "3600"})
    assert taken.status_code == 409
    assert "ann has lab.desk until" in taken.text
    assert bob.post(f"{own}/release").status_code == 409
    assert ann.post(f"{own}/drain").status_code == 403
    assert ann.post(f"{own}/release").status_code == 303
    assert root.post(f"{own}/drain", data={"note": "new battery"}).status_code == 303
    assert "drained" in bob.get("/devices?state=drained").text
    assert root.post(f"{own}/undrain").status_code == 303
    known = {(actor, action) for actor, action, subject in audit(lab) if subject == DEVICE}
    assert {("ann", "device.reserve"), ("ann", "device.release")} <= known
    assert ("bob", "device.reserve") not in known


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_other_sites_forms_change_nothing(lab: TestClient, headers: dict[str, str]) -> None:
    job = job_of(lab, "ann")
    root = browser_of(lab, "admin")
    for path in (f"/jobs/{job}/cancel", f"/devices/{DEVICE}/reserve", f"/devices/{DEVICE}/drain"):
        assert root.post(path, data={"seconds": "3600"}, headers=headers).status_code == 403
    assert lab.get(f"/api/v1/jobs/{job}", headers=bearing(ROOT)).json()["state"] == "active"
    assert lab.get(f"/api/v1/devices/{DEVICE}", headers=bearing(ROOT)).json()["drain"] is None
    root.post(f"/jobs/{job}/cancel")


def test_nobody_without_a_session_does_anything(lab: TestClient) -> None:
    stranger = TestClient(lab.app, base_url=HERE, follow_redirects=False)
    for path in (f"/devices/{DEVICE}/drain", "/jobs/j-1/cancel", "/runs/r-1/cancel"):
        answer = stranger.post(path)
        assert answer.status_code == 401
        assert 'name="token"' in answer.text
    for path in ("/jobs", "/devices", f"/devices/{DEVICE}/charts/battery", "/runs/r-1/attempts/1/charts/memory"):
        assert stranger.get(path).status_code == 401


def test_what_there_is_not_is_said(lab: TestClient) -> None:
    root = browser_of(lab, "admin")
    assert root.post("/jobs/none/cancel").status_code == 404
    assert root.post("/runs/none/cancel").status_code == 404
    assert root.post("/devices/none/drain").status_code == 404
    for path in ("/jobs?cursor=nonsense", "/devices?cursor=nonsense"):
        answer = root.get(path)
        assert answer.status_code == 422
        assert "cursor" in answer.text


def test_on_loopback_without_tokens_everybody_may(tmp_path: Path) -> None:
    with house(tmp_path / "data") as client:
        assert client.get("/jobs").status_code == 200
        assert client.post("/devices/none/drain").status_code == 404
