"""The ONNX graph of DistilBERT with random weights, in float32 or in int8.

In int8 it is what onnxruntime's dynamic quantizer makes of the float32 graph (one scale per tensor, activations as they
come), written at once: the quantizer takes twenty times the file's size in memory.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from orchestrator.models.onnx_nodes import GraphNodes
from orchestrator.models.tensors import RandomBytes

EPSILON: Final = 1e-12
HEAD_REACH: Final = 0.5
"""Wider, so that the scores of random weights are told apart by more than rounding."""
WORD_GAIN: Final = 8.0
"""Of the last norm before the words, for the same reason."""
MASKED: Final = -3e38
ZERO: Final = 128
"""The byte that stands for the weight 0."""

Head = Literal["text-classification", "fill-mask"]
Dtype = Literal["fp32", "q8"]


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    labels: int
    """Classes; without meaning where words are filled in."""


class EncoderGraph(GraphNodes):
    """The graph in the making."""

    def __init__(self, shape: Shape, head: Head, dtype: Dtype, seed: int) -> None:
        self._shape = shape
        self._head: Head = head
        self._dtype: Dtype = dtype
        self._noise = RandomBytes(seed)
        super().__init__()
        self.parameters = 0
        """Weights so far, shared ones counted once."""

    def build(self) -> Any:
        from onnx import TensorProto, helper

        shape = self._shape
        hidden = self._embeddings()
        mask = self._additive_mask()
        for layer in range(shape.layers):
            attended = self._attention(f"layer.{layer}.attention", hidden, mask)
            hidden = self._norm(f"layer.{layer}.sa_layer_norm", self.node("Add", [attended, hidden]))
            inner = self._gelu(self._linear(f"layer.{layer}.ffn.lin1", hidden, shape.hidden, shape.feed_forward))
            outer = self._linear(f"layer.{layer}.ffn.lin2", inner, shape.feed_forward, shape.hidden)
            hidden = self._norm(f"layer.{layer}.output_layer_norm", self.node("Add", [outer, hidden]))
        if self._head == "text-classification":
            self._classes(hidden)
            dims: list[str | int] = ["batch_size", shape.labels]
        else:
            self._words(hidden)
            dims = ["batch_size", "sequence_length", shape.vocabulary]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch_size", "sequence_length"])
            for name in ("input_ids", "attention_mask")
        ]
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, dims)
        return helper.make_graph(self.nodes, "distilbert", inputs, [logits], self.initializers)

    def _embeddings(self) -> str:
        shape = self._shape
        words = self._rows(self._weight("word_embeddings", (shape.vocabulary, shape.hidden)), "input_ids")
        table = self._weight("position_embeddings", (shape.positions, shape.hidden))
        length = self.node("Gather", [self.node("Shape", ["input_ids"]), self.integers("second", 1)])
        order = self.node("Range", [self.integers("zero", 0), length, self.integers("step", 1)])
        places = self._rows(table, order)
        return self._norm("embeddings.LayerNorm", self.node("Add", [words, places]))

    def _additive_mask(self) -> str:
        """0 for what is attended to, and a value that softmax makes nothing of for the rest."""
        from onnx import TensorProto

        mask = self.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        absent = self.node("Mul", [self.node("Sub", [self._number("one", 1.0), mask]), self._number("masked", MASKED)])
        return self.node("Unsqueeze", [absent, self.integers("head_and_query_axes", [1, 2])])

    def _attention(self, name: str, hidden: str, mask: str) -> str:
        shape = self._shape
        head = shape.hidden // shape.heads
        split = self.integers("split_heads", [0, 0, shape.heads, head])

        def heads(part: str, order: list[int]) -> str:
            projected = self._linear(f"{name}.{part}_lin", hidden, shape.hidden, shape.hidden)
            return self.node("Transpose", [self.node("Reshape", [projected, split])], perm=order)

        query, key, value = heads("q", [0, 2, 1, 3]), heads("k", [0, 2, 3, 1]), heads("v", [0, 2, 1, 3])
        scaled = self.node("Div", [self.node("MatMul", [query, key]), self._number("root", math.sqrt(head))])
        weights = self.node("Softmax", [self.node("Add", [scaled, mask])], axis=-1)
        mixed = self.node("Transpose", [self.node("MatMul", [weights, value])], perm=[0, 2, 1, 3])
        joined = self.node("Reshape", [mixed, self.integers("join_heads", [0, 0, shape.hidden])])
        return self._linear(f"{name}.out_lin", joined, shape.hidden, shape.hidden)

    def _classes(self, hidden: str) -> None:
        shape = self._shape
        first = self.node("Gather", [hidden, self.integers("first", 0)], axis=1)
        pooled = self.node("Relu", [self._linear("pre_classifier", first, shape.hidden, shape.hidden)])
        self._linear("classifier", pooled, shape.hidden, shape.labels, reach=HEAD_REACH, output="logits")

    def _words(self, hidden: str) -> None:
        shape = self._shape
        transformed = self._gelu(self._linear("vocab_transform", hidden, shape.hidden, shape.hidden))
        normed = self._norm("vocab_layer_norm", transformed, gain=WORD_GAIN)
        table = self.node("Transpose", ["word_embeddings"], perm=[1, 0])
        bias = self._vector("vocab_projector.bias", 0.0, shape.vocabulary)
        self.node("Add", [self._product(normed, table, "word_embeddings"), bias], "logits")

    # Parts of parts.

    def _linear(
        self, name: str, value: str, inputs: int, outputs: int, reach: float | None = None, output: str | None = None
    ) -> str:
        weight = self._weight(f"{name}.weight", (inputs, outputs), reach)
        product = self._product(value, weight, weight)
        return self.node("Add", [product, self._vector(f"{name}.bias", 0.0, outputs)], output)

    def _product(self, value: str, weight: str, stored: str) -> str:
        """`stored` names the weight as it was stored, whose scale it has."""
        from onnx import TensorProto

        if self._dtype == "fp32":
            return self.node("MatMul", [value, weight])
        quantized, scale, zero = (f"{value}/{weight}/{part}" for part in ("input", "input_scale", "input_zero"))
        self.add_node("DynamicQuantizeLinear", [value], [quantized, scale, zero])
        product = self.node("MatMulInteger", [quantized, weight, zero, self._zero()])
        scales = self.node("Mul", [scale, f"{stored}_scale"])
        return self.node("Mul", [self.node("Cast", [product], to=TensorProto.FLOAT), scales])

    def _rows(self, table: str, indices: str) -> str:
        from onnx import TensorProto

        rows = self.node("Gather", [table, indices])
        if self._dtype == "fp32":
            return rows
        centred = self.node("Sub", [self.node("Cast", [rows], to=TensorProto.FLOAT), self._number("zero_float", ZERO)])
        return self.node("Mul", [centred, f"{table}_scale"])

    def _norm(self, name: str, value: str, gain: float = 1.0) -> str:
        hidden = self._shape.hidden
        inputs = [value, self._vector(f"{name}.weight", gain, hidden), self._vector(f"{name}.bias", 0.0, hidden)]
        return self.node("LayerNormalization", inputs, axis=-1, epsilon=EPSILON)

    def _gelu(self, value: str) -> str:
        error = self.node("Erf", [self.node("Div", [value, self._number("root_of_two", math.sqrt(2))])])
        doubled = self.node("Mul", [value, self.node("Add", [error, self._number("one", 1.0)])])
        return self.node("Mul", [doubled, self._number("half", 0.5)])

    def _weight(self, name: str, dims: tuple[int, int], reach: float | None = None) -> str:
        """Uniform weights; for a width of 768, their default reach has the deviation of 0.02 that BERT starts from."""
        import numpy

        count = math.prod(dims)
        noise = numpy.concatenate(list(self._noise.stream(name, count))).reshape(dims)
        scale = (reach or 1 / math.sqrt(self._shape.hidden)) / ZERO
        self.parameters += count
        if self._dtype == "fp32":
            return self.array(name, (noise.astype(numpy.float32) - ZERO) * numpy.float32(scale))
        self._number(f"{name}_scale", scale)
        return self.array(name, noise)

    def _vector(self, name: str, value: float, count: int) -> str:
        import numpy

        self.parameters += count
        return self.array(name, numpy.full(count, value, numpy.float32))

    def _zero(self) -> str:
        import numpy

        return self.array("zero_byte", numpy.array(ZERO, numpy.uint8))

    def _number(self, name: str, value: float) -> str:
        import numpy

        return self.array(name, numpy.array(value, numpy.float32))
