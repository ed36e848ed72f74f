"""The matrix's questions, answered by the reading use cases."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.contract.matrix import Cell, CellDetail, Dimension, MatrixView
from orchestrator.domain.dimensions import names_of, values_of
from orchestrator.domain.errors import NotFoundError
from orchestrator.presentation.heat_map import SHORT_KEY
from orchestrator.services.matrix import CellFilter, MatrixQuery, MatrixReading
from orchestrator.services.paging import Page
from orchestrator.web.matrix_form import CHOSEN_BY, Values


class ServiceMatrixReads:
    """Over what the matrix's reading keeps of all cells."""

    def __init__(self, matrix: MatrixReading) -> None:
        self._matrix = matrix
        self._known = _Known("", {}, {})

    def view(self, query: MatrixQuery) -> MatrixView:
        return self._matrix.view(query)

    def chosen(self, only: CellFilter) -> Sequence[Cell]:
        return self._matrix.cells(only)

    def values(self) -> Values:
        return self._current().values

    def cell(self, key: str, cursor: str | None, limit: int) -> CellDetail | None:
        keys = [one for one in self._current().keys.get(key[:SHORT_KEY], ()) if one.startswith(key)]
        if len(keys) != 1:
            return None
        try:
            return self._matrix.cell(keys[0], Page(limit, cursor))
        except NotFoundError:
            return None

    def _current(self) -> "_Known":
        version = self._matrix.version()
        if self._known.version != version:
            values: dict[Dimension, dict[str, str]] = {dimension: {} for dimension in CHOSEN_BY}
            keys: dict[str, list[str]] = {}
            cells = self._matrix.cells()
            names = names_of(cells)
            for cell in cells:
                keys.setdefault(cell.key[:SHORT_KEY], []).append(cell.key)
                found = values_of(cell)
                for dimension in CHOSEN_BY:
                    value = found[dimension]
                    values[dimension][value] = names.get(dimension, {}).get(value, value)
            self._known = _Known(version, values, keys)
        return self._known


@dataclass(frozen=True)
class _Known:
    """What the cells of one version have."""

    version: str
    values: Values
    keys: dict[str, list[str]]
    """By as much of them as addresses have."""
