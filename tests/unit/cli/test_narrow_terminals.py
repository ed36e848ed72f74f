"""Lists on a terminal of 80 columns, and of 60: nothing is cut off, and what is copied elsewhere stays in one piece."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from orchestrator.contract.comparison import Arm, CellComparison, Comparison
from orchestrator.contract.users import AuditEntry
from orchestrator.contract.vocabulary import CellVerdict, Change, Varied
from tests.unit.cli import samples
from tests.unit.cli.conftest import FakeCoordinator, fitmatrix

LONG_ID = "smollm2-135m-instruct.gguf-q4_1.wllama-3.6.1"


def shown(*arguments: str, server: str, columns: int) -> str:
    done = fitmatrix(*arguments, server=server, columns=columns)
    assert done.exit_code == 0, done.output
    assert max(len(line) for line in done.stdout.splitlines()) <= columns
    return done.stdout


def answers() -> dict[str, list[BaseModel]]:
    unnamed = samples.device(registration=samples.registration(id="lab-1.this-machine"), queued_runs=3)
    return {
        "devices": [unnamed, samples.sick_device()],
        "runs": [samples.run(id="r-gskstdckb7ab", variant=LONG_ID), samples.out_of_memory_run()],
        "jobs": [samples.job(id="j-70bc6bvwtd5c", submitter="somebody with a name")],
        "models": [samples.variant_view(id=LONG_ID)],
    }


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
@pytest.mark.parametrize(
    ("command", "whole"),
    [
        ("devices", ["lab-1.this-machine", "queued", "not probed", "Some CPU"]),
        ("runs", ["r-gskstdckb7ab", "11-21"]),
        ("jobs", ["j-70bc6bvwtd5c", "finished", "settled", "somebody"]),
        ("models list", [LONG_ID, "transformers.js", "wasm"]),
    ],
)
def test_a_list_fits(coordinator: FakeCoordinator, command: str, whole: list[str], columns: int) -> None:
    listed = command.partition(" ")[0]
    coordinator.answer(f"GET /api/v1/{listed}", answers()[listed])
    text = shown(*command.split(), server=coordinator.url, columns=columns)
    for word in whole:
        assert word in text, word


def test_at_80_columns_a_variant_is_not_broken(coordinator: FakeCoordinator) -> None:
    names = ["smollm2-135m-instruct.q8", "all-minilm-l6-v2.int8"]
    coordinator.answer("GET /api/v1/runs", [samples.run(variant=name) for name in names])
    text = shown("runs", server=coordinator.url, columns=80)
    assert [name for name in names if name not in text] == []


def _pair(device: str, change: Change) -> CellComparison:
    place = {
        "model": "SmolLM2", "variant": LONG_ID, "quantization": "Q4_1", "runtime": "wllama", "backend": "wasm",
        "runtime_version": "3.6.1", "weights": "trained", "workload": "pp512/tg128", "device": device,
        "criteria": "decode>=5 ttft<=10 latency<=1", "browser_channel": "chrome", "flags": "", "origin": "physical",
    }  # fmt: skip
    arm = Arm(
        cells=["a"], verdict=CellVerdict.FITS, fault=None, runs=5, successes=5, probability=0.92, interval=(0.62, 1),
        last_run="r-1", updated_at=samples.NOW,
    )  # fmt: skip
    return CellComparison(place=place, change=change, a=arm, b=arm, p_value=1, figures={})


def test_pairs_without_a_change_can_be_read_and_are_said_to_be_there(coordinator: FakeCoordinator) -> None:
    pairs = [_pair("lab.one", Change.NONE), _pair("lab.two", Change.NONE)]
    found = Comparison(
        vary=Varied.BROWSER_VERSION, a="156", b="157", comparisons=pairs, pairs=2,
        looked_at=2, only_a=0, only_b=0, counts=dict.fromkeys(Change, 0) | {Change.NONE: 2}, names={},
    )  # fmt: skip
    coordinator.answer("GET /api/v1/compare", found)
    command = ("compare", "browser_version", "156", "157")
    assert shown(*command, server=coordinator.url, columns=80) == "2 pairs: 2 without a change (--all shows them)\n"
    everything = shown(*command, "--all", server=coordinator.url, columns=80)
    for words in ("lab.one", "lab.two", "fits 5/5", "in all of them: ", "workload pp512/tg128"):
        assert words in " ".join(everything.split()), words
    assert len(everything.splitlines()) < 12


def test_moments_of_the_audit_log_are_those_of_a_clock_on_the_wall(coordinator: FakeCoordinator) -> None:
    until = samples.NOW + timedelta(microseconds=123)
    entry = AuditEntry(
        id=1, at=samples.NOW, actor="root", action="device.reserve", subject="lab.pixel",
        detail={"until": until.isoformat(), "note": "2 days"},
    )  # fmt: skip
    coordinator.answer("GET /api/v1/audit", [entry])
    text = fitmatrix("audit", server=coordinator.url).stdout
    assert f"until {until.astimezone():%Y-%m-%d %H:%M:%S}, note 2 days" in text
