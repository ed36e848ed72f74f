"""A run whose attempt was lost is tried on another device, where that measures nothing twice; on both databases."""

import pytest

from orchestrator.contract.attempt import AttemptSpec
from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Condition, FaultCode, FaultOrigin, Phase, RunState
from tests.integration.coordinator.inside import TIMES, InnerLab
from tests.unit.domain.builders import BROWSER, device


def fault(code: FaultCode) -> Fault:
    return Fault(origin=FaultOrigin.AGENT, code=code, phase=Phase.OPEN, transient=True, detail="cable")


def lose(lab: InnerLab, spec: AttemptSpec, code: FaultCode = FaultCode.DEVICE_UNREACHABLE) -> None:
    lab.finish(spec, fault=fault(code), page=None)


def on_one_device(lab: InnerLab) -> AttemptSpec:
    """An attempt of a job that was submitted when there was only device `a`."""
    lab.add("a")
    lab.submit()
    (spec,) = lab.dispatch()
    return spec


def test_a_lost_attempt_is_retried_on_another_device_of_the_model(inner: InnerLab) -> None:
    spec = on_one_device(inner)
    inner.add("a", "b")
    inner.woken.clear()
    lose(inner, spec)
    assert [set(woken or ()) for woken in inner.woken] == [{"a", "b"}]
    (second,) = inner.dispatch({"a", "b"})
    assert (second.run_id, second.number, second.device_id) == (spec.run_id, 2, "b")
    inner.finish(second)
    run = inner.run(spec.run_id)
    assert (run.state, run.device_id, run.attempts) == (RunState.FINISHED, "b", 2)
    with inner.database.read() as tx:
        assert [attempt.device_id for attempt in tx.attempts.of_run(run.id)] == ["a", "b"]
        assert [record.cell.device for record in tx.cells.all()] == ["b"]


def test_a_device_that_went_silent_loses_its_run_to_another(inner: InnerLab) -> None:
    spec = on_one_device(inner)
    inner.start(spec)
    inner.enrol(device("b"), agent_id="other")
    for _ in range(12):
        inner.now += TIMES.sweep
        inner.beat("b", agent_id="other")
        inner.sweep()
    assert [(again.run_id, again.device_id) for again in inner.broker.take()] == [(spec.run_id, "b")]
    assert inner.report(spec) is False, "what comes late is evidence"


def test_a_run_returns_to_no_device_that_has_lost_it_and_ends_at_the_limit(inner: InnerLab) -> None:
    spec = on_one_device(inner)
    inner.add("a", "b", "c")
    ran_on = []
    for _ in range(3):
        ran_on.append(spec.device_id)
        lose(inner, spec)
        spec, *_ = [*inner.dispatch(), spec]
    assert ran_on == ["a", "b", "c"]
    assert inner.run(spec.run_id).state is RunState.INCONCLUSIVE
    with inner.database.read() as tx:
        assert tx.cells.all() == []


def test_a_job_never_measures_a_cell_twice(inner: InnerLab) -> None:
    inner.add("a", "b")
    inner.submit()
    first, second = sorted(inner.dispatch(), key=lambda spec: spec.device_id)
    inner.finish(second)
    lose(inner, first)
    (again,) = inner.dispatch()
    assert (again.run_id, again.device_id) == (first.run_id, "a"), "device b has had its own run of this cell"


@pytest.mark.parametrize("code", [FaultCode.DEVICE_NOT_READY, FaultCode.DOWNLOAD])
def test_a_run_waits_for_a_device_that_is_not_at_fault(inner: InnerLab, code: FaultCode) -> None:
    spec = on_one_device(inner)
    inner.add("a", "b")
    lose(inner, spec, code)
    inner.beat("a", "b")
    assert [again.device_id for again in inner.dispatch()] == ["a"]


@pytest.mark.parametrize(
    "other",
    [
        device("b", model="Another machine"),
        device("b", browsers=[Browser(name="chromium", version="157.0")]),
        device("b", browsers=[Browser(name="webview", version="156.0.1")]),
        device("b", name="left out"),
    ],
)
def test_a_device_that_differs_or_is_not_asked_for_takes_nothing_over(inner: InnerLab, other: object) -> None:
    inner.add("a")
    inner.submit(devices='name != "left out"')
    (spec,) = inner.dispatch()
    inner.enrol(device("a"), other)  # type: ignore[arg-type]  # pytest's parameters have no type
    lose(inner, spec)
    assert [again.device_id for again in inner.dispatch()] == ["a"]


def test_a_device_that_is_not_ready_takes_nothing_over(inner: InnerLab) -> None:
    spec = on_one_device(inner)
    inner.enrol(device("b", browsers=[BROWSER]), agent_id="other")
    inner.beat("b", agent_id="other", condition=Condition.RESTING)
    lose(inner, spec)
    assert [again.device_id for again in inner.dispatch()] == ["a"]


def test_an_idle_device_is_preferred(inner: InnerLab) -> None:
    inner.add("a", "b")
    inner.submit(variants=["two"])
    busy = {spec.device_id: spec for spec in inner.dispatch()}
    inner.finish(busy["a"])
    inner.submit(devices='id == "a" || id == "c" || id == "d"')
    (spec,) = inner.dispatch()
    inner.add("a", "b", "c", "d")
    inner.submit(variants=["two"], devices='id == "c"')
    assert [other.device_id for other in inner.dispatch()] == ["c"]
    lose(inner, spec)
    assert inner.run(spec.run_id).device_id == "d"
