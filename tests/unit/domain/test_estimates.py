"""How long runs will take."""

from typing import Any

import pytest

from orchestrator.contract.vocabulary import Backend
from orchestrator.domain.cells import freeze
from orchestrator.domain.estimates import NEWEST_WEIGHT, Duration, Estimator, after_run
from orchestrator.domain.expansion import PlannedCell
from orchestrator.services.estimates import estimate
from tests.unit.domain.builders import device, device_record, variant


def duration(digest: str = "d", model: str = "Phone", seconds: float = 40, **changes: Any) -> Duration:
    values: dict[str, Any] = {"backend": Backend.WASM, "variant_bytes": 100, "runs": 1}
    return Duration(variant_digest=digest, device_model=model, seconds=seconds, **(values | changes))


def asked(*known: Duration, digest: str = "d", model: str = "Phone", size: int = 100, most: float = 600) -> float:
    return Estimator(known).seconds(digest, Backend.WASM, model, size, most)


def test_the_same_on_this_model_says_most() -> None:
    assert asked(duration(seconds=40), duration(model="Desk", seconds=4), duration("e", seconds=1)) == 40


def test_then_the_same_on_other_models_each_run_counting() -> None:
    known = [duration(model="Desk", seconds=10, runs=3), duration(model="Tablet", seconds=30, runs=1)]
    assert asked(*known, duration("e", seconds=1)) == 15


def test_then_the_nearest_in_size_on_this_model_and_then_on_any() -> None:
    known = [
        duration("small", variant_bytes=50, seconds=20),
        duration("large", variant_bytes=5000, seconds=200),
        duration("near", model="Desk", variant_bytes=101, seconds=7),
    ]
    assert asked(*known, size=100) == 20
    assert asked(*known, size=4000) == 200
    assert asked(*known, model="Tablet", size=100) == 7


def test_another_backend_says_nothing_and_then_the_bound_does() -> None:
    assert asked(duration(backend=Backend.WEBGPU)) == 600
    assert asked(most=90) == 90


def test_no_run_takes_longer_than_it_may() -> None:
    assert asked(duration(seconds=500), most=60) == 60


def test_a_size_of_nothing_is_no_trouble() -> None:
    assert asked(duration("e", variant_bytes=0, seconds=9), size=0) == 9


def test_the_first_runs_count_alike_and_then_the_newest_most() -> None:
    known = duration(seconds=0, runs=0)
    for seconds in (10.0, 20.0, 30.0):
        known = after_run(known, seconds)
    assert (known.seconds, known.runs) == (20, 3)
    for _ in range(30):
        known = after_run(known, 100)
    assert known.seconds == pytest.approx(100, abs=0.1)
    assert after_run(known, 0).seconds == pytest.approx(known.seconds * (1 - NEWEST_WEIGHT))


def test_each_device_has_the_time_of_its_runs() -> None:
    one = variant()
    devices = [device_record(device("a", model="Phone")), device_record(device("b", model="Desk"))]
    frozen = {one.id: freeze(one)}
    known = [duration(frozen[one.id].digest, "Phone", 40), duration(frozen[one.id].digest, "Desk", 4)]
    cells = [PlannedCell(one, Backend.WASM, name, "chromium") for name in ("b", "a", "b")]
    found = estimate(known, cells, frozen, devices, 600)
    assert [(each.device_id, each.runs, each.device_seconds) for each in found] == [("a", 1, 40), ("b", 2, 8)]
