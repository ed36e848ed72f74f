"""A TFLite flatbuffer without operators: named tensors and metadata, as MediaPipe's LLM Inference reads weights.

The flatbuffer fills the first MiB, and every buffer lies outside of it, addressed by offset and size. What goes into a
buffer is made while it is written, so that a file of any size is written in bounded memory.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from orchestrator.models.workshop import RecipeError

HEADER_BYTES: Final = 1 << 20
ALIGNMENT: Final = 64


class Kind(IntEnum):
    """`tflite.TensorType`, as far as it is used."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT8 = 9
    INT4 = 17


BITS: Final = {Kind.FLOAT32: 32, Kind.FLOAT16: 16, Kind.INT8: 8, Kind.INT4: 4}


@dataclass(frozen=True)
class Tensor:
    name: str
    kind: Kind
    shape: tuple[int, ...]
    blocks: Callable[[], Iterable[bytes]]
    """Makes the content, in pieces that are small enough to be held."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * BITS[self.kind] // 8


Metadata = Mapping[str, bytes | int]
"""A whole number stands for a buffer of that number, which is how this format says whole numbers."""


@dataclass(frozen=True)
class Layout:
    header: bytes
    offsets: list[int]
    """Of the metadata that are bytes, then of the tensors."""
    bytes: int
    """Of the whole file."""


def lay_out(metadata: Metadata, tensors: Sequence[Tensor]) -> Layout:
    """Where everything lies: flatbuffer, zeros up to 1 MiB, then each buffer at a multiple of 64 bytes.

    Raises RecipeError where the flatbuffer is larger than its MiB.
    """
    sizes = [len(value) for value in metadata.values() if isinstance(value, bytes)]
    sizes += [tensor.bytes for tensor in tensors]
    offsets = []
    end = HEADER_BYTES
    for size in sizes:
        offsets.append(end)
        end = math.ceil((end + size) / ALIGNMENT) * ALIGNMENT
    header = _flatbuffer(metadata, tensors, list(zip(offsets, sizes, strict=True)))
    if len(header) > HEADER_BYTES:
        raise RecipeError(f"too many tensors: the header takes {len(header)} bytes of {HEADER_BYTES}")
    return Layout(header, offsets, end)


def write_weights(target: Path, metadata: Metadata, tensors: Sequence[Tensor]) -> None:
    """Writes the file, block by block."""
    layout = lay_out(metadata, tensors)
    contents: list[Iterable[bytes]] = [[value] for value in metadata.values() if isinstance(value, bytes)]
    with target.open("wb") as stream:
        stream.write(layout.header)
        for offset, content in zip(layout.offsets, [*contents, *(tensor.blocks() for tensor in tensors)], strict=True):
            stream.seek(offset)
            stream.writelines(content)
        stream.truncate(layout.bytes)


def floats(name: str, values: Sequence[float]) -> Tensor:
    content = struct.pack(f"<{len(values)}f", *values)
    return Tensor(name, Kind.FLOAT32, (len(values),), lambda: [content])


def _flatbuffer(metadata: Metadata, tensors: Sequence[Tensor], places: list[tuple[int, int]]) -> bytes:
    """A `tflite.Model`; slots are the field numbers of TFLite's schema.fbs."""
    from flatbuffers import Builder

    builder = Builder(1 << 16)

    def vector(offsets: list[Any]) -> Any:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def note(name: str, buffer: int) -> Any:
        text = builder.CreateString(name)
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, text, 0)
        builder.PrependUint32Slot(1, buffer, 0)
        return builder.EndObject()

    def tensor(tensor: Tensor, buffer: int) -> Any:
        builder.StartVector(4, len(tensor.shape), 4)
        for dimension in reversed(tensor.shape):
            builder.PrependInt32(dimension)
        dimensions = builder.EndVector()
        text = builder.CreateString(tensor.name)
        builder.StartObject(10)
        builder.PrependUOffsetTRelativeSlot(0, dimensions, 0)
        builder.PrependInt8Slot(1, tensor.kind, 0)
        builder.PrependUint32Slot(2, buffer, 0)
        builder.PrependUOffsetTRelativeSlot(3, text, 0)
        return builder.EndObject()

    def buffer(offset: int, size: int) -> Any:
        builder.StartObject(3)
        builder.PrependUint64Slot(1, offset, 0)
        builder.PrependUint64Slot(2, size, 0)
        return builder.EndObject()

    # Buffer 0 is empty by TFLite's convention, so content starts at 1.
    buffers = vector([buffer(0, 0), *(buffer(offset, size) for offset, size in places)])
    notes = []
    content = 0
    for name, value in metadata.items():
        content += isinstance(value, bytes)
        notes.append(note(name, content if isinstance(value, bytes) else value))
    listed = vector([tensor(one, number) for number, one in enumerate(tensors, start=content + 1)])
    name = builder.CreateString("main")
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(0, listed, 0)
    builder.PrependUOffsetTRelativeSlot(4, name, 0)
    graphs = vector([builder.EndObject()])
    noted = vector(notes)
    builder.StartObject(8)
    builder.PrependUint32Slot(0, 3, 0)  # version
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.PrependUOffsetTRelativeSlot(4, buffers, 0)
    builder.PrependUOffsetTRelativeSlot(6, noted, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())
