"""The wire stays what peers of this contract version know."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.api.examples import (
    CELL_DETAIL,
    DEVICE_VIEW,
    JOB,
    JOB_EXAMPLES,
    JOB_VIEW,
    MATRIX,
    MATRIX_VIEW,
    PROBLEM,
    RUN_DETAIL,
    VARIANT_VIEW,
)
from orchestrator.contract.attempt import AttemptReport, AttemptSpec, PageBuild, ReportReceipt
from orchestrator.contract.device import EnrolAnswer, EnrolRequest, Heartbeat, HeartbeatAnswer
from orchestrator.contract.job import JobSpec
from orchestrator.contract.matrix import CellDetail, Matrix, MatrixView
from orchestrator.contract.page import PageEvent, PageReport, PageSpec
from orchestrator.contract.views import DeviceView, JobView, Problem, RunDetail, VariantView
from orchestrator.contract.wire import CONTRACT_VERSION

WIRE: list[type[BaseModel]] = [
    AttemptReport, AttemptSpec, CellDetail, DeviceView, EnrolAnswer, EnrolRequest, Heartbeat, HeartbeatAnswer, JobSpec,
    JobView, Matrix, MatrixView, PageBuild, PageEvent, PageReport, PageSpec, Problem, ReportReceipt, RunDetail,
    VariantView,
]  # fmt: skip
SNAPSHOT = Path(__file__).parent / "snapshots" / f"v{CONTRACT_VERSION}.json"


def wire_schemas() -> str:
    schemas = {model.__name__: model.model_json_schema() for model in WIRE}
    return json.dumps(schemas, indent=1, sort_keys=True) + "\n"


def test_the_schemas_are_the_snapshot() -> None:
    """After a compatible change: python -m tests.contract.test_wire; after any other, raise CONTRACT_VERSION first."""
    assert wire_schemas() == SNAPSHOT.read_text()


def test_messages_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate(JOB | {"surprise": 1})


def test_answers_bear_what_a_newer_peer_adds() -> None:
    answer = {"agent_token": "t", "broker_url": "redis://", "heartbeat_seconds": 5, "lease_seconds": 30, "new": 1}
    assert EnrolAnswer.model_validate(answer).heartbeat_seconds == 5


def test_examples_are_valid() -> None:
    for example in JOB_EXAMPLES.values():
        JobSpec.model_validate(example["value"])
    JobView.model_validate(JOB_VIEW)
    RunDetail.model_validate(RUN_DETAIL)
    DeviceView.model_validate(DEVICE_VIEW)
    VariantView.model_validate(VARIANT_VIEW)
    assert Matrix.model_validate(MATRIX).cells
    assert MatrixView.model_validate(MATRIX_VIEW).slots
    assert CellDetail.model_validate(CELL_DETAIL).runs
    assert Problem.model_validate(PROBLEM).errors


def test_a_cell_has_every_field_that_was_promised() -> None:
    promised = {
        "variant", "model", "size_class", "parameters", "weights", "runtime", "runtime_version", "backend", "workload",
        "device", "device_class", "emulated", "browser", "verdict", "fault", "phase", "runs", "successes",
        "probability", "interval", "download_bytes", "peak_memory_bytes", "ttft_seconds",
        "prefill_tokens_per_second", "decode_tokens_per_second", "latency_seconds",
    }  # fmt: skip
    assert promised <= set(MATRIX["cells"][0])


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("agents.supervisor", {"fastapi", "sqlalchemy", "torch"}),
        ("agents.worker", {"fastapi", "sqlalchemy", "torch"}),
        ("orchestrator.main", {"selenium", "appium", "torch", "onnx"}),
        ("orchestrator.contract.page", {"fastapi", "celery", "httpx"}),
    ],
)
def test_a_process_loads_only_what_it_needs(module: str, strangers: set[str]) -> None:
    code = f"import sys, {module}; print(*(name for name in {sorted(strangers)!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


if __name__ == "__main__":
    SNAPSHOT.write_text(wire_schemas())
