"""Artifacts in an S3-compatible store: kept whole or not at all, read in ranges, and what is said when it fails."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.contract.attempt import Artifact
from tests.integration.coordinator.lab import HandAgent, RunningCoordinator, Submitter, running_coordinator
from tests.object_store import BUCKET, ObjectStore, running_object_store
from tests.ports import free_port

CONTENT = bytes(range(256)) * 40_000
"""10 MB: more than one part of a multipart upload."""


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with running_object_store(free_port()) as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def credentials(store: ObjectStore) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in store.variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory, credentials: None) -> Iterator[RunningCoordinator]:
    data = tmp_path_factory.mktemp("s3") / "data"
    with running_coordinator(data, blobs_url=f"s3://{BUCKET}/lab/artifacts") as running:
        yield running


def put(coordinator: RunningCoordinator, agent: HandAgent, content: bytes, sha256: str) -> httpx.Response:
    assert agent.answer is not None
    headers = {"Authorization": f"Bearer {agent.answer.agent_token}"}
    return httpx.put(f"{coordinator.url}/api/v1/blobs/{sha256}", content=content, headers=headers, timeout=60)


def stored(coordinator: RunningCoordinator, agent: HandAgent, content: bytes) -> str:
    """The address of a blob that an agent has sent."""
    sha256 = hashlib.sha256(content).hexdigest()
    assert put(coordinator, agent, content, sha256).status_code == 204
    return f"{coordinator.url}/api/v1/blobs/{sha256}"


def keys(store: ObjectStore) -> list[str]:
    return [one["Key"] for one in store.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_an_artifact_goes_there_and_comes_back_whole(
    coordinator: RunningCoordinator, agent: HandAgent, store: ObjectStore
) -> None:
    address = stored(coordinator, agent, CONTENT)
    sha256 = address.rpartition("/")[2]
    assert f"lab/artifacts/{sha256[:2]}/{sha256}" in keys(store)
    assert not (coordinator.data / "blobs" / sha256[:2] / sha256).exists()
    found = httpx.get(address, timeout=60)
    assert (found.status_code, found.content == CONTENT) == (200, True)
    assert found.headers["content-length"] == str(len(CONTENT))
    assert found.headers["etag"] == f'"{sha256}"'
    assert stored(coordinator, agent, CONTENT) == address


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=9999990-", 9_999_990, None),
        ("bytes=-7", -7, None),
        ("bytes=5000000-99999999", 5_000_000, None),
    ],
)
def test_ranges_are_streamed(
    coordinator: RunningCoordinator, agent: HandAgent, asked: str, start: int, end: int | None
) -> None:
    address = stored(coordinator, agent, CONTENT)
    found = httpx.get(address, headers={"Range": asked}, timeout=60)
    expected = CONTENT[start:end]
    assert (found.status_code, found.content == expected) == (206, True)
    first = start % len(CONTENT)
    assert found.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-3", "lines=1-2", "bytes=-", "nonsense"])
def test_other_ranges_get_the_whole_blob(coordinator: RunningCoordinator, agent: HandAgent, asked: str) -> None:
    address = stored(coordinator, agent, b"0123456789")
    found = httpx.get(address, headers={"Range": asked})
    assert (found.status_code, found.content) == (200, b"0123456789")


def test_a_range_beyond_the_end_cannot_be_had(coordinator: RunningCoordinator, agent: HandAgent) -> None:
    found = httpx.get(stored(coordinator, agent, b"0123456789"), headers={"Range": "bytes=10-"})
    assert (found.status_code, found.headers["content-range"]) == (416, "bytes */10")


def test_bytes_that_are_not_what_their_name_says_are_never_seen(
    coordinator: RunningCoordinator, agent: HandAgent, store: ObjectStore
) -> None:
    before = keys(store)
    sha256 = hashlib.sha256(b"promised").hexdigest()
    assert put(coordinator, agent, b"other", sha256).status_code == 422
    assert keys(store) == before
    assert httpx.get(f"{coordinator.url}/api/v1/blobs/{sha256}").status_code == 404


def test_models_and_pages_stay_in_the_directory(coordinator: RunningCoordinator) -> None:
    model = hashlib.sha256(b"weights").hexdigest()
    assert (coordinator.data / "blobs" / model[:2] / model).is_file()
    assert httpx.get(f"{coordinator.url}/api/v1/blobs/{model}").content == b"weights"


def test_the_pages_show_it(coordinator: RunningCoordinator, agent: HandAgent, qa: Submitter) -> None:
    log = b"a line of the console"
    sha256 = stored(coordinator, agent, log).rpartition("/")[2]
    qa.submit()
    spec = agent.take()
    artifact = Artifact(name="console.log", media_type="text/plain", sha256=sha256, bytes=len(log))
    assert agent.report(spec, artifacts=[artifact]).json()["counted"] is True
    found = httpx.get(f"{coordinator.url}/runs/{spec.run_id}/artifacts/{sha256}")
    assert (found.content, found.headers["content-type"]) == (log, "text/plain; charset=utf-8")
    assert "sandbox" in found.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "refuses the credentials: set AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID", "wrong", "refuses the credentials: set AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "does not answer"),
        ("FITMATRIX_BLOBS_URL", "s3://no-such-bucket", "there is no such bucket: make it"),
        ("FITMATRIX_BLOBS_URL", "/var/lib/artifacts", "give s3://bucket or s3://bucket/prefix"),
        ("FITMATRIX_BLOBS_URL", "s3://lab/../x", "give s3://bucket or s3://bucket/prefix"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: ObjectStore, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv("FITMATRIX_BLOBS_URL", f"s3://{BUCKET}/lab")
    monkeypatch.setenv(variable, value)
    code, words = RunningCoordinator(tmp_path / "data").fail_to_start()
    assert code == 3, words
    assert "artifacts cannot be kept" in words
    assert said in words
    assert store.secret not in words
    assert "Traceback" not in words


def test_a_store_that_goes_away_is_not_the_callers_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_object_store(free_port()) as leaving:
        for name, value in leaving.variables.items():
            monkeypatch.setenv(name, value)
        with running_coordinator(tmp_path / "data", blobs_url=f"s3://{BUCKET}") as coordinator:
            agent = HandAgent(coordinator, agent_id="lab")
            assert agent.enrol().status_code == 200
            address = stored(coordinator, agent, b"kept")
            leaving.stop()
            sha256 = hashlib.sha256(b"lost").hexdigest()
            for refused in (put(coordinator, agent, b"lost", sha256), httpx.get(address, timeout=60)):
                assert refused.status_code == 503
                assert refused.headers["content-type"] == "application/problem+json"
                assert f"s3://{BUCKET} does not answer" in refused.json()["detail"]
            ready = httpx.get(f"{coordinator.url}/readyz", timeout=60)
            assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "ok")
            assert "does not answer" in ready.json()["checks"]["artifacts"]
            agent.close()
