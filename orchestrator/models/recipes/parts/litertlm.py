"""The `.litertlm` container: a flatbuffer that says where sections lie, each of them from a multiple of 16 KiB.

Slots are the field numbers of LiteRT-LM's `litertlm_header_schema.fbs`.
"""

import math
import shutil
import struct
from pathlib import Path
from typing import Any, Final

VERSION: Final = (1, 7, 0)
PREFIX_BYTES: Final = 32
SECTION_ALIGNMENT: Final = 1 << 14
MODEL, TOKENIZER, METADATA = 3, 4, 5
"""`AnySectionDataType`: a TFLite model, a SentencePiece model, an `LlmMetadata` protobuf."""
STRING: Final = 9
"""`VData.StringValue`."""


def wrap_artisan_model(model: Path, tokenizer: bytes, metadata: bytes, target: Path) -> None:
    """Writes a `.litertlm` around a `.bin` of MediaPipe's, for LiteRT-LM's `GPU_ARTISAN`."""
    sections = [(METADATA, len(metadata)), (TOKENIZER, len(tokenizer)), (MODEL, model.stat().st_size)]
    places: list[tuple[int, int, int]] = []
    end = SECTION_ALIGNMENT
    for kind, size in sections:
        places.append((kind, end, end + size))
        end = math.ceil((end + size) / SECTION_ALIGNMENT) * SECTION_ALIGNMENT
    header = _header(places)
    with target.open("wb") as stream, model.open("rb") as source:
        stream.write(b"LITERTLM" + struct.pack("<IIIIQ", *VERSION, 0, PREFIX_BYTES + len(header)) + header)
        for (_, begin, _), content in zip(places, (metadata, tokenizer), strict=False):
            stream.seek(begin)
            stream.write(content)
        stream.seek(places[-1][1])
        shutil.copyfileobj(source, stream)


def _header(places: list[tuple[int, int, int]]) -> bytes:
    from flatbuffers import Builder

    builder = Builder(1 << 10)

    def vector(offsets: list[Any]) -> Any:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def said(key: str, text: str) -> Any:
        value, name = builder.CreateString(text), builder.CreateString(key)
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, value, 0)
        value = builder.EndObject()
        builder.StartObject(3)
        builder.PrependUOffsetTRelativeSlot(0, name, 0)
        builder.PrependUint8Slot(1, STRING, 0)
        builder.PrependUOffsetTRelativeSlot(2, value, 0)
        return builder.EndObject()

    def section(kind: int, begin: int, end: int) -> Any:
        items = vector([said("model_type", "tf_lite_artisan_text_decoder")] if kind == MODEL else [])
        builder.StartObject(4)
        builder.PrependUOffsetTRelativeSlot(0, items, 0)
        builder.PrependUint64Slot(1, begin, 0)
        builder.PrependUint64Slot(2, end, 0)
        builder.PrependUint8Slot(3, kind, 0)
        return builder.EndObject()

    def holder(vector_of: Any) -> Any:
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, vector_of, 0)
        return builder.EndObject()

    system = holder(vector([said("Authors", "fitmatrix")]))
    listed = holder(vector([section(*place) for place in places]))
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, system, 0)
    builder.PrependUOffsetTRelativeSlot(1, listed, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
