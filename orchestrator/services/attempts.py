"""The life of an attempt as agents tell it, and as silence tells it."""

from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.contract.attempt import AttemptReport, ReportReceipt
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import AttemptState, FaultCode, FaultOrigin, Phase
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.placement import is_online
from orchestrator.domain.records import Attempt, Lease, Run
from orchestrator.domain.run_states import RunEvent, next_state
from orchestrator.services import outcomes
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Clock, CurrentPlan, Observer, QuarantinedBy, Store, Transaction, Wakeup
from orchestrator.services.retrying import Search


class AttemptLedger:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Wakeup,
        observer: Observer,
        times: AgentTimes,
        health_interval: timedelta,
        plan: CurrentPlan,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._observer = observer
        self._times = times
        self._health_interval = health_interval
        self._plan = plan

    def start(self, agent_id: str, run_id: str, number: int, nonce: str | None = None) -> None:
        """Marks an attempt as running. Raises ConflictError unless it holds its device and has not started.

        Where the answer was lost it is asked again with the same nonce: then it has started, and nothing changes.
        """
        with self._store.write() as tx:
            attempt, lease = self._standing(tx, agent_id, run_id, number)
            if lease is not None and attempt.state is AttemptState.RUNNING and nonce and nonce == attempt.start_nonce:
                return
            if lease is None or attempt.state is not AttemptState.LEASED:
                raise ConflictError(f"attempt {run_id}.{number} is {attempt.state}: drop it")
            run = self._run(tx, run_id)
            now = self._clock()
            tx.attempts.update(replace(attempt, state=AttemptState.RUNNING, started_at=now, start_nonce=nonce))
            tx.leases.renew([lease], now + self._times.lease)
            tx.runs.update(replace(run, state=next_state(run.state, RunEvent.STARTED)))

    def accept(self, agent_id: str, report: AttemptReport) -> ReportReceipt:
        """Takes a report in, once: the same report again changes nothing, a late one is evidence only."""
        with self._store.write() as tx:
            now = self._clock()
            attempt, lease = self._standing(tx, agent_id, report.run_id, report.number)
            if report.device_id != attempt.device_id:
                raise InvalidRequestError(
                    f"attempt {report.run_id}.{report.number} ran on {attempt.device_id}, not on {report.device_id}"
                )
            if attempt.report is not None and attempt.report == report:
                in_force = attempt.state in (AttemptState.REPORTED, AttemptState.FAULTED)
                return ReportReceipt(counted=in_force, received_at=now)
            if lease is None:
                kept = attempt.report or report
                tx.attempts.update(replace(attempt, report=kept, late_reports=attempt.late_reports + 1))
                return ReportReceipt(counted=False, received_at=now)
            tx.leases.end(report.run_id, report.number)
            run = self._run(tx, report.run_id)
            outcome = outcomes.Outcome(run.device_id)
            if report.fault is not None and report.fault.is_infrastructure:
                outcome = self._spoil(tx, run, attempt, report.fault, now, report)
            else:
                outcomes.conclude(tx, run, attempt, report, now, self._health_interval)
        self._tell(report.fault, attempt, now, outcome)
        return ReportReceipt(counted=True, received_at=now)

    def renew_all(self) -> None:
        """Starts every lease anew: while no dispatcher was there, agents could not say that they were alive."""
        with self._store.write() as tx:
            tx.leases.renew_all(self._clock() + self._times.lease)

    def reap(self) -> int:
        """Ends every lease that ran out; returns how many."""
        with self._store.read() as tx:
            expired = tx.leases.expired(self._clock())
        return sum(map(self._reap, expired))

    def _reap(self, seen: Lease) -> bool:
        """In a transaction of its own: one that fails keeps nothing else from its end."""
        with self._store.write() as tx:
            now = self._clock()
            lease = tx.leases.of_attempt(seen.run_id, seen.number)
            if lease is None or lease.expires_at > now:
                return False  # it was renewed or ended meanwhile
            attempt = self._attempt(tx, lease.run_id, lease.number)
            if attempt.state is AttemptState.RUNNING:
                detail = f"device {lease.device_id} went silent"
            elif self._is_silent(tx, lease.device_id, now):
                detail = f"no worker took the message, and the agent of device {lease.device_id} went silent"
            else:
                detail = f"the worker of device {lease.device_id} did not start it, though its agent is there,"
            fault = Fault(
                origin=FaultOrigin.COORDINATOR,
                code=FaultCode.LEASE_EXPIRED,
                phase=Phase.PREPARE,
                transient=True,
                detail=f"{detail} until its lease ran out",
            )
            tx.leases.end(lease.run_id, lease.number)
            outcome = self._spoil(tx, self._run(tx, lease.run_id), attempt, fault, now, None)
        self._tell(fault, attempt, now, outcome)
        return True

    def _spoil(
        self,
        tx: Transaction,
        run: Run,
        attempt: Attempt,
        fault: Fault,
        now: datetime,
        report: AttemptReport | None,
    ) -> outcomes.Outcome:
        search = Search(now, self._times.silence, self._plan())
        return outcomes.spoil(tx, run, attempt, fault, search, report)

    def _is_silent(self, tx: Transaction, device_id: str, now: datetime) -> bool:
        device = tx.devices.get(device_id)
        return device is None or not is_online(device, now, self._times.silence)

    def _tell(self, fault: Fault | None, attempt: Attempt, now: datetime, outcome: outcomes.Outcome) -> None:
        seconds = max(0.0, (now - attempt.leased_at).total_seconds())
        self._observer.attempt_ended(fault, seconds, attempt.run_id)
        if outcome.quarantined:
            self._observer.device_quarantined(QuarantinedBy.COORDINATOR)
        self._wake({outcome.device_id, outcome.next_device_id})

    @staticmethod
    def _attempt(tx: Transaction, run_id: str, number: int) -> Attempt:
        attempt = tx.attempts.get(run_id, number)
        if attempt is None:
            raise NotFoundError(f"there is no attempt {run_id}.{number}")
        return attempt

    @staticmethod
    def _run(tx: Transaction, run_id: str) -> Run:
        run = tx.runs.get(run_id)
        if run is None:
            raise NotFoundError(f"there is no run {run_id}")
        return run

    @staticmethod
    def _standing(tx: Transaction, agent_id: str, run_id: str, number: int) -> tuple[Attempt, Lease | None]:
        standing = tx.attempts.standing(run_id, number)
        if standing is None:
            raise NotFoundError(f"there is no attempt {run_id}.{number}")
        if standing.agent_id != agent_id:
            raise ConflictError(f"device {standing.attempt.device_id} is not this agent's")
        return standing.attempt, standing.lease
