"""What the pages ask for, made by hand, and poisoned where a test wants that."""

import hashlib
from pathlib import Path
from typing import cast

from fastapi import FastAPI

from orchestrator.contract.attempt import Artifact
from orchestrator.contract.matrix import Cell, CellDetail, Matrix, MatrixView
from orchestrator.contract.views import Quarantine
from orchestrator.contract.vocabulary import DeviceState, Role, Verdict
from orchestrator.domain.dimensions import check_dimensions, names_of, values_of
from orchestrator.domain.matrix_layout import FIGURES, Entry, Layout, entry_of
from orchestrator.domain.records import Caller
from orchestrator.domain.tallies import CellTally
from orchestrator.services.comparing import Comparing
from orchestrator.services.matrix import CellFilter, MatrixQuery, MatrixReading
from orchestrator.web.audience_pages import create_audience_router
from orchestrator.web.compare_pages import create_compare_router
from orchestrator.web.matrix_form import CHOSEN_BY, Values
from orchestrator.web.matrix_pages import create_matrix_router
from orchestrator.web.router import create_static_router, install_missing_page
from tests.unit.cli import matrix_samples, samples
from tests.unit.web.hand_made_lab import HandMadeLab
from tests.unit.web.readers import CSV, HandMadeAudiences


def keyed(cell: Cell) -> Cell:
    """With a key of its own."""
    return cell.model_copy(update={"key": hashlib.sha256(cell.model_dump_json().encode()).hexdigest()})


def entry(cell: Cell) -> Entry:
    """The cell with a tally that says the same."""
    missed = {Verdict.FAILS: cell.runs - cell.successes} if cell.successes < cell.runs else {}
    figures = {name: figure for name in FIGURES if (figure := getattr(cell, name)) is not None}
    tally = CellTally(
        runs=cell.runs,
        successes=cell.successes,
        unmarked=cell.runs,
        verdicts=missed,
        samples={name: [figure.median] * figure.n for name, figure in figures.items()},
        last_run=cell.last_run,
        last_at=cell.updated_at,
    )
    return entry_of(cell, tally)


class HandMadeMatrix:
    """Of the cells that a test gives it."""

    def __init__(self, matrix: Matrix) -> None:
        self._views: dict[MatrixQuery, MatrixView] = {}
        self.shown = matrix

    @property
    def shown(self) -> Matrix:
        return self._shown

    @shown.setter
    def shown(self, matrix: Matrix) -> None:
        self._shown = matrix
        self.cells = [keyed(cell) for cell in matrix.cells]
        self._views.clear()

    def view(self, query: MatrixQuery) -> MatrixView:
        if query not in self._views:
            self._views[query] = self._lay_out(query)
        return self._views[query]

    def _lay_out(self, query: MatrixQuery) -> MatrixView:
        check_dimensions(query.rows, "rows")
        check_dimensions(query.columns, "columns")
        entries = [one for one in map(entry, self.cells) if query.only.passes(one)]
        layout = Layout(entries, query.rows, query.columns, lambda _cell: {})
        layout.refresh(lambda some: [one.tally for one in some])
        told = hashlib.sha256(repr((layout.slots(), query)).encode()).hexdigest()
        return MatrixView(
            version=told,
            generated_at=samples.NOW,
            rows_by=list(query.rows),
            columns_by=list(query.columns),
            rows=layout.rows,
            columns=layout.columns,
            slots=layout.slots(),
        )

    def measured(self, only: CellFilter) -> list[Entry]:
        return [one for one in map(entry, self.cells) if only.passes(one)]

    def chosen(self, only: CellFilter) -> list[Cell]:
        return [one.cell for one in self.measured(only)]

    def values(self) -> Values:
        names = names_of(self.cells)
        found = {dimension: {values_of(cell)[dimension] for cell in self.cells} for dimension in CHOSEN_BY}
        return {
            dimension: {value: names.get(dimension, {}).get(value, value) for value in values}
            for dimension, values in found.items()
        }

    def cell(self, key: str, cursor: str | None, limit: int) -> CellDetail | None:
        found = [cell for cell in self.cells if cell.key.startswith(key)]
        if not found:
            return None
        following = None if cursor else "older"
        return CellDetail(cell=found[0], runs=[samples.run(id="run-1")][:limit], next=following)


class HandMade(HandMadeLab):
    """What the pages ask for; tests change it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.matrix = HandMadeMatrix(matrix_samples.demo_matrix())
        self.audiences = HandMadeAudiences(self.matrix.cells, ["desktop", "low-end", "flagship"])
        self.audiences.put("our-site", CSV, Caller("wendy", Role.SUBMITTER))


def hand_made_app(reads: HandMade) -> FastAPI:
    app = FastAPI()
    for router in (create_matrix_router(reads.matrix), *reads.routers(), create_static_router()):
        app.include_router(router)
    comparing = Comparing(cast("MatrixReading", reads.matrix))
    app.include_router(create_compare_router(comparing.compare, reads.matrix.values))
    app.include_router(create_audience_router(reads.audiences, reads.audiences.caller, reads.audiences.caller))
    install_missing_page(app)
    return app


def poison(reads: HandMade) -> None:
    poisoned = dict.fromkeys(("model", "variant", "workload", "device_name", "browser"), samples.POISON)
    reads.matrix.shown = matrix_samples.matrix(matrix_samples.cell(**poisoned, chrome_flags=[samples.POISON]))
    reads.audiences.cells = [matrix_samples.cell(**poisoned, device_class=samples.POISON)]
    reads.audiences.classes = [samples.POISON]
    poisoned_file = '"' + samples.POISON.replace('"', '""') + '"'
    reads.audiences.put("our-site", f"class,share\n{poisoned_file},60\n", Caller(samples.POISON, Role.SUBMITTER))
    name = samples.registration(name=samples.POISON)
    quarantine = Quarantine(since=samples.NOW, reason=samples.POISON, next_health_run_at=None)
    reads.the_devices = [
        samples.device(
            registration=name, state=DeviceState.OFFLINE, reason=samples.POISON, attempt=None, quarantine=quarantine
        )
    ]
    report = samples.attempt_report(
        page_url="javascript:alert(1)",
        artifacts=[Artifact(name=samples.POISON, media_type="text/html", sha256=samples.SHA, bytes=1)],
    )
    attempts = [samples.attempt(report=report)]
    reads.the_runs["run-1"] = samples.run_detail(device_name=samples.POISON, attempt_list=attempts)
