"""The matrix as a Parquet file: typed columns for notebooks and data warehouses."""

import io
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from arro3.core import Array, DataType, Field, Schema, Table
from arro3.io import write_parquet

from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell, Figure, Matrix
from orchestrator.presentation.words import technique_words

_FIGURES: Final = tuple(name for name, one in Cell.model_fields.items() if one.annotation == Figure | None)
_TYPES: Final[dict[Any, DataType]] = {
    int: DataType.int64(),
    int | None: DataType.int64(),
    float: DataType.float64(),
    bool: DataType.bool(),
    bool | None: DataType.bool(),
}
_MOMENT: Final = DataType.timestamp("us", tz="UTC")
_TEXT: Final = DataType.string()

Column = tuple[str, DataType, Callable[[Cell], Any]]


def to_parquet(matrix: Matrix) -> bytes:
    """A row per cell; a figure's `median`, `p25`, `p75` and `n` are columns of their own, null where not measured."""
    columns = [column for name in Cell.model_fields for column in _columns(name)]
    arrays = [_array([read(cell) for cell in matrix.cells], kind) for _, kind, read in columns]
    schema = Schema([Field(name, kind, nullable=True) for name, kind, _ in columns])
    out = io.BytesIO()
    write_parquet(Table.from_arrays(arrays, schema=schema), out, compression="zstd(3)")
    return out.getvalue()


def _array(values: list[Any], kind: DataType) -> Array:
    if kind != _MOMENT:
        return Array(values, kind)
    microseconds = [None if value is None else int(value.timestamp() * 1_000_000) for value in values]
    return Array(microseconds, DataType.int64()).cast(_MOMENT)


def _columns(name: str) -> list[Column]:
    annotation = Cell.model_fields[name].annotation
    if name in _FIGURES:
        return [
            (f"{name}_{part}", _TYPES.get(one.annotation, _TEXT), _part(name, part))
            for part, one in Figure.model_fields.items()
        ]
    if annotation is Criteria:
        return [(part, DataType.float64(), _part(name, part)) for part in Criteria.model_fields]
    if name == "interval":
        return [
            ("interval_low", DataType.float64(), lambda cell: cell.interval[0]),
            ("interval_high", DataType.float64(), lambda cell: cell.interval[1]),
        ]
    if name == "updated_at":
        return [(name, _MOMENT, lambda cell: cell.updated_at)]
    if name == "techniques":
        return [(name, _TEXT, lambda cell: "; ".join(map(technique_words, cell.techniques)))]
    if name == "chrome_flags":
        return [(name, _TEXT, lambda cell: " ".join(cell.chrome_flags))]
    return [(name, _TYPES.get(annotation, _TEXT), lambda cell: _plain(getattr(cell, name)))]


def _part(name: str, part: str) -> Callable[[Cell], Any]:
    return lambda cell: getattr(getattr(cell, name), part, None)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value
