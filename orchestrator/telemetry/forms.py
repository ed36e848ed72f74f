"""How gauges of many cells are written: what is written once stays until the cell changes, in either form."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from orchestrator.telemetry import protobuf
from orchestrator.telemetry.labels import bounded, written


class Form(Protocol):
    def labels(self, labels: Mapping[str, str]) -> bytes:
        """Of all samples of a cell."""
        ...

    def sample(self, family: str, labels: bytes, further: Mapping[str, str], value: float) -> bytes: ...

    def family(self, name: str, meaning: str, samples: Iterable[bytes]) -> Iterable[bytes]: ...


class TextForm:
    """As both text formats have it, without an end of file."""

    def labels(self, labels: Mapping[str, str]) -> bytes:
        return written(labels).encode()

    def sample(self, family: str, labels: bytes, further: Mapping[str, str], value: float) -> bytes:
        if further:
            between = b"," if labels else b""
            labels = labels + between + written(further).encode()
        return b"%s{%s} %r\n" % (family.encode(), labels, float(value))

    def family(self, name: str, meaning: str, samples: Iterable[bytes]) -> Iterable[bytes]:
        return f"# HELP {name} {meaning}\n# TYPE {name} gauge\n".encode(), *samples


class ProtobufForm:
    def labels(self, labels: Mapping[str, str]) -> bytes:
        return protobuf.write_labels({name: bounded(value) for name, value in labels.items()})

    def sample(self, family: str, labels: bytes, further: Mapping[str, str], value: float) -> bytes:  # noqa: ARG002 (the family says its name once)
        return protobuf.write_gauge(labels + self.labels(further) if further else labels, value)

    def family(self, name: str, meaning: str, samples: Iterable[bytes]) -> Iterable[bytes]:
        return (protobuf.write_gauges(name, meaning, samples),)
