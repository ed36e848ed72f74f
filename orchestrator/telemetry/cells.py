"""The cells as a scrape tells them, each written once for as long as it stays the same: it costs what has changed."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from orchestrator.contract.matrix import Cell, Figure
from orchestrator.contract.vocabulary import CellVerdict
from orchestrator.telemetry.forms import Form

CELL_ID_LENGTH: Final = 16
"""Of a cell's key, which is a digest of four times as many digits: as many as tell cells apart."""

_CELLS_OF_BLOCK: Final = 64

Sample = tuple[Mapping[str, str], float]
"""Further labels, and the value."""
_NONE: Final[Mapping[str, str]] = {}


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


class CellFamilies:
    """What a scrape says of the cells. Cells of other labs are left out: they are no measurements of this one."""

    def __init__(self, source: CellSource, form: Form) -> None:
        self._source = source
        self._form = form
        self._lock = threading.Lock()
        self._version: str | None = None
        self._known: dict[str, tuple[Cell, _Block]] = {}
        self._blocks: list[_Block] = []
        self._sums: bytes = b""

    def render(self) -> list[bytes]:
        """All families, in pieces that belong one after the other."""
        with self._lock:
            version = self._source.version()
            if version != self._version:
                self._take_in([cell for cell in self._source.cells() if cell.imported_from is None])
                self._version = version
            pieces: list[bytes] = []
            for index, family in enumerate(FAMILIES):
                told = (block.samples(index) for block in self._blocks)
                pieces += self._form.family(family.name, family.meaning, told)
            return [*pieces, self._sums]

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
        self._sums = b"".join(_sums(self._form, cells))

    def _add(self, cell: Cell) -> None:
        if not self._blocks or self._blocks[-1].is_full:
            self._blocks.append(_Block(self._form))
        self._blocks[-1].put(cell)
        self._known[cell.key] = cell, self._blocks[-1]


class _Block:
    """Some cells, which are written anew together when one of them has changed."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._cells: dict[str, Cell] = {}
        self._written: list[bytes] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._cells) >= _CELLS_OF_BLOCK

    def put(self, cell: Cell) -> None:
        self._cells[cell.key] = cell
        self._written = None

    def drop(self, key: str) -> None:
        del self._cells[key]
        self._written = None

    def samples(self, index: int) -> bytes:
        """Of one family."""
        if self._written is None:
            families: list[list[bytes]] = [[] for _ in FAMILIES]
            for cell in self._cells.values():
                labels = self._form.labels(_labels(cell))
                for family, samples in zip(FAMILIES, families, strict=True):
                    samples += [
                        self._form.sample(family.name, labels, further, value)
                        for further, value in family.samples(cell)
                    ]
            self._written = [b"".join(samples) for samples in families]
        return self._written[index]


def _labels(cell: Cell) -> dict[str, str]:
    return {
        "cell": cell.key[:CELL_ID_LENGTH],
        "variant": cell.variant,
        "weights": cell.weights,
        "backend": cell.backend,
        "device": cell.device,
        "emulated": "true" if cell.emulated else "false",
        "browser": cell.browser,
        "workload": cell.workload,
    }


def _sums(form: Form, cells: Sequence[Cell]) -> Iterator[bytes]:
    """What is told of all cells together, and of the variants in them."""
    name = "fitmatrix_cells"
    verdicts = Counter(cell.verdict for cell in cells)
    counts = [form.sample(name, form.labels({"verdict": verdict}), _NONE, verdicts[verdict]) for verdict in CellVerdict]
    yield from form.family(name, "Cells of the matrix by verdict.", counts)
    newest: dict[str, Cell] = {}
    for cell in cells:
        if cell.variant not in newest or newest[cell.variant].updated_at < cell.updated_at:
            newest[cell.variant] = cell
    name = "fitmatrix_variant_bytes"
    sizes = [
        form.sample(
            name,
            form.labels({"variant": variant, "model": cell.model, "weights": cell.weights}),
            _NONE,
            cell.model_bytes,
        )
        for variant, cell in sorted(newest.items())
    ]
    yield from form.family(name, "Size of a variant's files.", sizes)


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
    yield further, 1


def _verdicts(cell: Cell) -> Iterator[Sample]:
    for verdict in CellVerdict:
        yield {"verdict": verdict}, cell.verdict is verdict


def _value(read: Callable[[Cell], float]) -> Callable[[Cell], Iterator[Sample]]:
    def samples(cell: Cell) -> Iterator[Sample]:
        yield _NONE, read(cell)

    return samples


def _median(read: Callable[[Cell], Figure | None]) -> Callable[[Cell], Iterator[Sample]]:
    """None of a cell in which nothing was measured."""

    def samples(cell: Cell) -> Iterator[Sample]:
        figure = read(cell)
        if figure is not None:
            yield _NONE, figure.median

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
