"""Where a run is tried again after the lab has failed it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.device import Browser
from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, Purpose
from orchestrator.domain.eligibility import may_use, obstacle
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.placement import Pair
from orchestrator.domain.probing import find_browser
from orchestrator.domain.quarantine import speaks_against_device
from orchestrator.domain.records import DeviceRecord, Run
from orchestrator.domain.selector import Selector, selectable_facts
from orchestrator.services.ports import Transaction

_LOOKED_AT: Final = 1_000
"""Devices of a model that are asked at most whether they take a run over."""


@dataclass(frozen=True)
class Search:
    """For another place, at one moment."""

    now: datetime
    silence: timedelta
    plan: LabPlan

    def place_elsewhere(self, tx: Transaction, run: Run, lost: DeviceRecord, fault: Fault) -> Pair | None:
        """Another device and browser for a run whose attempt was lost; none where it had better wait for its device.

        It moves when the fault speaks against the device, or its agent was stopped; a device that only rests will be
        ready again. It moves to a device of the same model and kind, with a browser of the same name, channel and
        major version, that the job's selector selects and that is ready for its submitter now; one with nothing to do
        is preferred.

        Cells are of devices, so a run that moves is measured for another cell. That must not make one job measure a
        cell twice: the run never moves to a device and browser for which its job has a run of the same variant and
        backend already, whether that one waits, runs or is done; runs that were cancelled, expired or inconclusive
        measured nothing and do not count. Nor does it go back to a device that has lost it before. A health run is
        about its device and never moves.
        """
        at_fault = speaks_against_device(fault) or fault.code is FaultCode.AGENT_STOPPED
        browser = find_browser(lost.registration, run.browser)
        if not at_fault or run.purpose is not Purpose.MEASURE or browser is None:
            return None
        selector = Selector(tx.jobs.spec(run.job_id).devices)
        tried = tx.attempts.devices_tried(run.id)
        measured = tx.runs.places_measured(run)
        alike = tx.devices.alike(lost.registration.model, lost.registration.kind, self.now - self.silence, _LOOKED_AT)
        for device in alike:
            place = (device.registration.id, browser.id)
            if place[0] in tried or place in measured or not self._takes(device, run.submitter):
                continue
            other = find_browser(device.registration, browser.id)
            if other is not None and other.label == browser.label and _selects(selector, device, other):
                return place
        return None

    def _takes(self, device: DeviceRecord, submitter: str) -> bool:
        free = obstacle(device, self.now, self.silence, self.plan) is None
        return free and may_use(device, submitter, self.now)


def _selects(selector: Selector, device: DeviceRecord, browser: Browser) -> bool:
    """A selector that cannot be evaluated for a device does not select it."""
    try:
        return selector.matches(selectable_facts(device.registration, browser, device.probes.get(browser.id)))
    except InvalidRequestError:
        return False
