"""The hand-written `.bin`, read back by the rules of TFLite's schema."""

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import flatbuffers
import pytest
from flatbuffers import number_types
from flatbuffers.table import Table

from orchestrator.models.definition import FIXTURE_DIRECTORY
from orchestrator.models.recipes.gemma_bin import HEADER_BYTES, Shape, write_model

SHAPE = Shape(layers=2, embedding=128, heads=4, kv_heads=1, head=32, feed_forward=256)
TOKENIZER = FIXTURE_DIRECTORY / "tiny_tokenizer.model"
VOCABULARY = 512
INT8 = 9


class Read(NamedTuple):
    tensors: dict[str, tuple[int, tuple[int, ...], bytes]]
    metadata: dict[str, bytes | int]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gemma") / "tiny.bin"
    assert write_model(path, SHAPE, TOKENIZER, seed=0) == 344_704
    return path


def test_the_same_seed_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    for seed, same in ((0, True), (1, False)):
        write_model(tmp_path / "again.bin", SHAPE, TOKENIZER, seed)
        assert ((tmp_path / "again.bin").read_bytes() == model.read_bytes()) is same


def test_tensors_have_the_shapes_and_bytes_they_promise(model: Path) -> None:
    tensors = read(model.read_bytes()).tensors
    assert tensors["params.lm.softmax.logits_ffn.w"][:2] == (INT8, (128, VOCABULARY))
    assert tensors["params.lm.transformer.x_layers_1.self_attention.k.w"][:2] == (INT8, (128, 32))
    # Seven matrices with their scales and two norms for each layer; the last norm and the logits with their scale.
    assert len(tensors) == SHAPE.layers * (7 * 2 + 2) + 3
    for name, (kind, shape, content) in tensors.items():
        width = 1 if kind == INT8 else 4
        assert len(content) == width * math.prod(shape), name
        if kind == INT8:
            assert -128 not in struct.unpack(f"{len(content)}b", content), name
            assert f"{name}_quantized_scale" in tensors


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
        metadata[name] = number if name == "odml.infra.LlmModelType" else buffer(number)
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
