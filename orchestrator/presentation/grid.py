"""The matrix as a grid: builds down, devices across."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.contract.base import RuntimeName
from orchestrator.contract.job import Criteria
from orchestrator.contract.matrix import Cell, Matrix
from orchestrator.contract.quantities import byte_count, parameter_count
from orchestrator.contract.vocabulary import Backend, Weights
from orchestrator.presentation.words import plain


@dataclass(frozen=True)
class Column:
    """A device with one browser and one set of declared flags: results under other flags are other results."""

    device: str
    name: str
    model: str
    device_class: str
    emulated: bool
    browser: str
    flags: tuple[str, ...]

    @property
    def order(self) -> tuple[object, ...]:
        """Real devices before emulated ones."""
        return (self.emulated, self.name.casefold(), self.device, self.browser, self.flags)


@dataclass(frozen=True)
class Row:
    """A variant on one backend under one workload and one set of criteria."""

    variant: str
    model: str
    size_class: str
    parameters: int
    weights: Weights
    runtime: RuntimeName
    runtime_version: str
    quantization: str
    model_bytes: int
    published_bytes: int | None
    backend: Backend
    workload: str
    criteria: Criteria

    @property
    def order(self) -> tuple[object, ...]:
        """Small models first, a model's builds together."""
        return (
            self.parameters,
            self.model.casefold(),
            self.variant,
            self.backend is Backend.WASM,
            self.workload,
            self.criteria.words,
        )

    @property
    def is_synthetic(self) -> bool:
        return self.weights is Weights.SYNTHETIC

    @property
    def facts(self) -> str:
        """Size and build in one line: `135 M · q8 · 137 MB`."""
        published = f" (published {byte_count(self.published_bytes)})" if self.published_bytes is not None else ""
        facts = [parameter_count(self.parameters), self.quantization, byte_count(self.model_bytes) + published]
        return " · ".join(fact for fact in facts if fact)


@dataclass(frozen=True)
class Grid:
    columns: list[Column]
    rows: list[Row]
    slots: dict[tuple[Row, Column], list[Cell]]
    criteria: list[Criteria]
    """The distinct criteria; rows need to name theirs only where there is more than one."""
    flag_notes: dict[tuple[str, ...], str]
    """Declared Chrome flags with the sign of their footnote."""

    def cells(self, row: Row, column: Column) -> list[Cell]:
        """Usually one; more when cells differ in something that neither row nor column tells."""
        return self.slots.get((row, column), [])

    def by_variant(self) -> Iterator[list[Row]]:
        """Rows in order, those of one variant together."""
        group: list[Row] = []
        for row in self.rows:
            if group and group[-1].variant != row.variant:
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def note(self, column: Column) -> str | None:
        return self.flag_notes.get(column.flags)


def build_grid(matrix: Matrix) -> Grid:
    slots: dict[tuple[Row, Column], list[Cell]] = {}
    names = _column_names(matrix.cells)
    for cell in matrix.cells:
        slots.setdefault((_row(cell), _column(cell, names)), []).append(cell)
    rows = sorted({row for row, _ in slots}, key=lambda row: row.order)
    columns = sorted({column for _, column in slots}, key=lambda column: column.order)
    flags = dict.fromkeys(column.flags for column in columns if column.flags)
    criteria = sorted({row.criteria for row in rows}, key=lambda one: one.words)
    return Grid(columns, rows, slots, criteria, {flag: _superscript(n) for n, flag in enumerate(flags, start=1)})


def _row(cell: Cell) -> Row:
    return Row(
        variant=plain(cell.variant),
        model=plain(cell.model),
        size_class=plain(cell.size_class),
        parameters=cell.parameters,
        weights=cell.weights,
        runtime=cell.runtime,
        runtime_version=plain(cell.runtime_version),
        quantization=plain(cell.quantization),
        model_bytes=cell.model_bytes,
        published_bytes=cell.published_bytes,
        backend=cell.backend,
        workload=plain(cell.workload),
        criteria=cell.criteria,
    )


def _column(cell: Cell, names: dict[str, str]) -> Column:
    return Column(
        device=plain(cell.device),
        name=names[cell.device],
        model=plain(cell.device_model),
        device_class=plain(cell.device_class),
        emulated=cell.emulated,
        browser=plain(cell.browser),
        flags=tuple(plain(flag) for flag in cell.chrome_flags),
    )


def _column_names(cells: list[Cell]) -> dict[str, str]:
    """Each device's name, with its id where two devices share a name."""
    by_device = {cell.device: plain(cell.device_name) or plain(cell.device) for cell in cells}
    shared = {name for name in by_device.values() if list(by_device.values()).count(name) > 1}
    return {device: f"{name} ({plain(device)})" if name in shared else name for device, name in by_device.items()}


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
