"""From a job to the cells it measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Backend, Phase, Task
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.records import DeviceRecord
from orchestrator.domain.selector import Selector
from orchestrator.domain.variant_choice import choose_variants, names_in_words, problem

MAX_RUNS: Final = 10_000
"""In one job."""
_NOT_LIMITED: Final = (Phase.COLLECT, Phase.CLEANUP)
"""Phases that the agent goes through in any case, each within bounds of its own."""


@dataclass(frozen=True)
class PlannedCell:
    variant: Variant
    backend: Backend
    device_id: str
    browser: str


@dataclass(frozen=True)
class Expansion:
    cells: tuple[PlannedCell, ...]
    left_out: tuple[str, ...]
    """Combinations that no build covers, and what a query found in vain, each with its reason."""


def expand(
    spec: JobSpec, catalog: Mapping[str, Variant], devices: Sequence[DeviceRecord], plan: LabPlan | None = None
) -> Expansion:
    """variants × backends × selected browsers of devices, smallest variant first.

    Raises InvalidRequestError with one entry for each field that is wrong.
    """
    choice = choose_variants(spec, catalog)
    wrong, left_out = choice.wrong, choice.left_out
    if not wrong:
        _check_backends(spec, choice.variants, wrong)
    _check_phases(spec, wrong)
    selected = _select(spec.devices, devices, plan or LabPlan(), wrong)
    if wrong:
        raise InvalidRequestError("The job cannot run as it stands; nothing was created.", wrong)

    kinds: list[tuple[Variant, Backend]] = []
    for variant in sorted(choice.variants, key=lambda one: one.total_bytes):
        if variant.task is Task.PROBE:
            kinds.append((variant, variant.backends[0]))
            continue
        for backend in spec.backends:
            if backend in variant.backends:
                kinds.append((variant, backend))
            else:
                left_out.append(f"{variant.id} on {backend}: this build has {', '.join(variant.backends)} only")
    # Counted before they are made: what is refused for its size is not built first.
    runs = len(kinds) * len(selected) * first_repeats(spec)
    if runs > MAX_RUNS:
        raise InvalidRequestError(
            "The job is too large; nothing was created.",
            [problem("variants", f"{runs} runs", f"at most {MAX_RUNS} runs in a job")],
        )
    cells = tuple(PlannedCell(variant, backend, *pair) for variant, backend in kinds for pair in selected)
    return Expansion(cells, tuple(left_out))


def first_repeats(spec: JobSpec) -> int:
    """Runs that each cell begins with."""
    return 1 if spec.repeats == "auto" else spec.repeats


def check_expiry(spec: JobSpec, now: datetime) -> None:
    """Raises InvalidRequestError for a job that nothing could begin of."""
    if spec.expires is not None and spec.expires <= now:
        allowed = f"a moment after now, {now:%Y-%m-%dT%H:%M:%SZ}"
        fields = [problem("expires", spec.expires.isoformat(), allowed)]
        raise InvalidRequestError("The job has expired already; nothing was created.", fields)


def expires_at(spec: JobSpec, created_at: datetime) -> datetime | None:
    """When a run of the job that was created then is given up, unless its first attempt has begun."""
    ends = [] if spec.expires is None else [spec.expires]
    if spec.timeouts.queue is not None:
        ends.append(created_at + timedelta(seconds=spec.timeouts.queue))
    return min(ends, default=None)


def _check_backends(spec: JobSpec, chosen: Sequence[Variant], wrong: list[ProblemField]) -> None:
    models = [variant for variant in chosen if variant.task is not Task.PROBE]
    allowed = sorted({name for variant in models for name in variant.backends})
    for index, backend in enumerate(spec.backends):
        if backend in spec.backends[:index]:
            wrong.append(problem(f"backends[{index}]", backend, "each backend once"))
        # A query takes what there is, as it does with variants.
        elif models and backend not in allowed and not isinstance(spec.variants, str) and len(models) == len(chosen):
            words = f"a backend of these variants: {', '.join(allowed)}"
            wrong.append(problem(f"backends[{index}]", backend, words))


def _check_phases(spec: JobSpec, wrong: list[ProblemField]) -> None:
    for phase in spec.timeouts.phases:
        if phase in _NOT_LIMITED:
            limited = ", ".join(one for one in Phase if one not in _NOT_LIMITED)
            wrong.append(problem(f"timeouts.phases.{phase}", spec.timeouts.phases[phase], f"a limit of {limited}"))


def _select(
    expression: str, devices: Sequence[DeviceRecord], plan: LabPlan, wrong: list[ProblemField]
) -> list[tuple[str, str]]:
    """The pairs of device and browser, by their ids, that a selector selects."""
    try:
        selector = Selector(expression, classes=[one.name for one in plan.classes])
        selected = [
            (device.registration.id, browser.id)
            for device in devices
            for browser in device.registration.facts.browsers
            if selector.matches(plan.facts_of(device, browser))
        ]
    except InvalidRequestError as error:
        wrong.extend(error.fields)
        return []
    if not selected:
        wrong.append(problem("devices", expression, _selectable_words(devices)))
    return selected


def _selectable_words(devices: Sequence[DeviceRecord]) -> str:
    if not devices:
        return "a registered device: start one with `fitmatrix-agent run --coordinator URL`"
    able = names_in_words([device.registration.id for device in devices if device.registration.facts.browsers])
    if not able:
        return "a device with a browser: no registered device has one; install Chrome on it"
    return f"a selector that at least one browser of a registered device satisfies: {able}"
