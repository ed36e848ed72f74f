"""What cells that are taken together agree on."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, TypeVar

from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict, SlotVerdict

Kind = TypeVar("Kind", bound=StrEnum)

_SLOT_VERDICTS: Final = tuple(SlotVerdict)
_CELL_VERDICTS: Final = tuple(CellVerdict)
_AS_SLOT: Final = {verdict: SlotVerdict(verdict.value) for verdict in CellVerdict}


def agreed_verdict(pooled: CellVerdict, cells: Iterable[Cell]) -> SlotVerdict:
    """That of all their runs together, unless a cell has settled to another.

    Many runs on some devices would otherwise speak for a device on which the opposite is beyond doubt.
    """
    settled = {pooled, *[cell.verdict for cell in cells]} - {CellVerdict.UNSETTLED}
    return SlotVerdict.MIXED if len(settled) > 1 else _AS_SLOT[pooled]


def devices_by_verdict(cells: Iterable[Cell]) -> dict[SlotVerdict, int]:
    """How many devices have settled to what; a device whose own cells differ is mixed."""
    verdicts: dict[str, SlotVerdict] = {}
    for cell in cells:
        device, verdict = cell.device, _AS_SLOT[cell.verdict]
        known = verdicts.get(device, SlotVerdict.UNSETTLED)
        if known is SlotVerdict.UNSETTLED or known is verdict:
            verdicts[device] = verdict
        elif verdict is not SlotVerdict.UNSETTLED:
            verdicts[device] = SlotVerdict.MIXED
    return _counted(list(verdicts.values()), _SLOT_VERDICTS)


def cells_by_verdict(cells: Iterable[Cell]) -> dict[CellVerdict, int]:
    return _counted([cell.verdict for cell in cells], _CELL_VERDICTS)


def _counted(found: list[Kind], kinds: Iterable[Kind]) -> dict[Kind, int]:
    return {kind: count for kind in kinds if (count := found.count(kind))}
