"""Many rows of one table to the driver at once.

SQLAlchemy works out each value of each row anew. Here its rules are asked once for a table, and applied by hand.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Dialect, Table, insert


class DriverInsert:
    """How a dialect wants rows of all columns of a table, or of those that are named."""

    def __init__(self, table: Table, dialect: Dialect, columns: list[str] | None = None) -> None:
        compiled = insert(table).compile(dialect=dialect, column_keys=columns)
        self.statement: Final = str(compiled)
        """For `exec_driver_sql`."""
        self.writers: Final[dict[str, Callable[[Any], Any] | None]] = {
            column.name: column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns
        }
        """By column, what turns a value into the driver's; None where it is that already."""
        self._positions = compiled.positiontup if compiled.positional else None

    def row(self, values: Mapping[str, Any]) -> Any:
        """A row for `statement` from values that are the driver's."""
        return values if self._positions is None else tuple(values[name] for name in self._positions)
