"""Two versions of a browser, compared over the API and the command line; what no longer fits is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.client import Client, ProblemError
from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import Change, FaultCode, FaultOrigin, Phase, Topic
from tests.integration.coordinator.follower import Follower
from tests.integration.coordinator.lab import (
    ON_BOTH_DATABASES,
    VARIANT,
    HandAgent,
    RunningCoordinator,
    Submitter,
)
from tests.integration.coordinator.receiver import receiving
from tests.unit.cli.conftest import fitmatrix
from tests.waiting import wait_until

pytestmark = ON_BOTH_DATABASES

OLD, NEW = Browser(name="chromium", version="156.0.1"), Browser(name="chromium", version="157.0.2")
OUT_OF_MEMORY = Fault(
    origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False, detail="no more"
)


@pytest.fixture
def client(coordinator: RunningCoordinator) -> Iterator[Client]:
    with Client(coordinator.url) as opened:
        yield opened


def _measure(agent: HandAgent, qa: Submitter, browser: Browser, fits: bool, runs: int) -> None:
    qa.submit(repeats=runs)
    for _ in range(runs):
        changes = {} if fits else {"fault": OUT_OF_MEMORY, "page": None, "phase": Phase.INIT}
        assert agent.report(agent.take(), browser=browser, **changes).json()["counted"] is True


def test_what_fitted_before_an_update_is_first_and_told(
    coordinator: RunningCoordinator, client: Client, agent: HandAgent, qa: Submitter
) -> None:
    with receiving() as receiver:
        client.add_webhook("watch", receiver.url, notices=["cell.regressed"])
        _measure(agent, qa, OLD, fits=True, runs=5)
        _measure(agent, qa, NEW, fits=False, runs=2)
        (notice,) = wait_until(lambda: [one.payload for one in receiver.received], what="the notice")
        client.remove_webhook("watch")
    assert notice["type"] == "cell.regressed"
    data = notice["data"]
    assert (data["variant"], data["verdict"], data["fault"]) == (VARIANT, "fails", "out-of-memory")
    assert (data["browser"], data["since"]["browser"]) == (NEW.label, OLD.label)
    regressions = Follower(coordinator.url, topics=[Topic.REGRESSION], device=agent.device_id, after=0)
    regressions.wait_for(data["key"], "fails")
    regressions.stop()

    found = client.compare("browser_version", "156", "157", device=agent.device_id)
    assert (found.pairs, found.counts[Change.FLIPPED_DOWN], found.only_a, found.only_b) == (1, 1, 0, 0)
    (pair,) = found.comparisons
    assert pair.place["variant"] == VARIANT
    assert (pair.a.runs, pair.b.runs, pair.b.fault) == (5, 2, FaultCode.OUT_OF_MEMORY)
    assert pair.p_value == pytest.approx(1 / 21)
    shown = fitmatrix(
        "compare", "browser_version", "156", "157", "--only", f"device={agent.device_id}", server=coordinator.url
    )
    assert shown.exit_code == 0, shown.output
    assert "flipped-down" in shown.output
    assert "fits 5/5" in shown.output


def test_before_and_after_a_moment(client: Client, agent: HandAgent, qa: Submitter) -> None:
    _measure(agent, qa, OLD, fits=True, runs=2)
    moment = client.matrix().generated_at
    _measure(agent, qa, NEW, fits=True, runs=3)
    (pair,) = client.compare("time", moment.isoformat(), device=agent.device_id).comparisons
    assert (pair.a.runs, pair.b.runs) == (2, 3)
    assert pair.change is Change.NONE


def test_labels_part_runs_of_one_cell(client: Client, agent: HandAgent, qa: Submitter) -> None:
    for branch, runs in (("old", 1), ("new", 2)):
        qa.submit(repeats=runs, labels={"branch": branch})
        for _ in range(runs):
            agent.report(agent.take(), browser=OLD)
    (pair,) = client.compare("label", "branch=old", "branch=new", device=agent.device_id).comparisons
    assert (pair.a.runs, pair.b.runs, pair.a.cells == pair.b.cells) == (1, 2, True)


@pytest.mark.parametrize(
    ("vary", "a", "b", "only", "field"),
    [
        ("browser_version", "156", "156", {}, "b"),
        ("browser_version", "156", "", {}, "b"),
        ("time", "yesterday", "", {}, "a"),
        ("time", "2026-01-01T00:00:00", "", {}, "a"),
        ("time", "2026-01-01T00:00:00Z", "", {"since": "2026-01-01T00:00:00Z"}, "since"),
        ("label", "a", "b", {"label": "c"}, "label"),
        ("backend", "wasm", "webgpu", {"backend": "wasm"}, "backend"),
        ("colour", "red", "blue", {}, "vary"),
    ],
)
def test_what_cannot_be_compared_is_said(
    client: Client, vary: str, a: str, b: str, only: dict[str, Any], field: str
) -> None:
    with pytest.raises(ProblemError) as caught:
        client.compare(vary, a, b, **only)
    assert [one.field for one in caught.value.problem.errors] == [field]


def test_runs_of_two_variants_take_turns_on_a_device(agent: HandAgent, qa: Submitter) -> None:
    """Both arms of a comparison see the device as warm and as busy as each other."""
    variants = [VARIANT, "smollm2-135m-instruct.q8"]
    qa.submit(variants=variants, repeats=3)
    order = []
    for _ in range(6):
        spec = agent.take()
        order.append(spec.variant.id)
        assert agent.report(spec).json()["counted"] is True
    # Which of two of one size is first is up to the database, each time anew.
    assert [{*order[turn : turn + 2]} for turn in (0, 2, 4)] == [{*variants}] * 3
