"""The matrix on a terminal, laid out as it was asked for."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.matrix_table import VERDICT_STYLES
from orchestrator.contract.matrix import Heading, MatrixView, Slot
from orchestrator.presentation.words import EMULATED, NO_RUN, SYNTHETIC, counted, marked_lines, plain


def view_renderable(view: MatrixView) -> RenderableType:
    """A table, and below it what its slots are of."""
    if not view.rows:
        return Text("No cells: nothing like that has been measured.")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="")
    table.add_column(Text(", ".join(view.rows_by), style="dim"), overflow="fold")
    for heading in view.columns:
        table.add_column(_heading(heading), overflow="fold")
    slots = {(slot.row, slot.column): slot for slot in view.slots}
    for row, heading in enumerate(view.rows):
        table.add_row(_heading(heading), *(_slot(slots.get((row, column))) for column in range(len(view.columns))))
    words = f"{counted(sum(slot.cells for slot in view.slots), 'cell')}, {view.generated_at:%Y-%m-%d %H:%M} UTC"
    return Group(
        table, Text(), Text(f"{', '.join(view.rows_by)} by {', '.join(view.columns_by)}; {words}", style="dim")
    )


def _heading(heading: Heading) -> Text:
    lines = [plain(heading.names.get(name, value)) for name, value in heading.values.items()]
    text = Text("\n".join(lines), style="bold")
    for caveat in (
        EMULATED if heading.emulated else "",
        SYNTHETIC if heading.synthetic else "",
        f"imported from {plain(heading.imported_from)}" if heading.imported_from else "",
    ):
        if caveat:
            text.append(f"\n{caveat}", style="not bold yellow")
    return text


def _slot(slot: Slot | None) -> Text:
    if slot is None:
        return Text(NO_RUN, style="dim")
    verdict, *rest = marked_lines(slot)
    if slot.cells > 1:
        rest.append(f"{slot.cells} cells")
    if slot.device_models > 1:
        rest.append(f"{slot.device_models} device models")
    return Text("\n").join([Text(verdict, style=VERDICT_STYLES[slot.verdict]), *map(Text, rest)])
