"""What `/metrics` answers."""

from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from orchestrator.telemetry.cells import CellText

_END: Final = b"# EOF\n"


class Exposition:
    """Everything in the registry, and the cells, in the text format that is asked for."""

    def __init__(self, registry: CollectorRegistry, cells: CellText) -> None:
        self._registry = registry
        self._cells = cells

    def answer(self, accept: str) -> tuple[bytes, str]:
        """The text and its media type. OpenMetrics names the run behind an observation beside it."""
        encode, media_type = choose_encoder(accept)
        text = encode(self._registry)
        cells = self._cells.render()
        if text.endswith(_END):
            return b"".join((text[: -len(_END)], cells, _END)), media_type
        return text + cells, media_type
