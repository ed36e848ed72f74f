"""The cells as text, each written once for as long as it stays the same: a scrape costs what has changed since."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from orchestrator.contract.matrix import Cell, Figure
from orchestrator.contract.vocabulary import CellVerdict
from orchestrator.telemetry.labels import written

CELL_ID_LENGTH: Final = 16
"""Of a cell's key, which is a digest of four times as many digits: as many as tell cells apart."""

_CELLS_OF_BLOCK: Final = 128

Sample = tuple[str, float]
"""Further labels as they are written, and the value."""


class CellSource(Protocol):
    def version(self) -> str:
        """Another one whenever a cell has changed."""
        ...

    def cells(self) -> Sequence[Cell]:
        """The same object for a cell that has not changed."""
        ...


@dataclass(frozen=True)
class _Family:
    """One metric of each cell."""

    name: str
    meaning: str
    samples: Callable[[Cell], Iterable[Sample]]


class CellText:
    """What a scrape says of the cells. Cells of other labs are left out: they are no measurements of this one."""

    def __init__(self, source: CellSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._version: str | None = None
        self._known: dict[str, tuple[Cell, _Block]] = {}
        self._blocks: list[_Block] = []
        self._text = b""

    def render(self) -> bytes:
        """Families as both text formats have them, without an end of file."""
        with self._lock:
            version = self._source.version()
            if version != self._version:
                self._take_in([cell for cell in self._source.cells() if cell.imported_from is None])
                self._version = version
            return self._text

    def _take_in(self, cells: Sequence[Cell]) -> None:
        for cell in cells:
            before = self._known.get(cell.key)
            if before is None:
                self._add(cell)
            elif before[0] is not cell:
                before[1].put(cell)
                self._known[cell.key] = cell, before[1]
        if len(self._known) != len(cells):
            for key in self._known.keys() - {cell.key for cell in cells}:
                self._known.pop(key)[1].drop(key)
        parts: list[bytes] = []
        for index, family in enumerate(FAMILIES):
            parts.append(_heading(family.name, family.meaning).encode())
            parts += [block.text(index) for block in self._blocks]
        self._text = b"".join([*parts, *(line.encode() for line in _sums(cells))])

    def _add(self, cell: Cell) -> None:
        if not self._blocks or self._blocks[-1].is_full:
            self._blocks.append(_Block())
        self._blocks[-1].put(cell)
        self._known[cell.key] = cell, self._blocks[-1]


class _Block:
    """Some hundred cells, whose text is put together anew when one of them has changed."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, ...]] = {}
        self._texts: list[bytes] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._lines) >= _CELLS_OF_BLOCK

    def put(self, cell: Cell) -> None:
        self._lines[cell.key] = _lines(cell)
        self._texts = None

    def drop(self, key: str) -> None:
        del self._lines[key]
        self._texts = None

    def text(self, index: int) -> bytes:
        """Of one family."""
        if self._texts is None:
            of_families = zip(*self._lines.values(), strict=True) if self._lines else ((),) * len(FAMILIES)
            self._texts = ["".join(lines).encode() for lines in of_families]
        return self._texts[index]


def _lines(cell: Cell) -> tuple[str, ...]:
    """Of each family in turn."""
    labels = written(
        {
            "cell": cell.key[:CELL_ID_LENGTH],
            "variant": cell.variant,
            "weights": cell.weights,
            "backend": cell.backend,
            "device": cell.device,
            "emulated": "true" if cell.emulated else "false",
            "browser": cell.browser,
            "workload": cell.workload,
        }
    )
    return tuple(
        "".join(f"{family.name}{{{labels}{further}}} {float(value)!r}\n" for further, value in family.samples(cell))
        for family in FAMILIES
    )


def _heading(name: str, meaning: str) -> str:
    return f"# HELP {name} {meaning}\n# TYPE {name} gauge\n"


def _sums(cells: Sequence[Cell]) -> Iterator[str]:
    """What is told of all cells together, and of the variants in them."""
    yield _heading("fitmatrix_cells", "Cells of the matrix by verdict.")
    verdicts = Counter(cell.verdict for cell in cells)
    for verdict in CellVerdict:
        yield f'fitmatrix_cells{{verdict="{verdict}"}} {verdicts[verdict]}\n'
    yield _heading("fitmatrix_variant_bytes", "Size of a variant's files.")
    newest: dict[str, Cell] = {}
    for cell in cells:
        if cell.variant not in newest or newest[cell.variant].updated_at < cell.updated_at:
            newest[cell.variant] = cell
    for variant, cell in sorted(newest.items()):
        labels = written({"variant": variant, "model": cell.model, "weights": cell.weights})
        yield f"fitmatrix_variant_bytes{{{labels}}} {cell.model_bytes}\n"


def _info(cell: Cell) -> Iterator[Sample]:
    further = {
        "key": cell.key,
        "model": cell.model,
        "size_class": cell.size_class,
        "runtime": cell.runtime,
        "runtime_version": cell.runtime_version,
        "quantization": cell.quantization,
        "device_name": cell.device_name,
        "device_model": cell.device_model,
        "device_class": cell.device_class,
    }
    yield f",{written(further)}", 1


def _verdicts(cell: Cell) -> Iterator[Sample]:
    for verdict in CellVerdict:
        yield f',verdict="{verdict}"', cell.verdict is verdict


def _value(read: Callable[[Cell], float]) -> Callable[[Cell], Iterator[Sample]]:
    def samples(cell: Cell) -> Iterator[Sample]:
        yield "", read(cell)

    return samples


def _median(read: Callable[[Cell], Figure | None]) -> Callable[[Cell], Iterator[Sample]]:
    """None of a cell in which nothing was measured."""

    def samples(cell: Cell) -> Iterator[Sample]:
        figure = read(cell)
        if figure is not None:
            yield "", figure.median

    return samples


FAMILIES: Final = (
    _Family("fitmatrix_cell_info", "What a cell is of; always 1.", _info),
    _Family("fitmatrix_cell_verdict", "1 for the verdict that a cell has, 0 for the others.", _verdicts),
    _Family(
        "fitmatrix_cell_settled",
        "1 where the runs of a cell settle its verdict, else 0.",
        _value(lambda cell: cell.verdict is not CellVerdict.UNSETTLED),
    ),
    _Family("fitmatrix_cell_fit_probability", "Probability that a run fits.", _value(lambda cell: cell.probability)),
    _Family("fitmatrix_cell_runs", "Runs of a cell that count.", _value(lambda cell: cell.runs)),
    _Family("fitmatrix_cell_successes", "Runs of a cell that fit.", _value(lambda cell: cell.successes)),
    _Family(
        "fitmatrix_cell_decode_tokens_per_second",
        "Median decode speed of a cell.",
        _median(lambda cell: cell.decode_tokens_per_second),
    ),
    _Family("fitmatrix_cell_ttft_seconds", "Median time to the first token.", _median(lambda cell: cell.ttft_seconds)),
    _Family("fitmatrix_cell_latency_seconds", "Median latency of a cell.", _median(lambda cell: cell.latency_seconds)),
    _Family(
        "fitmatrix_cell_peak_memory_bytes",
        "Median peak of the browser tree above baseline.",
        _median(lambda cell: cell.peak_memory_bytes),
    ),
    _Family(
        "fitmatrix_cell_download_bytes",
        "Median of what a run downloads.",
        _median(lambda cell: cell.download_bytes),
    ),
    _Family(
        "fitmatrix_cell_last_run_timestamp_seconds",
        "When a cell's newest run ended.",
        _value(lambda cell: cell.updated_at.timestamp()),
    ),
)
