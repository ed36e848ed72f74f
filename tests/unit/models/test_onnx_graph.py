"""The changes made to an exported graph, each against the same graph in float32."""

from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from orchestrator.models.onnx_weights import (
    BLOCK,
    cut_embedding,
    embed_float,
    fix_cache_width,
    quantize_int4,
    quantize_int8,
    refine_activations,
    scale_tokens,
)

WORDS, WIDTH = 7, 2 * BLOCK
IDS = numpy.array([[0, 1, 2, 6, 1]])


def language_model(table: numpy.ndarray, weight: numpy.ndarray) -> onnx.ModelProto:
    """Embedding, two products of the same value and the output, as the builder writes them with a shared table."""
    cache = helper.make_tensor_value_info("past", TensorProto.FLOAT, ["batch", 3, "past_length", "kv_cache_dim"])
    nodes = [
        helper.make_node("Transpose", ["table"], ["rows"], perm=[1, 0]),
        helper.make_node("Gather", ["rows", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "weight"], ["first"]),
        helper.make_node("MatMul", ["embedded", "other_weight"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "table"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "language model",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"]), cache],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", WORDS])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(weight[:, ::-1].copy(), "other_weight"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(model: onnx.ModelProto | Path, ids: numpy.ndarray = IDS) -> numpy.ndarray:
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    feeds: dict[str, Any] = {"input_ids": ids}
    if any(one.name == "past" for one in session.get_inputs()):
        feeds["past"] = numpy.zeros((1, 3, 0, 4), dtype=numpy.float32)
    return numpy.asarray(session.run(["logits"], feeds)[0])


def error(values: numpy.ndarray, expected: numpy.ndarray) -> float:
    """Of a token's values at most, as a share of its largest."""
    return float((numpy.abs(values - expected).max(axis=-1) / numpy.abs(expected).max(axis=-1)).max())


def names(model: onnx.ModelProto) -> set[str]:
    return {tensor.name for tensor in model.graph.initializer}


@pytest.fixture
def weights() -> tuple[numpy.ndarray, numpy.ndarray]:
    """A token table and a square matrix."""
    random = numpy.random.default_rng(0)
    table = random.normal(size=(WIDTH, WORDS)).astype(numpy.float32)
    return table, random.normal(size=(WIDTH, WIDTH)).astype(numpy.float32)


def on_grids(shape: tuple[int, int], steps: int, symmetric: bool) -> numpy.ndarray:
    """`[inputs, outputs]` values of which each block has its own scale and offset, all of whose steps occur."""
    random = numpy.random.default_rng(1)
    inputs, outputs = shape
    chosen = random.integers(0, steps + 1, size=(outputs, inputs // BLOCK, BLOCK)).astype(numpy.float32)
    chosen[..., 0], chosen[..., 1] = 0, steps
    scale = random.uniform(0.01, 1, size=(outputs, inputs // BLOCK, 1))
    offset = -scale * steps / 2 if symmetric else random.normal(size=scale.shape)
    return (chosen * scale + offset).reshape(outputs, inputs).T.astype(numpy.float32).copy()


def test_the_shared_table_is_read_without_a_copy(weights: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    expected = run(language_model(*weights))
    model = language_model(*weights)
    embed_float(model, cut_embedding(model))
    numpy.testing.assert_allclose(run(model), expected, rtol=1e-5, atol=1e-4)
    assert "table" in names(model)
    transposed = [node.input[0] for node in model.graph.node if node.op_type == "Transpose"]
    assert transposed == ["token_columns"]


def test_int4_reproduces_weights_that_have_been_in_blocks_before() -> None:
    """Of 16 steps with a free offset in the layers, of 255 symmetric ones in the table: GGUF's Q4_1 and Q8_0."""
    table, weight = on_grids((WIDTH, WORDS), 254, symmetric=True), on_grids((WIDTH, WIDTH), 15, symmetric=False)
    expected = run(language_model(table, weight))
    model = language_model(table, weight)
    quantize_int4(model)
    assert error(run(model), expected) < 1e-5
    assert {"weight", "other_weight", "table"}.isdisjoint(names(model))
    stored = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    assert stored["weight_int4"] == [WIDTH, WIDTH // BLOCK, BLOCK // 2]
    assert stored["table_int8"] == [WORDS, WIDTH // BLOCK, BLOCK]
    # Both products of one value share its sums.
    assert [node.op_type for node in model.graph.node].count("ReduceSum") == 1


def test_int4_comes_close_to_weights_that_it_cannot_hold(weights: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    model = language_model(*weights)
    quantize_int4(model)
    assert 1e-4 < error(run(model), run(language_model(*weights))) < 0.2


def test_a_block_of_equal_weights_is_exact() -> None:
    table, weight = numpy.ones((WIDTH, WORDS), numpy.float32), numpy.full((WIDTH, WIDTH), 0.3, numpy.float32)
    expected = run(language_model(table, weight))
    model = language_model(table, weight)
    quantize_int4(model)
    assert error(run(model), expected) < 1e-5


def test_weights_that_make_no_whole_blocks_are_refused() -> None:
    model = language_model(numpy.ones((WIDTH + 1, WORDS), numpy.float32), numpy.ones((WIDTH + 1, 8), numpy.float32))
    with pytest.raises(ValueError, match="do not make whole blocks of 32"):
        quantize_int4(model)


def test_int8_shares_one_table_and_keeps_small_tokens_beside_a_large_one(
    weights: tuple[numpy.ndarray, numpy.ndarray], tmp_path: Path
) -> None:
    table, weight = weights
    table[:, 1] *= 1000
    table[:, 2] = 0
    expected = run(language_model(table, weight))
    quantize_int8(language_model(table, weight), tmp_path / "model.onnx", tmp_path)
    values = run(tmp_path / "model.onnx")
    silent = IDS[0] == 2
    assert (values[0, silent] == 0).all()
    # Without the large word's own logit, which says nothing of the others.
    words = [0, 2, 3, 4, 5, 6]
    assert error(values[:, ~silent][..., words], expected[:, ~silent][..., words]) < 0.05
    model = onnx.load(tmp_path / "model.onnx")
    assert [tensor.name for tensor in model.graph.initializer if list(tensor.dims) == [WIDTH, WORDS]] == [
        "table_quantized"
    ]
    assert [value.name for value in model.graph.input] == ["input_ids", "past"]


def test_scaling_tokens_changes_nothing_in_exact_arithmetic(weights: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    model = language_model(*weights)
    scale_tokens(model)
    assert error(run(model), run(language_model(*weights))) < 1e-5
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    assert [node.input[0] for node in products] == ["embedded/scaled", "embedded/scaled", "hidden/scaled"]


def test_refining_adds_back_what_int8_rounds_away(weights: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    expected = run(language_model(*weights))
    model = language_model(*weights)
    # Of one of the two products of a value, which the other one goes on reading whole.
    refine_activations(model, ["other_weight", "table"])
    assert error(run(model), expected) < 1e-5
    products: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul":
            products.setdefault(node.input[1], []).append(node.input[0])
    assert products == {
        "weight": ["embedded"],
        "other_weight": ["embedded/rounded", "embedded/lost"],
        "table": ["hidden/rounded", "hidden/lost"],
    }


def test_only_the_unknown_cache_width_becomes_the_head_size(weights: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    model = language_model(*weights)
    fix_cache_width(model, 64)
    (cache,) = (value for value in model.graph.input if value.name == "past")
    dimensions = cache.type.tensor_type.shape.dim
    assert [one.dim_param or one.dim_value for one in dimensions] == ["batch", 3, "past_length", 64]
