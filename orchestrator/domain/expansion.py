"""From a job to the cells it measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import JobSpec
from orchestrator.contract.views import ProblemField
from orchestrator.contract.vocabulary import Backend, Task
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.records import DeviceRecord
from orchestrator.domain.selector import Selector

MAX_CELLS = 10_000


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
    """Combinations that no build covers, each with its reason."""


def expand(
    spec: JobSpec, catalog: Mapping[str, Variant], devices: Sequence[DeviceRecord], plan: LabPlan | None = None
) -> Expansion:
    """variants × backends × selected browsers of devices, smallest variant first.

    Raises InvalidRequestError with one entry for each field that is wrong.
    """
    wrong: list[ProblemField] = []
    chosen: list[Variant] = []
    known = ", ".join(sorted(catalog)) or "none"
    for index, variant_id in enumerate(spec.variants):
        variant = catalog.get(variant_id)
        if variant is None:
            wrong.append(_field(f"variants[{index}]", variant_id, f"a variant of the catalog: {known}"))
        elif variant_id in spec.variants[:index]:
            wrong.append(_field(f"variants[{index}]", variant_id, "each variant once"))
        elif not variant.is_built:
            wrong.append(
                _field(f"variants[{index}]", variant_id, f"a built variant: run `fitmatrix models build {variant_id}`")
            )
        elif not _covered(variant, spec.backends):
            wrong.append(
                _field(
                    "backends",
                    ", ".join(spec.backends),
                    f"at least one that {variant_id} ({variant.runtime}) has: {', '.join(variant.backends)}",
                )
            )
        else:
            chosen.append(variant)
    if not wrong:
        for index, backend in enumerate(spec.backends):
            if backend in spec.backends[:index]:
                wrong.append(_field(f"backends[{index}]", backend, "each backend once"))
            elif not any(backend in _covered(variant, [backend]) for variant in chosen):
                allowed = sorted({name for variant in chosen for name in variant.backends})
                wrong.append(
                    _field(f"backends[{index}]", backend, f"a backend of these variants: {', '.join(allowed)}")
                )
    selected = _select(spec.devices, devices, plan or LabPlan(), wrong)
    if wrong:
        raise InvalidRequestError("The job cannot run as it stands; nothing was created.", wrong)

    cells: list[PlannedCell] = []
    left_out: list[str] = []
    for variant in sorted(chosen, key=lambda one: one.total_bytes):
        if variant.task is Task.PROBE:
            cells.extend(PlannedCell(variant, variant.backends[0], *pair) for pair in selected)
            continue
        for backend in spec.backends:
            if backend in variant.backends:
                cells.extend(PlannedCell(variant, backend, *pair) for pair in selected)
            else:
                left_out.append(f"{variant.id} on {backend}: this build has {', '.join(variant.backends)} only")
    repeats = 1 if spec.repeats == "auto" else spec.repeats
    if len(cells) * repeats > MAX_CELLS:
        raise InvalidRequestError(
            "The job is too large; nothing was created.",
            [_field("variants", f"{len(cells) * repeats} runs", f"at most {MAX_CELLS} runs in a job")],
        )
    return Expansion(tuple(cells), tuple(left_out))


def _covered(variant: Variant, backends: Sequence[Backend]) -> list[Backend]:
    """Those of the job's backends that the variant covers; one probe looks at all of them."""
    return [backend for backend in backends if variant.task is Task.PROBE or backend in variant.backends]


def _select(
    expression: str, devices: Sequence[DeviceRecord], plan: LabPlan, wrong: list[ProblemField]
) -> list[tuple[str, str]]:
    """The pairs of device and browser, by their ids, that a selector selects."""
    try:
        selector = Selector(expression)
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
        wrong.append(_field("devices", expression, _selectable_words(devices)))
    return selected


def _selectable_words(devices: Sequence[DeviceRecord]) -> str:
    if not devices:
        return "a registered device: start one with `fitmatrix-agent run --coordinator URL`"
    able = ", ".join(device.registration.id for device in devices if device.registration.facts.browsers)
    if not able:
        return "a device with a browser: no registered device has one; install Chrome on it"
    return f"a selector that at least one browser of a registered device satisfies: {able}"


def _field(field: str, value: str, allowed: str) -> ProblemField:
    return ProblemField(field=field, value=str(value)[:200], allowed=allowed)
