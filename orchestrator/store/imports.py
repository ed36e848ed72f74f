"""What others have measured, as it was brought in."""

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from orchestrator.domain.importing import Import
from orchestrator.store.rows import ImportRow


class ImportRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, one: Import) -> None:
        self.remove(one.name)
        self._session.execute(
            insert(ImportRow).values(
                name=one.name,
                format=one.format,
                created_at=one.created_at,
                created_by=one.created_by,
                cells=list(one.cells),
                runs=one.runs,
                left_out=one.left_out,
            )
        )

    def get(self, name: str) -> Import | None:
        row = self._session.get(ImportRow, name)
        return _to_import(row) if row else None

    def all(self) -> list[Import]:
        return [_to_import(row) for row in self._session.scalars(select(ImportRow).order_by(ImportRow.name))]

    def remove(self, name: str) -> None:
        self._session.execute(delete(ImportRow).where(ImportRow.name == name))


def _to_import(row: ImportRow) -> Import:
    return Import(row.name, row.format, row.created_at, row.created_by, tuple(row.cells), row.runs, row.left_out)
