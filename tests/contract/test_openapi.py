"""The OpenAPI document is one that tools can work with: clients are generated from it, and one of them asks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.api.app import create_app
from tests.integration.coordinator.lab import running_coordinator

_OPERATION = re.compile(r"^[a-z]+(_[a-z]+)+$|^(healthz|readyz|metrics|heartbeat|enrol)$")
_SCHEMA = re.compile(r"^[A-Z][A-Za-z0-9]+(_[A-Z][A-Za-z0-9]+_)?$")
_METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(SimpleNamespace(), "0", ["*"]).openapi()  # type: ignore[arg-type]  # nothing is asked of it


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    ]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert [name for name in names if not _OPERATION.match(name)] == []


def test_schemas_have_one_name_each(document: dict[str, Any]) -> None:
    names = list(document["components"]["schemas"])
    assert [name for name in names if not _SCHEMA.match(name)] == []
    titles = [schema.get("title", name) for name, schema in document["components"]["schemas"].items()]
    assert len(titles) == len(set(titles))


def test_every_operation_says_what_it_answers(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["tags"], name
        responses = operation["responses"]
        assert any(status.startswith("2") for status in responses), name
        assert all(response["description"] for response in responses.values()), name
        if "/api/v1/" in name:
            assert {"401", "422"} <= set(responses), name
        if name.startswith("get /api/v1/") and "{" in name:
            assert "404" in responses, name


def test_a_generated_client_asks_a_real_coordinator(document: dict[str, Any], tmp_path: Path) -> None:
    spec, target = tmp_path / "openapi.json", tmp_path / "generated"
    spec.write_text(json.dumps(document))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(spec), "--meta", "none"]
    made = subprocess.run(
        [*command, "--output-path", str(target), "--fail-on-warning"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    code = """
import sys
from generated import Client
from generated.api.jobs import list_jobs, submit_job
from generated.models import JobSpec, JobState
client = Client(base_url=sys.argv[1])
spec = JobSpec.from_dict({"name": "generated", "variants": ["probe"], "devices": "false || true"})
print(submit_job.sync_detailed(client=client, body=spec).status_code.value)
print([job.spec.name for job in list_jobs.sync(client=client, limit=5).items])
"""
    with running_coordinator(tmp_path / "data") as coordinator:
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, coordinator.url],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
        )
    assert ran.returncode == 0, ran.stderr
    status, listed = ran.stdout.splitlines()
    assert status in ("201", "422")  # without devices a job is refused
    assert listed == ("['generated']" if status == "201" else "[]")
