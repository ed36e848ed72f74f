"""The life of an attempt as agents tell it, and as silence tells it."""

from dataclasses import replace
from datetime import timedelta

from orchestrator.contract.attempt import AttemptReport, ReportReceipt
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import AttemptState, FaultCode, FaultOrigin, Phase
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.records import Attempt, Run
from orchestrator.domain.run_states import RunEvent, next_state
from orchestrator.services import outcomes
from orchestrator.services.agents import AgentTimes
from orchestrator.services.ports import Clock, Observer, QuarantinedBy, Store, Transaction, Wakeup


class AttemptLedger:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Wakeup,
        observer: Observer,
        times: AgentTimes,
        health_interval: timedelta,
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake
        self._observer = observer
        self._times = times
        self._health_interval = health_interval

    def start(self, agent_id: str, run_id: str, number: int) -> None:
        """Marks an attempt as running. Raises ConflictError unless it holds its device and has not started."""
        with self._store.write() as tx:
            attempt = self._attempt(tx, run_id, number)
            self._check_owner(tx, agent_id, attempt.device_id)
            lease = tx.leases.of_attempt(run_id, number)
            if lease is None or attempt.state is not AttemptState.LEASED:
                raise ConflictError(f"attempt {run_id}.{number} is {attempt.state}: drop it")
            run = self._run(tx, run_id)
            tx.attempts.update(replace(attempt, state=AttemptState.RUNNING, started_at=self._clock()))
            tx.runs.update(replace(run, state=next_state(run.state, RunEvent.STARTED)))

    def accept(self, agent_id: str, report: AttemptReport) -> ReportReceipt:
        """Takes a report in, once: the same report again changes nothing, a late one is evidence only."""
        now = self._clock()
        with self._store.write() as tx:
            attempt = self._attempt(tx, report.run_id, report.number)
            self._check_owner(tx, agent_id, attempt.device_id)
            if report.device_id != attempt.device_id:
                raise InvalidRequestError(
                    f"attempt {report.run_id}.{report.number} ran on {attempt.device_id}, not on {report.device_id}"
                )
            if attempt.report is not None and attempt.report == report:
                in_force = attempt.state in (AttemptState.REPORTED, AttemptState.FAULTED)
                return ReportReceipt(counted=in_force, received_at=now)
            if tx.leases.of_attempt(report.run_id, report.number) is None:
                kept = attempt.report or report
                tx.attempts.update(replace(attempt, report=kept, late_reports=attempt.late_reports + 1))
                return ReportReceipt(counted=False, received_at=now)
            tx.leases.end(report.run_id, report.number)
            run = self._run(tx, report.run_id)
            quarantined = False
            if report.fault is not None and report.fault.is_infrastructure:
                quarantined = outcomes.spoil(tx, run, attempt, report.fault, now, report)
            else:
                outcomes.conclude(tx, run, attempt, report, now, self._health_interval)
        self._tell(report.fault, quarantined)
        self._wake()
        return ReportReceipt(counted=True, received_at=now)

    def renew_all(self) -> None:
        """Starts every lease anew: while no dispatcher was there, agents could not say that they were alive."""
        expires_at = self._clock() + self._times.lease
        with self._store.write() as tx:
            for lease in tx.leases.all():
                tx.leases.renew(lease, expires_at)

    def reap(self) -> int:
        """Ends every lease that ran out; returns how many."""
        now = self._clock()
        ended: list[tuple[Fault, bool]] = []
        with self._store.write() as tx:
            for lease in tx.leases.all():
                if lease.expires_at > now:
                    continue
                attempt = self._attempt(tx, lease.run_id, lease.number)
                started = attempt.state is AttemptState.RUNNING
                detail = f"device {lease.device_id} went silent" if started else "no worker took the message"
                fault = Fault(
                    origin=FaultOrigin.COORDINATOR,
                    code=FaultCode.LEASE_EXPIRED,
                    phase=Phase.PREPARE,
                    transient=True,
                    detail=f"{detail} until its lease ran out",
                )
                tx.leases.end(lease.run_id, lease.number)
                quarantined = outcomes.spoil(tx, self._run(tx, lease.run_id), attempt, fault, now, None)
                ended.append((fault, quarantined))
        for fault, quarantined in ended:
            self._tell(fault, quarantined)
        return len(ended)

    def _tell(self, fault: Fault | None, quarantined: bool) -> None:
        self._observer.attempt_ended(fault)
        if quarantined:
            self._observer.device_quarantined(QuarantinedBy.COORDINATOR)

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
    def _check_owner(tx: Transaction, agent_id: str, device_id: str) -> None:
        device = tx.devices.get(device_id)
        if device is None or device.agent_id != agent_id:
            raise ConflictError(f"device {device_id} is not this agent's")
