"""What waits for its turn to write has the time of its turn, not that of its coming."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from orchestrator.contract.attempt import AttemptReport
from orchestrator.contract.vocabulary import Phase
from tests.integration.coordinator.inside import TIMES, InnerLab
from tests.unit.domain.builders import NOW, page_report
from tests.waiting import wait_until

Result = TypeVar("Result")
LATER = timedelta(seconds=7)


def while_another_writes(inner: InnerLab, act: Callable[[], Result]) -> Result:
    """The result of `act`, which began before and had its turn after the clock went on by `LATER`."""
    writes, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with inner.database.write():
            writes.set()
            may_end.wait()

    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(write)
        try:
            writes.wait()
            acting: Future[Result] = pool.submit(act)
            waiting = inner.database._writing._turn._waiting
            wait_until(lambda: waiting or acting.done(), what="somebody who waits for the other's end")
            inner.now += LATER
        finally:
            may_end.set()
        other.result()
        return acting.result()


def test_a_heartbeat_counts_from_when_it_is_noted(inner: InnerLab) -> None:
    inner.add("phone")
    while_another_writes(inner, lambda: inner.beat("phone"))
    assert inner.device("phone").last_seen_at == NOW + LATER


def test_an_enrolment_counts_from_when_it_is_noted(inner: InnerLab) -> None:
    while_another_writes(inner, lambda: inner.add("phone"))
    assert inner.device("phone").last_seen_at == NOW + LATER


def test_a_report_is_received_when_it_is_noted(inner: InnerLab) -> None:
    inner.add("phone")
    inner.submit()
    (spec,) = inner.dispatch()
    inner.start(spec)
    report = AttemptReport(
        run_id=spec.run_id,
        number=spec.number,
        device_id=spec.device_id,
        started_at=NOW,
        finished_at=NOW,
        phase=Phase.VALIDATE,
        page=page_report(),
    )
    receipt = while_another_writes(inner, lambda: inner.ledger.accept("lab", report))
    assert receipt.received_at == NOW + LATER
    assert inner.run(spec.run_id).finished_at == NOW + LATER


def test_a_lease_lasts_from_when_it_is_given_or_renewed(inner: InnerLab) -> None:
    inner.add("phone")
    inner.submit()
    while_another_writes(inner, lambda: inner.dispatching.dispatch({"phone"}))
    with inner.database.read() as tx:
        assert tx.leases.of_devices(["phone"])["phone"].expires_at == NOW + LATER + TIMES.lease
    while_another_writes(inner, inner.ledger.renew_all)
    with inner.database.read() as tx:
        assert tx.leases.of_devices(["phone"])["phone"].expires_at == NOW + 2 * LATER + TIMES.lease


def test_leadership_lasts_from_when_it_is_taken(inner: InnerLab) -> None:
    assert while_another_writes(inner, lambda: inner.dispatching.lead("one", TIMES.leadership))
    with inner.database.read() as tx:
        assert tx.standing.dispatcher_until() == NOW + LATER + TIMES.leadership
