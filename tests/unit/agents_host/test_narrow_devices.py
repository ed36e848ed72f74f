"""`fitmatrix-agent devices` on narrow terminals: no column is cut off, and ids stay whole."""

from io import StringIO

import pytest
from rich.console import Console

from agents.cli.devices import _table
from agents.host_status import DeviceView
from orchestrator.contract.device import DeviceStatus
from orchestrator.contract.vocabulary import Condition
from tests.unit.domain.builders import device

REASON = "The battery is at 12%, and at least 30% are needed: charge it."
ID = "lab-host-7c3188.a-phone-with-a-long-name"


@pytest.mark.parametrize("columns", [80, 100, 140, 200])
def test_everything_is_there_and_the_id_is_whole(columns: int) -> None:
    phone = device(ID, name="phone", chrome_flags=["--enable-unsafe-webgpu"])
    status = DeviceStatus(id=ID, condition=Condition.RESTING, reason=REASON)
    view = DeviceView(registration=phone, serial="2A051FDH", status=status, doing="r-1, measure")
    console = Console(width=columns, file=StringIO(), record=True)
    console.print(_table("now", [view], columns))
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= columns
    for words in (ID, "serial 2A051FDH", "resting", "chromium 156.0.1", "r-1,", "measure", *REASON.split()):
        assert words in text, words
