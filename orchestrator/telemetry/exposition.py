"""What `/metrics` answers."""

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from orchestrator.telemetry import protobuf
from orchestrator.telemetry.cells import CellFamilies, CellSource
from orchestrator.telemetry.forms import ProtobufForm, TextForm

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 5.0
"""So long a scrape waits for what is worked out at the start: half of the time that Prometheus gives it."""
_END: Final = b"# EOF\n"
_PROTOBUF: Final = "application/vnd.google.protobuf"
_TEXTS: Final = ("application/openmetrics-text", "text/plain")
_ANY: Final = ("*/*", "application/*", "text/*")


class Exposition:
    """Everything in the registry, and the cells, in the format that is asked for."""

    def __init__(self, registry: CollectorRegistry, cells: CellSource) -> None:
        self._registry = registry
        self._text = CellFamilies(cells, TextForm())
        self._protobuf = CellFamilies(cells, ProtobufForm())
        self._is_prepared = Event()

    def prepare(self, steps: Sequence[Callable[[], None]] = ()) -> None:
        """Takes these steps and writes all cells, once, before the first scrape has to wait for it."""
        try:
            for step in steps:
                step()
            self._text.render()
        except Exception:
            log.exception("the first scrape will take its time: its text could not be prepared")
        finally:
            self._is_prepared.set()

    def check(self) -> None:
        """Raises RuntimeError until that is done."""
        if not self._is_prepared.is_set():
            raise RuntimeError("the cells are being read")

    def answer(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their media type; without cells while those are still being read.

        OpenMetrics and protobuf name the run behind an observation beside it; protobuf has native histograms too.
        """
        is_prepared = self._is_prepared.wait(PATIENCE_SECONDS)
        best = preferred(accept)
        if best.startswith(_PROTOBUF):
            cells = self._protobuf.render() if is_prepared else []
            return b"".join([protobuf.write_registry(self._registry), *cells]), protobuf.MEDIA_TYPE
        encode, media_type = choose_encoder(best)
        text = encode(self._registry)
        end = _END if text.endswith(_END) else b""
        cells = self._text.render() if is_prepared else []
        return b"".join([text.removesuffix(_END), *cells, end]), media_type


def preferred(accept: str) -> str:
    """Of the formats that a client takes, the one that it likes best and that there is; empty where it has no wish."""
    wishes = []
    for wish in accept.split(","):
        name, *parameters = (part.strip() for part in wish.split(";"))
        told = dict(part.replace(" ", "").split("=", 1) for part in parameters if "=" in part)
        quality = _quality(told.pop("q", "1"))
        message = (told.get("proto"), told.get("encoding"))
        is_delimited = message == (f"{protobuf.PACKAGE}.MetricFamily", "delimited")
        if quality > 0 and (name in (*_TEXTS, *_ANY) or (name == _PROTOBUF and is_delimited)):
            wishes.append((quality, name, told))
    if not wishes:
        return ""
    _, name, told = max(wishes, key=lambda wish: wish[0])
    return ";".join([name, *(f"{key}={value}" for key, value in told.items())]) if name not in _ANY else ""


def _quality(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0
