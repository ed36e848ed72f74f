"""When a cell says that what fitted does not fit any more."""

from collections.abc import Callable, Iterable
from typing import Final

from orchestrator.contract.matrix import Cell
from orchestrator.contract.vocabulary import CellVerdict

NOT_FITTING: Final = frozenset(CellVerdict) - {CellVerdict.FITS, CellVerdict.UNSETTLED}


def regressed_from(cell: Cell, before: CellVerdict, alike: Callable[[], Iterable[Cell]]) -> Cell | None:
    """The cell that fits where `cell` has just been settled not to; None where there is no regression.

    `before` is the verdict that `cell` had until now, `alike` gives all cells of its variant and device. A cell is
    compared with itself, then with the newest settled one of an earlier version of the same browser.
    """
    if cell.verdict not in NOT_FITTING or before in NOT_FITTING:
        return None
    if before is CellVerdict.FITS:
        return cell
    earlier = [other for other in alike() if _is_earlier(other, cell) and other.verdict is not CellVerdict.UNSETTLED]
    newest = max(earlier, key=lambda other: (version_parts(other.browser_version), other.updated_at), default=None)
    return newest if newest is not None and newest.verdict is CellVerdict.FITS else None


def version_parts(version: str) -> tuple[int, ...]:
    """The numbers of a version, in their order; what is no number counts as 0."""
    return tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in version.split("."))


def _is_earlier(other: Cell, cell: Cell) -> bool:
    same = (
        other.key != cell.key
        and other.imported_from is None
        and (other.backend, other.workload, other.criteria) == (cell.backend, cell.workload, cell.criteria)
        and (other.chrome_flags, other.emulated) == (cell.chrome_flags, cell.emulated)
        and other.browser_channel == cell.browser_channel
    )
    return same and version_parts(other.browser_version) <= version_parts(cell.browser_version)
