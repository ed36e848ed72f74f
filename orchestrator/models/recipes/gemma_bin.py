"""A Gemma-type `.bin` for MediaPipe's LLM Inference, with random weights of a fixed seed.

The format is a TFLite flatbuffer without operators: its metadata names the model type, the transformer's dimensions
(a protobuf, `odml.infra.proto.LlmParameters`) and the tokenizer; its tensors are the weights. The flatbuffer fills
the first MiB, and every buffer lies outside of it, addressed by offset and size. Parameters: `path`, `seed`,
`tokenizer` (a SentencePiece model among the fixtures), `layers`, `embedding`, `heads`, `kv_heads`, `head`,
`feed_forward`. The same parameters give the same bytes on every machine.
"""

import hashlib
import math
import struct
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from orchestrator.models.definition import FIXTURE_DIRECTORY
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

HEADER_BYTES: Final = 1 << 20
ALIGNMENT: Final = 64
GEMMA_2B: Final = 6
"""`odml.infra.proto.LLM_MODEL_TYPE_GEMMA_2B`: the runtime reads it as a buffer number, without a buffer."""
FLOAT32, INT8 = 0, 9
"""`tflite.TensorType`."""
WEIGHT_RANGE: Final = 0.3
LOGIT_RANGE: Final = 0.5
QUIET: Final = 0.01
"""Output scale of pieces that must not be generated: control, byte and very short ones."""
SHORTEST_PIECE: Final = 4


@dataclass(frozen=True)
class Shape:
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int


@dataclass(frozen=True)
class Tensor:
    name: str
    kind: int
    shape: tuple[int, ...]
    content: bytes


def build(workshop: Workshop) -> Product:
    shape = Shape(**{field.name: workshop.number(field.name) for field in fields(Shape)})
    workshop.step("writing random weights")
    parameters = write_model(
        workshop.files / workshop.text("path"),
        shape,
        FIXTURE_DIRECTORY / workshop.text("tokenizer"),
        workshop.number("seed"),
    )
    return Product(
        model_parameters=parameters,
        validation=workshop.text_validation(),
        tools=versions("flatbuffers", "sentencepiece"),
    )


def write_model(target: Path, shape: Shape, tokenizer: Path, seed: int) -> int:
    """Writes the `.bin` and returns the number of weights, quantization scales not counted."""
    loudness = piece_loudness(tokenizer)
    tensors = weights(shape, loudness, seed)
    metadata = {
        "odml.infra.proto.LlmParameters": llm_parameters(shape, len(loudness)),
        "backend": b"gpu",
        "spm_vocab_model": tokenizer.read_bytes(),
    }
    content = container(metadata, tensors)
    target.write_bytes(content)
    return sum(math.prod(tensor.shape) for tensor in tensors if not tensor.name.endswith("_quantized_scale"))


def piece_loudness(tokenizer: Path) -> list[float]:
    """For each piece of the vocabulary 1, or `QUIET` where it must not be generated."""
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(model_file=str(tokenizer))
    return [
        QUIET
        if model.is_byte(piece)
        or model.is_control(piece)
        or model.is_unknown(piece)
        # A user-defined symbol such as `<start_of_turn>` has no flag of its own.
        or model.id_to_piece(piece).startswith("<")
        or len(model.id_to_piece(piece)) < SHORTEST_PIECE
        else 1.0
        for piece in range(model.get_piece_size())
    ]


def weights(shape: Shape, loudness: list[float], seed: int) -> list[Tensor]:
    """Every tensor the runtime asks for, by its names; matrices are int8 with a float32 scale per output channel."""
    tensors: list[Tensor] = []

    def norm(name: str) -> None:
        tensors.append(floats(name, [1.0] * shape.embedding))

    def matrix(name: str, dimensions: tuple[int, int], scales: list[float]) -> None:
        noise = hashlib.shake_128(f"{seed} {name}".encode()).digest(math.prod(dimensions))
        # Symmetric int8 ends at -127.
        tensors.append(Tensor(name, INT8, dimensions, noise.replace(b"\x80", b"\x81")))
        tensors.append(floats(f"{name}_quantized_scale", scales))

    def layer_matrix(name: str, dimensions: tuple[int, int], channels: int) -> None:
        noise = hashlib.shake_128(f"{seed} {name} scale".encode()).digest(channels)
        matrix(name, dimensions, [WEIGHT_RANGE / 127 * (0.5 + byte / 255) for byte in noise])

    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    width, inner = shape.embedding, shape.feed_forward
    for layer in range(shape.layers):
        prefix = f"params.lm.transformer.x_layers_{layer}"
        norm(f"{prefix}.pre_layer_norm.scale")
        norm(f"{prefix}.ff_layer.pre_layer_norm.scale")
        for name, channels in (("q", queries), ("k", keys), ("v", keys)):
            layer_matrix(f"{prefix}.self_attention.{name}.w", (width, channels), channels)
        layer_matrix(f"{prefix}.self_attention.post.w", (width, queries), width)
        layer_matrix(f"{prefix}.ff_layer.ffn_layer1_gate.w", (width, inner), inner)
        layer_matrix(f"{prefix}.ff_layer.ffn_layer1.w", (width, inner), inner)
        layer_matrix(f"{prefix}.ff_layer.ffn_layer2.w", (inner, width), width)
    norm("params.lm.final_ln.scale")
    # Gemma ties its embedding table to this one.
    logits = (width, len(loudness))
    matrix("params.lm.softmax.logits_ffn.w", logits, [LOGIT_RANGE / 127 * loud for loud in loudness])
    return tensors


def floats(name: str, values: list[float]) -> Tensor:
    return Tensor(name, FLOAT32, (len(values),), struct.pack(f"<{len(values)}f", *values))


def llm_parameters(shape: Shape, vocabulary: int) -> bytes:
    """`odml.infra.proto.LlmParameters`, by the field numbers of MediaPipe's llm_params.proto."""
    no_bias, gelu, causal, inverse_root_of_head = 1, 1, 1, 2
    no_norm, rms_norm, bos = 1, 2, 2
    feed_forward = _integer(1, no_bias) + _integer(2, gelu) + _integer(3, rms_norm) + _integer(4, no_norm)
    attention = _integer(1, no_bias) + _integer(2, no_bias) + _integer(3, causal) + _integer(5, inverse_root_of_head)
    transformer = (
        _integer(1, 1)  # batch size
        + _integer(3, shape.embedding)
        + _integer(4, shape.feed_forward)
        + _integer(5, shape.head)
        + _integer(6, shape.heads)
        + _integer(7, shape.layers)
        + _integer(9, shape.kv_heads)
        + _message(11, feed_forward)
        + _message(12, _integer(1, no_bias))  # final projection
        + _integer(13, rms_norm)  # before the block
        + _integer(14, no_norm)  # after the block
        + _integer(15, rms_norm)  # at the end
        + _message(16, attention)
        + _integer(18, 1)  # rotary positions only
    )
    return _message(1, transformer) + _integer(2, vocabulary) + _integer(4, bos) + _message(5, b"<eos>")


def _varint(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def container(metadata: dict[str, bytes], tensors: list[Tensor]) -> bytes:
    """The file: flatbuffer, zeros up to 1 MiB, then each buffer at a multiple of 64 bytes."""
    places: list[tuple[int, bytes]] = []
    end = HEADER_BYTES
    for content in [*metadata.values(), *(tensor.content for tensor in tensors)]:
        places.append((end, content))
        end = math.ceil((end + len(content)) / ALIGNMENT) * ALIGNMENT
    header = _flatbuffer(list(metadata), tensors, [(offset, len(content)) for offset, content in places])
    if len(header) > HEADER_BYTES:
        raise RecipeError(f"too many tensors: the header takes {len(header)} bytes of {HEADER_BYTES}")
    file = bytearray(end)
    file[: len(header)] = header
    for offset, content in places:
        file[offset : offset + len(content)] = content
    return bytes(file)


def _flatbuffer(metadata: list[str], tensors: list[Tensor], places: list[tuple[int, int]]) -> bytes:
    """A `tflite.Model`; slots are the field numbers of TFLite's schema.fbs."""
    from flatbuffers import Builder

    builder = Builder(1 << 16)

    def vector(offsets: list[Any]) -> Any:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def named(name: str, buffer: int) -> Any:
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
    notes = [named(name, number) for number, name in enumerate(metadata, start=1)]
    notes.append(named("odml.infra.LlmModelType", GEMMA_2B))
    listed = vector([tensor(one, number) for number, one in enumerate(tensors, start=1 + len(metadata))])
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


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
