"""Audiences that were uploaded, and what the matrix says of them."""

from dataclasses import dataclass
from typing import Final, Protocol

from orchestrator.contract.audience import AudienceView, Coverage
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import Listing
from orchestrator.domain.audience import Audience, read_audience
from orchestrator.domain.coverage import Target, Visitors, choose, cover
from orchestrator.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from orchestrator.domain.expression import as_context
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.domain.records import Caller, DeviceRecord
from orchestrator.domain.selector import Selector
from orchestrator.services.matrix import MatrixReading
from orchestrator.services.ports import Clock, CurrentPlan, Store

MOST_AUDIENCES: Final = 200
_MOST_KEPT: Final = 16


class AudienceRecords(Protocol):
    def put(self, audience: Audience) -> None:
        """In the place of the one of this name, if there is one."""
        ...

    def get(self, name: str) -> Audience | None: ...
    def all(self) -> list[Audience]:
        """By name."""
        ...

    def remove(self, name: str) -> None: ...


@dataclass(frozen=True)
class _Asked:
    """All that an answer depends on."""

    audience: Audience
    cells: str
    facts: tuple[tuple[str, str], ...]
    plan: LabPlan
    emulated: bool
    synthetic: bool


class Audiences:
    def __init__(self, store: Store, matrix: MatrixReading, clock: Clock, plan: CurrentPlan) -> None:
        self._store = store
        self._matrix = matrix
        self._clock = clock
        self._plan = plan
        self._kept: dict[str, tuple[_Asked, Coverage]] = {}
        """By the audience's name: for those who ask the same again before anything has changed."""

    def put(self, name: str, csv: str, caller: Caller) -> AudienceView:
        """Raises InvalidRequestError naming rows and columns, and changes nothing then."""
        segments = read_audience(csv, [one.name for one in self._plan().classes])
        for segment in segments:
            Selector(segment.selector)
        with self._store.write() as tx:
            audience = Audience(name, segments, self._clock(), caller.name)
            if tx.audiences.get(name) is None and len(tx.audiences.all()) >= MOST_AUDIENCES:
                raise ConflictError(f"there are {MOST_AUDIENCES} audiences already: remove one first")
            tx.audiences.put(audience)
            tx.audit.add(caller, "audience.put", name, segments=len(segments))
        return _view(audience)

    def all(self) -> Listing[AudienceView]:
        with self._store.read() as tx:
            return Listing(items=[_view(audience) for audience in tx.audiences.all()])

    def show(self, name: str) -> AudienceView:
        return _view(self._get(name))

    def remove(self, name: str, caller: Caller) -> None:
        self._get(name)
        with self._store.write() as tx:
            tx.audiences.remove(name)
            tx.audit.add(caller, "audience.remove", name)

    def coverage(self, name: str, *, emulated: bool = False, synthetic: bool = True) -> Coverage:
        """What the cells of today say; those of emulated devices only where they are asked for."""
        audience = self._get(name)
        version = self._matrix.version()
        with self._store.read() as tx:
            facts = tuple(sorted(tx.devices.facts_revisions().items()))
            asked = _Asked(audience, version, facts, self._plan(), emulated, synthetic)
            if (known := self._kept.get(name)) and known[0] == asked:
                return known[1]
            devices = tx.devices.all()
        visitors = self._visitors(audience, devices)
        coverages = cover(visitors, [cell for cell in self._matrix.cells() if _is_wanted(cell, emulated, synthetic)])
        found = Coverage(audience=_view(audience), variants=coverages, choices=choose(visitors, coverages))
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[name] = (asked, found)
        return found

    def _get(self, name: str) -> Audience:
        with self._store.read() as tx:
            audience = tx.audiences.get(name)
        if audience is None:
            raise NotFoundError(f"there is no audience {name}")
        return audience

    def _visitors(self, audience: Audience, devices: list[DeviceRecord]) -> list[Visitors]:
        """A class that the lab has no more selects nothing: its visitors are unknown."""
        plan = self._plan()
        contexts = [
            ((device.registration.id, browser.id), as_context(plan.facts_of(device, browser)))
            for device in devices
            for browser in device.registration.facts.browsers
        ]

        def targets(selector: Selector) -> frozenset[Target]:
            found: set[Target] = set()
            for target, facts in contexts:
                try:
                    if selector.matches(facts):
                        found.add(target)
                except InvalidRequestError:
                    continue
            return frozenset(found)

        selectors = [(segment, Selector(segment.selector)) for segment in audience.segments]
        return [Visitors(segment, targets(selector)) for segment, selector in selectors]


def _is_wanted(cell: Cell, emulated: bool, synthetic: bool) -> bool:
    return (emulated or not cell.emulated) and (synthetic or cell.weights != "synthetic")


def _view(audience: Audience) -> AudienceView:
    return AudienceView(
        name=audience.name,
        created_at=audience.created_at,
        created_by=audience.created_by,
        segments=list(audience.segments),
        named_share=sum(segment.share for segment in audience.segments),
    )
