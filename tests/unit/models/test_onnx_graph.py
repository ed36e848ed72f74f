"""The changes made to an exported graph before it is quantized."""

from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from orchestrator.models.recipes.gguf_language_model import fix_cache_width, quantize_embedding

WORDS, WIDTH = 7, 16


def embedding_graph(table: numpy.ndarray) -> onnx.ModelProto:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    cache = helper.make_tensor_value_info("past", TensorProto.FLOAT, ["batch", 3, "past_length", "kv_cache_dim"])
    embedded = helper.make_tensor_value_info("embedded", TensorProto.FLOAT, ["batch", "sequence", WIDTH])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["embedded"])],
        "embedding",
        [ids, cache],
        [embedded],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_each_token_has_its_own_scale() -> None:
    table = numpy.random.default_rng(0).normal(size=(WORDS, WIDTH)).astype(numpy.float32)
    table[1] *= 1000
    table[2] = 0
    model = embedding_graph(table)
    quantize_embedding(model)
    onnx.checker.check_model(model)
    assert {tensor.name: tensor.data_type for tensor in model.graph.initializer} == {
        "token_table": TensorProto.INT8,
        "token_scale": TensorProto.FLOAT,
    }
    feeds = {"input_ids": numpy.array([[0, 1, 2, 6]]), "past": numpy.zeros((1, 3, 0, 4), dtype=numpy.float32)}
    outputs: Any = ReferenceEvaluator(model).run(None, feeds)
    embedded = numpy.asarray(outputs[0])
    expected = table[[0, 1, 2, 6]][None]
    allowed = numpy.abs(expected).max(axis=-1, keepdims=True) / 127 / 2 * 1.001
    assert (numpy.abs(embedded - expected) <= allowed).all()


def test_only_the_unknown_cache_width_becomes_the_head_size() -> None:
    model = embedding_graph(numpy.ones((WORDS, WIDTH), dtype=numpy.float32))
    del model.graph.output[:]
    fix_cache_width(model, 64)
    (cache,) = (value for value in model.graph.input if value.name == "past")
    dimensions = cache.type.tensor_type.shape.dim
    assert [one.dim_param or one.dim_value for one in dimensions] == ["batch", 3, "past_length", 64]
