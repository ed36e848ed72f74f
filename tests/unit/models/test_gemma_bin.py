"""The hand-written `.bin`, read back by the rules of TFLite's schema."""

import math
import struct
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import flatbuffers
import pytest
from flatbuffers import number_types
from flatbuffers.table import Table

from orchestrator.models.definition import FIXTURE_DIRECTORY
from orchestrator.models.recipes.gemma_bin import (
    BLOCK_BYTES,
    GEMMA_2B,
    QUIET,
    Precision,
    Shape,
    adapter_metadata,
    adapter_tensors,
    base_metadata,
    parameters_of,
    piece_loudness,
    spare_pieces,
    weights,
)
from orchestrator.models.recipes.parts.tflite_weights import (
    HEADER_BYTES,
    Kind,
    Tensor,
    lay_out,
    write_weights,
)

SHAPE = Shape(layers=2, embedding=128, heads=4, kv_heads=1, head=32, feed_forward=256)
GEMMA_2B_SHAPE = Shape(layers=18, embedding=2048, heads=8, kv_heads=1, head=256, feed_forward=16384)
TOKENIZER = FIXTURE_DIRECTORY / "tiny_tokenizer.model"
VOCABULARY = 512
INT8 = Precision(Kind.INT8, Kind.INT8)
INT4 = Precision(Kind.INT4, Kind.INT4)
MIXED = Precision(Kind.INT8, Kind.INT4)


def tensors_of(shape: Shape = SHAPE, precision: Precision = INT8, seed: int = 0, vocabulary: int = 0) -> list[Tensor]:
    loudness = piece_loudness(TOKENIZER)
    return weights(shape, loudness + [QUIET] * (vocabulary - len(loudness)), seed, precision)


def write_model(path: Path, precision: Precision = INT8, seed: int = 0, shape: Shape = SHAPE) -> Path:
    write_weights(path, base_metadata(shape, VOCABULARY, TOKENIZER.read_bytes()), tensors_of(shape, precision, seed))
    return path


class Read(NamedTuple):
    tensors: dict[str, tuple[int, tuple[int, ...], bytes]]
    metadata: dict[str, bytes | int]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("gemma") / "tiny.bin")


def test_the_same_seed_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    for seed, same in ((0, True), (1, False)):
        again = write_model(tmp_path / "again.bin", seed=seed)
        assert (again.read_bytes() == model.read_bytes()) is same


def test_weights_are_counted_without_their_scales() -> None:
    assert {parameters_of(tensors_of(precision=one)) for one in (INT8, INT4, MIXED)} == {344_704}


@pytest.mark.parametrize("precision", [INT8, INT4, MIXED])
def test_tensors_have_the_shapes_and_bytes_they_promise(precision: Precision, tmp_path: Path) -> None:
    tensors = read(write_model(tmp_path / "tiny.bin", precision).read_bytes()).tensors
    assert tensors["params.lm.softmax.logits_ffn.w"][:2] == (precision.rest, (128, VOCABULARY))
    assert tensors["params.lm.transformer.x_layers_1.self_attention.k.w"][:2] == (precision.attention, (128, 32))
    # Seven matrices with their scales and two norms for each layer; the last norm and the logits with their scale.
    assert len(tensors) == SHAPE.layers * (7 * 2 + 2) + 3
    for name, (kind, shape, content) in tensors.items():
        bits = {Kind.FLOAT32: 32, Kind.INT8: 8, Kind.INT4: 4}[Kind(kind)]
        assert len(content) * 8 == bits * math.prod(shape), name
        if kind == Kind.INT8:
            assert 0 not in content, name
        if kind == Kind.INT4:
            assert 0 not in {half for byte in content for half in (byte & 15, byte >> 4)}, name
        if kind != Kind.FLOAT32:
            assert f"{name}_quantized_scale" in tensors


def test_tensors_lie_in_the_order_in_which_the_runtime_reads_them() -> None:
    """Seen by listening to what tasks-genai 0.10.29 asks of its stream."""
    tensors = tensors_of()
    names = [tensor.name.removeprefix("params.lm.").removeprefix("transformer.x_layers_0.") for tensor in tensors]
    assert names[:5] == [
        "softmax.logits_ffn.w",
        "softmax.logits_ffn.w_quantized_scale",
        "pre_layer_norm.scale",
        "self_attention.q.w_quantized_scale",
        "self_attention.q.w",
    ]
    assert names[-1] == "final_ln.scale"
    layout = lay_out(base_metadata(SHAPE, VOCABULARY, b""), tensors)
    assert layout.offsets == sorted(layout.offsets)


def test_the_true_size_of_gemma_2b_adds_up() -> None:
    tensors = tensors_of(GEMMA_2B_SHAPE, MIXED, vocabulary=256_000)
    assert parameters_of(tensors) == 2_506_172_416
    tokenizer = TOKENIZER.read_bytes() + spare_pieces(256_000 - VOCABULARY)
    size = lay_out(base_metadata(GEMMA_2B_SHAPE, 256_000, tokenizer), tensors).bytes
    assert size == 1_348_203_776
    # Within 1 % of the published gemma-2b-it-gpu-int4.bin.
    assert abs(size / 1_354_301_440 - 1) < 0.01
    # The output table is the largest of all: what is held at once are blocks of it.
    largest = max(tensors, key=lambda tensor: tensor.bytes)
    assert largest.bytes == 2048 * 256_000 // 2
    assert len(next(iter(largest.blocks()))) == BLOCK_BYTES


def test_spare_pieces_have_names_and_are_in_no_text() -> None:
    from sentencepiece import SentencePieceProcessor

    plain = SentencePieceProcessor(model_file=str(TOKENIZER))
    larger = SentencePieceProcessor(model_proto=TOKENIZER.read_bytes() + spare_pieces(1_000))
    assert larger.get_piece_size() == VOCABULARY + 1_000
    assert larger.id_to_piece(VOCABULARY + 7) == "<unused7>"
    for text in ("hello quick world", "<unused7>"):
        assert larger.encode(text) == plain.encode(text)


def test_writing_holds_blocks_and_not_the_model(tmp_path: Path) -> None:
    shape = Shape(layers=2, embedding=1024, heads=4, kv_heads=1, head=256, feed_forward=8192)
    tracemalloc.start()
    try:
        size = write_model(tmp_path / "large.bin", INT8, shape=shape).stat().st_size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 50 << 20
    assert peak < 4 * BLOCK_BYTES


def test_an_adapter_names_its_rank_and_has_two_halves_for_each_matrix(tmp_path: Path) -> None:
    path = tmp_path / "adapter.bin"
    write_weights(path, adapter_metadata(SHAPE, VOCABULARY, 4), adapter_tensors(SHAPE, 4, seed=1))
    tensors, metadata = read(path.read_bytes())
    assert metadata["lora_rank"] == 4
    assert metadata["odml.infra.LlmModelType"] == GEMMA_2B
    assert len(tensors) == SHAPE.layers * 4 * 2
    prefix = "params.lm.transformer.x_layers_0.self_attention"
    assert tensors[f"{prefix}.k.w_prime_left"][:2] == (Kind.FLOAT16, (128, 4))
    assert tensors[f"{prefix}.k.w_prime_right"][:2] == (Kind.FLOAT16, (4, 32))


def test_metadata_names_the_model_and_carries_the_tokenizer(model: Path) -> None:
    metadata = read(model.read_bytes()).metadata
    assert metadata["backend"] == b"gpu"
    assert metadata["spm_vocab_model"] == TOKENIZER.read_bytes()
    assert metadata["odml.infra.LlmModelType"] == 6
    parameters = fields(metadata["odml.infra.proto.LlmParameters"])
    assert (parameters[2], parameters[4], parameters[5]) == (VOCABULARY, 2, b"<eos>")
    transformer = fields(parameters[1])
    assert [transformer[number] for number in (3, 4, 5, 6, 7, 9)] == [128, 256, 32, 4, 2, 1]


def test_nothing_is_left_of_the_file_behind_the_last_tensor(model: Path) -> None:
    assert HEADER_BYTES < model.stat().st_size < 1_500_000
    assert model.stat().st_size % 64 == 0


def read(content: bytes) -> Read:
    """Walks `tflite.Model`: subgraphs 2, buffers 4, metadata 6, by the slots of its schema."""
    assert content[4:8] == b"TFL3"
    root = Table(content, flatbuffers.encode.Get(number_types.UOffsetTFlags.packer_type, content, 0))
    buffers = [(scalar(one, 1, "<Q"), scalar(one, 2, "<Q")) for one in tables(root, 4)]
    assert buffers[0] == (0, 0)
    ends = [HEADER_BYTES]
    for offset, size in buffers[1:]:
        assert offset % 64 == 0
        assert offset >= ends[-1]
        ends.append(offset + size)
    assert ends[-1] <= len(content)

    def buffer(number: int) -> bytes:
        offset, size = buffers[number]
        return content[offset : offset + size]

    (graph,) = tables(root, 2)
    tensors = {}
    for tensor in tables(graph, 0):
        shape_at = tensor.Vector(slot(tensor, 0))
        shape = struct.unpack_from(f"<{tensor.VectorLen(slot(tensor, 0))}i", content, shape_at)
        tensors[text(tensor, 3)] = (scalar(tensor, 1, "<b"), shape, buffer(scalar(tensor, 2, "<I")))
    metadata: dict[str, bytes | int] = {}
    for note in tables(root, 6):
        name, number = text(note, 0), scalar(note, 1, "<I")
        metadata[name] = number if name in ("odml.infra.LlmModelType", "lora_rank") else buffer(number)
    return Read(tensors, metadata)


def slot(table: Any, number: int) -> int:
    return int(table.Offset(4 + 2 * number))


def scalar(table: Any, number: int, form: str) -> int:
    at = slot(table, number)
    return int(struct.unpack_from(form, table.Bytes, table.Pos + at)[0]) if at else 0


def text(table: Any, number: int) -> str:
    return bytes(table.String(table.Pos + slot(table, number))).decode()


def tables(table: Any, number: int) -> list[Any]:
    start, count = table.Vector(slot(table, number)), table.VectorLen(slot(table, number))
    return [Table(table.Bytes, table.Indirect(start + 4 * index)) for index in range(count)]


def fields(message: Any) -> dict[int, Any]:
    """A protobuf message of varints and length-delimited fields, each once."""
    found: dict[int, Any] = {}
    place = 0

    def varint() -> int:
        nonlocal place
        value = 0
        shift = 0
        while True:
            byte = int(message[place])
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        key = varint()
        value: Any = varint()
        if key & 7 == 2:
            place += value
            value = message[place - value : place]
        assert key >> 3 not in found
        found[key >> 3] = value
    return found
