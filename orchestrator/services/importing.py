"""Bringing in what others have measured, and taking it out again."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from orchestrator.contract.imports import ImportView
from orchestrator.contract.views import Listing
from orchestrator.domain.errors import ConflictError, NotFoundError
from orchestrator.domain.importing import Import, cells_of, read_import
from orchestrator.domain.records import Caller
from orchestrator.services.ports import Clock, Store

MOST_IMPORTS: Final = 200


class ImportRecords(Protocol):
    def put(self, one: Import) -> None:
        """In the place of the one of this name, if there is one."""
        ...

    def get(self, name: str) -> Import | None: ...
    def all(self) -> list[Import]:
        """By name."""
        ...

    def remove(self, name: str) -> None: ...


class Imports:
    def __init__(self, store: Store, clock: Clock, size_class: Callable[[int], str]) -> None:
        self._store = store
        self._clock = clock
        self._size_class = size_class

    def put(self, name: str, document: Mapping[str, Any], caller: Caller) -> ImportView:
        """In the place of what had this name before. Raises InvalidRequestError, and changes nothing then."""
        kind, rows, left_out = read_import(document)
        records = cells_of(name, rows, self._size_class)
        runs = sum(record.cell.runs for record in records)
        one = Import(name, kind, self._clock(), caller.name, tuple(record.key for record in records), runs, left_out)
        with self._store.write() as tx:
            before = tx.imports.get(name)
            if before is None and len(tx.imports.all()) >= MOST_IMPORTS:
                raise ConflictError(f"there are {MOST_IMPORTS} imports already: remove one first")
            tx.cells.remove(set(before.cells) - set(one.cells) if before else ())
            for record in records:
                tx.cells.put(record)
            tx.imports.put(one)
            tx.audit.add(caller, "import.put", name, cells=len(records))
        return _view(one)

    def all(self) -> Listing[ImportView]:
        with self._store.read() as tx:
            return Listing(items=[_view(one) for one in tx.imports.all()])

    def remove(self, name: str, caller: Caller) -> None:
        """With its cells."""
        with self._store.write() as tx:
            one = tx.imports.get(name)
            if one is None:
                raise NotFoundError(f"there is no import {name}")
            tx.cells.remove(one.cells)
            tx.imports.remove(name)
            tx.audit.add(caller, "import.remove", name)


def _view(one: Import) -> ImportView:
    return ImportView(
        name=one.name,
        format=one.format,
        created_at=one.created_at,
        created_by=one.created_by,
        cells=len(one.cells),
        runs=one.runs,
        left_out=one.left_out,
    )
