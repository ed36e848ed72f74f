"""What cells that are taken together agree on."""

from collections import Counter
from collections.abc import Collection, Iterable

from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict, SlotVerdict


def agreed_verdict(pooled: CellVerdict, cells: Iterable[Cell]) -> SlotVerdict:
    """That of all their runs together, unless a cell has settled to another.

    Many runs on some devices would otherwise speak for a device on which the opposite is beyond doubt.
    """
    verdicts = {pooled, *(cell.verdict for cell in cells)}
    return SlotVerdict.MIXED if len(_settled(verdicts)) > 1 else SlotVerdict(pooled.value)


def devices_by_verdict(cells: Iterable[Cell]) -> dict[SlotVerdict, int]:
    """How many devices have settled to what; a device whose own cells differ is mixed."""
    verdicts: dict[str, set[CellVerdict]] = {}
    for cell in cells:
        verdicts.setdefault(cell.device, set()).add(cell.verdict)
    counts = Counter(_of_one_device(found) for found in verdicts.values())
    return {verdict: counts[verdict] for verdict in SlotVerdict if verdict in counts}


def cells_by_verdict(cells: Iterable[Cell]) -> dict[CellVerdict, int]:
    counts = Counter(cell.verdict for cell in cells)
    return {verdict: counts[verdict] for verdict in CellVerdict if verdict in counts}


def _of_one_device(verdicts: Collection[CellVerdict]) -> SlotVerdict:
    settled = _settled(verdicts)
    if len(settled) > 1:
        return SlotVerdict.MIXED
    return SlotVerdict(settled.pop().value) if settled else SlotVerdict.UNSETTLED


def _settled(verdicts: Collection[CellVerdict]) -> set[CellVerdict]:
    return {verdict for verdict in verdicts if verdict is not CellVerdict.UNSETTLED}
