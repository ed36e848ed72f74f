"""A build's gate: the rules of a `gate.yaml` against what a job has measured."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.cli.gate_file import MEGABYTE, Bound, Gate, Rule
from orchestrator.cli.job_cells import JobCell
from orchestrator.contract.device import Browser
from orchestrator.contract.quantities import significant
from orchestrator.contract.views import DeviceView, RunView
from orchestrator.contract.vocabulary import CellVerdict, Verdict
from orchestrator.domain.probing import PROBE
from orchestrator.domain.selector import Selector, selectable_facts
from orchestrator.domain.variant_query import VariantQuery


class Outcome(StrEnum):
    MET = "met"
    BROKEN = "broken"
    UNMEASURED = "unmeasured"
    """The lab gave nothing to judge by."""


@dataclass(frozen=True)
class Finding:
    """One requirement of one rule in one cell."""

    rule: str
    cell: JobCell | None
    """None where a rule concerns no cell of the job."""
    requirement: str
    outcome: Outcome
    said: str
    """What was measured, and by how much it breaks the requirement."""


@dataclass(frozen=True)
class GateResult:
    findings: Sequence[Finding]

    def of(self, outcome: Outcome) -> list[Finding]:
        return [finding for finding in self.findings if finding.outcome is outcome]

    @property
    def outcome(self) -> Outcome:
        """Broken when a requirement is; otherwise unmeasured when something could not be judged."""
        for outcome in (Outcome.BROKEN, Outcome.UNMEASURED):
            if self.of(outcome):
                return outcome
        return Outcome.MET


def judge_gate(gate: Gate, cells: Sequence[JobCell]) -> GateResult:
    """Every requirement of every rule in every cell that the rule concerns.

    Raises InvalidRequestError when a selector does not work on the devices' facts.
    """
    found = []
    for number, rule in enumerate(gate.rules, start=1):
        judged = _judge_rule(rule, rule.name or f"rule {number}", cells)
        found += [one for one in judged if rule.unmeasured == "fail" or one.outcome is not Outcome.UNMEASURED]
    return GateResult(found)


def _judge_rule(rule: Rule, name: str, cells: Sequence[JobCell]) -> Iterator[Finding]:
    reach = _Reach(rule)
    concerned = [cell for cell in cells if reach.concerns(cell)]
    named = rule.variants if isinstance(rule.variants, list) else []
    for variant in named:
        if not any(cell.variant == variant for cell in concerned):
            yield Finding(name, None, "", Outcome.UNMEASURED, f"no run of {variant} is concerned")
    if not concerned and not named:
        yield Finding(name, None, "", Outcome.UNMEASURED, "no run of this job is concerned")
    for cell in concerned:
        if reach.is_unknown(cell):
            said = f"the catalog has no {cell.variant} any more: name it by its id"
            yield Finding(name, cell, "", Outcome.UNMEASURED, said)
            continue
        for judged in _judge_cell(rule, cell):
            yield Finding(name, cell, *judged)


class _Reach:
    """What a rule concerns. Raises InvalidRequestError where an expression of it does not work."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._selector = None if rule.devices is None else Selector(rule.devices)
        self._query = VariantQuery(rule.variants) if isinstance(rule.variants, str) else None

    def concerns(self, cell: JobCell) -> bool:
        if self._rule.backends is not None and cell.backend not in self._rule.backends:
            return False
        return self._has_variant(cell) and self._has_device(cell)

    def is_unknown(self, cell: JobCell) -> bool:
        """Whether the query cannot tell: the catalog has lost the variant since it was measured."""
        return self._query is not None and cell.listed is None

    def _has_variant(self, cell: JobCell) -> bool:
        if self._query is not None:
            # As in a job, a query finds models. What cannot be asked is concerned, until `is_unknown` says so.
            return cell.variant != PROBE.id and (cell.listed is None or self._query.matches(cell.listed))
        return self._rule.variants is None or cell.variant in self._rule.variants

    def _has_device(self, cell: JobCell) -> bool:
        wanted = self._rule.device_class
        if wanted is None and self._selector is None:
            return True
        device = cell.device
        if device is None:
            return False
        registration = device.registration
        if wanted is not None and wanted not in (registration.device_class, *device.classes):
            return False
        return self._selector is None or any(
            self._selector.matches(self._facts(device, browser))
            for browser in registration.facts.browsers
            if browser.id == cell.browser
        )

    @staticmethod
    def _facts(device: DeviceView, browser: Browser) -> dict[str, Any]:
        return selectable_facts(device.registration, browser, device.probes.get(browser.id), device.classes)


Judged = tuple[str, Outcome, str]
"""Requirement, outcome, what was measured."""


def _judge_cell(rule: Rule, cell: JobCell) -> Iterator[Judged]:
    require = rule.require
    if not cell.counting:
        yield "a result", Outcome.UNMEASURED, states_words(cell)
        return
    if require.verdict is not None:
        yield _judge_verdict(require.verdict, cell.counting)
    if require.settled is not None:
        settled = cell.cell is not None and cell.cell.verdict is not CellVerdict.UNSETTLED
        said = f"{'settled' if settled else 'open'} after {cell.cell.runs if cell.cell else 0} runs"
        yield "settled", Outcome.MET if settled else Outcome.BROKEN, said
    if require.min_fits_probability is not None:
        yield _judge_bound(
            "min_fits_probability",
            Bound(">=", require.min_fits_probability),
            cell.cell.probability if cell.cell else None,
            cell,
        )
    for name, bound in require.bounds.items():
        field = name.replace("_mb", "_bytes")
        value = cell.figure(field)
        yield _judge_bound(name, bound, value if value is None or field == name else value / MEGABYTE, cell)


def _judge_verdict(allowed: Sequence[Verdict], runs: Sequence[RunView]) -> Judged:
    others = [run for run in runs if run.verdict not in allowed]
    words = f"verdict {' or '.join(allowed)}"
    if not others:
        return words, Outcome.MET, f"{len(runs)} of {len(runs)} runs"
    kinds = Counter(run_words(run) for run in others)
    said = ", ".join(f"{count}× {kind}" for kind, count in kinds.most_common(3))
    return words, Outcome.BROKEN, f"{len(others)} of {len(runs)} runs: {said}"


def _judge_bound(name: str, bound: Bound, value: float | None, cell: JobCell) -> Judged:
    words = f"{name} {bound}"
    if value is None:
        failing = [run for run in cell.counting if run.verdict in (Verdict.FAILS, Verdict.WRONG_OUTPUT)]
        if failing:
            return words, Outcome.BROKEN, f"not reached: {run_words(failing[-1])}"
        return words, Outcome.UNMEASURED, "not measured"
    if bound.holds(value):
        return words, Outcome.MET, significant(value)
    return words, Outcome.BROKEN, f"{significant(value)}, {_distance(value, bound.limit)}"


def _distance(value: float, limit: float) -> str:
    side = "above" if value > limit else "below"
    if limit == 0 or value == limit:
        return f"{significant(abs(value - limit))} {side}" if value != limit else "exactly the limit"
    return f"{significant(100 * abs(value - limit) / limit, 2)} % {side}"


def run_words(run: RunView) -> str:
    """`fails (out-of-memory @init)`."""
    fault = f" ({run.fault.code.value} @{run.fault.phase.value})" if run.fault else ""
    return f"{run.verdict.value if run.verdict else run.state.value}{fault}"


def states_words(cell: JobCell) -> str:
    """Why there is nothing to judge by: `2 inconclusive, 1 expired`."""
    states = Counter(run.state.value for run in cell.runs)
    throttled = len(cell.finished) - len(cell.counting)
    parts = [f"{count} {state}" for state, count in states.most_common() if state != "finished"]
    if throttled:
        parts.append(f"{throttled} throttled by heat and too slow")
    return ", ".join(parts)
