"""The matrix with where each cell comes from."""

from orchestrator.contract.fits import FitsCell, FitsDocument, Provenance
from orchestrator.contract.matrix import Cell
from orchestrator.services.matrix import CellFilter, MatrixReading
from orchestrator.services.ports import Clock, Store, Transaction


class Exporting:
    def __init__(self, store: Store, matrix: MatrixReading, clock: Clock, version: str, source: str | None) -> None:
        self._store = store
        self._matrix = matrix
        self._clock = clock
        self._generator = f"fitmatrix {version}"
        self._source = source

    def fits_document(self, only: CellFilter) -> FitsDocument:
        """Not yet signed. Raises InvalidRequestError where too many runs would have to be counted."""
        cells = self._matrix.cells(only)
        with self._store.read() as tx:
            return FitsDocument(
                generated_at=self._clock(),
                generator=self._generator,
                source=self._source,
                cells=[FitsCell(**dict(cell), provenance=_provenance(tx, cell)) for cell in cells],
            )


def _provenance(tx: Transaction, cell: Cell) -> Provenance | None:
    run = tx.runs.get(cell.last_run) if cell.imported_from is None else None
    if run is None:
        return None
    return Provenance(
        run=run.id,
        job=run.job_id,
        finished_at=run.finished_at,
        browser_version=run.browser_version,
        files=tx.variants.get(run.variant_digest).files,
    )
