"""What a job would do, for the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.cli.listings import listing
from orchestrator.contract.quantities import seconds
from orchestrator.contract.views import JobPreview
from orchestrator.presentation.words import counted, plain


def preview_report(preview: JobPreview) -> RenderableType:
    """Devices measure side by side: the job takes as long as the one that has the most to do."""
    total = sum(device.device_seconds for device in preview.devices)
    longest = max((device.device_seconds for device in preview.devices), default=0.0)
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    rows = [
        ("runs", f"{preview.runs} would be queued, in {counted(preview.cells, 'cell')}"),
        *(
            [("reused", f"{counted(preview.reused, 'cell is', 'cells are')} answered by earlier results")]
            if preview.reused
            else []
        ),
        ("device time", f"about {seconds(total)} together"),
        ("done in", f"about {seconds(longest)} if every device is free"),
        *(("left out", plain(reason)) for reason in preview.left_out),
    ]
    for name, value in rows:
        facts.add_row(name, Text(value))
    parts: list[RenderableType] = [facts]
    if preview.devices:
        table = listing(["device", "runs", "device time"])
        for device in preview.devices:
            table.add_row(*map(Text, (plain(device.device_id), str(device.runs), seconds(device.device_seconds))))
        parts += [Text(), table]
    return Group(*parts, Text("Nothing was created."))
