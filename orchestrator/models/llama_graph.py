"""The ONNX graph of a language model of Llama's architecture, with random weights that are written as a stream."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.models.onnx_nodes import GraphNodes
from orchestrator.models.tensors import STREAM_BYTES, ExternalWeights, RandomBytes
from orchestrator.models.workshop import RecipeError

BLOCK: Final = 32
"""Weights that share a scale in MatMulNBits."""
EPSILON: Final = 1e-5
TABLE_RANGE: Final = 0.02
"""Small against what the layers add, so that the next token depends on more than the last one."""
ATTENTION_GAIN: Final = 0.3
LATER_GAIN: Final = 0.3
MICROSOFT: Final = "com.microsoft"


@dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int
    vocabulary: int
    context: int
    rope_theta: int

    @property
    def parameters(self) -> int:
        """Weights with the shared table counted once; quantization scales and rotary tables are not weights."""
        attention = self.hidden * self.head * (self.heads + 2 * self.kv_heads) + self.heads * self.head * self.hidden
        layer = attention + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return self.layers * layer + self.hidden + self.vocabulary * self.hidden


class LlamaGraph(GraphNodes):
    """The graph in the making: nodes and initializers of one model."""

    def __init__(self, shape: Shape, dtype: str, noise: RandomBytes, weights: ExternalWeights) -> None:
        import numpy
        import onnx

        self._shape = shape
        self._dtype = dtype
        self._noise = noise
        self._weights = weights
        super().__init__()
        half = dtype in ("fp16", "q4f16")
        self._numpy_float: Any = numpy.float16 if half else numpy.float32
        self._float = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT

    def build(self) -> Any:
        from onnx import TensorProto, helper

        shape = self._shape
        self._attention_lengths()
        self._rotary_tables()
        hidden = self._embedding()
        normed = self.node(
            "SimplifiedLayerNormalization",
            [hidden, self._ones("layers.0.norm")],
            axis=-1,
            epsilon=EPSILON,
            stash_type=1,
        )
        residual = hidden
        for layer in range(shape.layers):
            attended = self._attention(layer, normed)
            normed, residual = self._add_and_norm(residual, attended, f"layers.{layer}.mlp.norm")
            processed = self._feed_forward(layer, normed)
            normed, residual = self._add_and_norm(residual, processed, f"layers.{layer + 1}.norm")
        logits = self._product("table", normed, shape.hidden, shape.vocabulary)
        self.node("Cast", [logits], "logits", to=TensorProto.FLOAT)
        cache = [f"{layer}.{part}" for layer in range(shape.layers) for part in ("key", "value")]

        def cache_info(name: str, length: str) -> Any:
            return helper.make_tensor_value_info(name, self._float, ["batch_size", shape.kv_heads, length, shape.head])

        inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
            *(cache_info(f"past_key_values.{name}", "past_sequence_length") for name in cache),
        ]
        outputs = [
            helper.make_tensor_value_info(
                "logits", TensorProto.FLOAT, ["batch_size", "sequence_length", shape.vocabulary]
            ),
            *(cache_info(f"present.{name}", "total_sequence_length") for name in cache),
        ]
        return helper.make_graph(self.nodes, "llama", inputs, outputs, self.initializers)

    # The parts of the network.

    def _attention_lengths(self) -> None:
        """What GroupQueryAttention wants to know of the mask: its last index by sequence, and its length."""
        from onnx import TensorProto

        ones = self.integers("one", [1])
        total = self.node("ReduceSum", ["attention_mask", ones], keepdims=0)
        last = self.node("Sub", [total, ones])
        self.node("Cast", [last], "last_index", to=TensorProto.INT32)
        dims = self.node("Shape", ["attention_mask"])
        length = self.node("Gather", [dims, self.integers("second", 1)], axis=0)
        self.node("Cast", [length], "total_length", to=TensorProto.INT32)

    def _rotary_tables(self) -> None:
        import numpy

        shape = self._shape
        frequency = 1.0 / shape.rope_theta ** (numpy.arange(0, shape.head, 2, dtype=numpy.float64) / shape.head)
        angles = numpy.outer(numpy.arange(shape.context, dtype=numpy.float64), frequency)
        for name, values in (("cos_cache", numpy.cos(angles)), ("sin_cache", numpy.sin(angles))):
            self._store(name, values.astype(self._numpy_float))

    def _embedding(self) -> str:
        """Rows of the very table that makes the logits, read back from the form which that product needs."""
        from onnx import TensorProto

        name = "table"
        self._matrix(name, self._shape.hidden, self._shape.vocabulary, TABLE_RANGE)
        if self._dtype in ("fp32", "fp16"):
            columns = self.node("Gather", [name, "input_ids"], axis=1)
            return self.node("Transpose", [columns], perm=[1, 2, 0])
        scale = self.node("Gather", [f"{name}_scale", "input_ids"], axis=0)
        last = self.integers("last_axis", [-1])
        if self._dtype == "q8":
            columns = self.node("Gather", [name, "input_ids"], axis=1)
            rows = self.node("Cast", [self.node("Transpose", [columns], perm=[1, 2, 0])], to=self._float)
            centred = self.node("Sub", [rows, self._scalar("q8_zero", 128)])
            return self.node("Mul", [centred, self.node("Unsqueeze", [scale, last])])
        # Two weights to a byte, the first one in its lower half; onnxruntime-web has no kernel that unpacks them.
        packed = self.node("Cast", [self.node("Gather", [name, "input_ids"], axis=0)], to=TensorProto.FLOAT)
        high = self.node("Floor", [self.node("Mul", [packed, self._scalar("sixteenth", 1 / 16, TensorProto.FLOAT)])])
        low = self.node("Sub", [packed, self.node("Mul", [high, self._scalar("sixteen", 16, TensorProto.FLOAT)])])
        pairs = self.node(
            "Concat", [self.node("Unsqueeze", [low, last]), self.node("Unsqueeze", [high, last])], axis=-1
        )
        blocks = self.node("Reshape", [pairs, self.integers("blocks", [0, 0, self._shape.hidden // BLOCK, BLOCK])])
        centred = self.node("Sub", [blocks, self._scalar("q4_zero", 8, TensorProto.FLOAT)])
        weights = self.node(
            "Mul", [self.node("Cast", [centred], to=self._float), self.node("Unsqueeze", [scale, last])]
        )
        return self.node("Reshape", [weights, self.integers("rows", [0, 0, self._shape.hidden])])

    def _attention(self, layer: int, normed: str) -> str:
        shape = self._shape
        width = (shape.heads + 2 * shape.kv_heads) * shape.head
        packed = self._linear(f"layers.{layer}.qkv", normed, shape.hidden, width)
        cache = [f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"]
        attended = f"layers.{layer}.attended"
        self.add_node(
            "GroupQueryAttention",
            [packed, "", "", *cache, "last_index", "total_length", "cos_cache", "sin_cache"],
            [attended, f"present.{layer}.key", f"present.{layer}.value"],
            domain=MICROSOFT,
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            scale=1 / math.sqrt(shape.head),
            do_rotary=1,
            rotary_interleaved=0,
        )
        return self._linear(f"layers.{layer}.output", attended, shape.heads * shape.head, shape.hidden, ATTENTION_GAIN)

    def _feed_forward(self, layer: int, normed: str) -> str:
        shape = self._shape
        gate = self._linear(f"layers.{layer}.gate", normed, shape.hidden, shape.feed_forward)
        up = self._linear(f"layers.{layer}.up", normed, shape.hidden, shape.feed_forward)
        activated = self.node("Mul", [gate, self.node("Sigmoid", [gate])])
        return self._linear(f"layers.{layer}.down", self.node("Mul", [activated, up]), shape.feed_forward, shape.hidden)

    def _add_and_norm(self, residual: str, added: str, norm: str) -> tuple[str, str]:
        """The normed sum and the sum itself."""
        normed, total = f"{norm}/normed", f"{norm}/sum"
        inputs = [residual, added, self._ones(norm)]
        outputs = [normed, "", "", total]
        self.add_node("SkipSimplifiedLayerNormalization", inputs, outputs, domain=MICROSOFT, epsilon=EPSILON)
        return normed, total

    # Matrix products in each dtype.

    def _linear(self, name: str, value: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        self._matrix(name, inputs, outputs, gain * math.sqrt(3 / inputs))
        return self._product(name, value, inputs, outputs)

    def _product(self, name: str, value: str, inputs: int, outputs: int) -> str:
        from onnx import TensorProto

        if self._dtype in ("q4", "q4f16"):
            names = [value, name, f"{name}_scale"]
            return self.node("MatMulNBits", names, domain=MICROSOFT, K=inputs, N=outputs, bits=4, block_size=BLOCK)
        if self._dtype != "q8":
            return self.node("MatMul", [value, name])
        quantized, scale, zero = (f"{name}/{part}" for part in ("input", "input_scale", "input_zero"))
        self.add_node("DynamicQuantizeLinear", [value], [quantized, scale, zero])
        weight_zero = self._byte("weight_zero", 128)
        product = self.node("MatMulInteger", [quantized, name, zero, weight_zero])
        scales = self.node("Mul", [scale, f"{name}_scale"])
        return self.node("Mul", [self.node("Cast", [product], to=TensorProto.FLOAT), scales])

    def _matrix(self, name: str, inputs: int, outputs: int, reach: float) -> None:
        """Stores weights that are uniform between -`reach` and `reach`, in the layout that `_product` needs."""
        import numpy
        from onnx import TensorProto

        count = inputs * outputs
        if self._dtype in ("q4", "q4f16"):
            if inputs % BLOCK:
                raise RecipeError(f"{name}: {inputs} inputs cannot be cut into blocks of {BLOCK}")
            self._add(
                name, TensorProto.UINT8, (outputs, inputs // BLOCK, BLOCK // 2), self._pairs(name, count), count // 2
            )
            self._store(f"{name}_scale", numpy.full((outputs, inputs // BLOCK), reach / 8, self._numpy_float))
        elif self._dtype == "q8":
            self._add(name, TensorProto.UINT8, (inputs, outputs), self._noise.stream(name, count), count)
            self._store(f"{name}_scale", numpy.full(outputs, reach / 128, numpy.float32))
        else:
            size = count * numpy.dtype(self._numpy_float).itemsize
            tensor = self._weights.add(name, self._float, (inputs, outputs), self._floats(name, count, reach), size)
            self.initializers.append(tensor)

    def _floats(self, name: str, count: int, reach: float) -> Iterator[Any]:
        import numpy

        for part in self._noise.stream(name, count):
            yield ((part.astype(numpy.float32) - 128) * (reach / 128)).astype(self._numpy_float)

    def _pairs(self, name: str, count: int) -> Iterator[Any]:
        """Two 4-bit weights to a byte, from -7 to 7: with -8, all weights together would lean to one side."""
        for part in self._noise.stream(name, count // 2):
            part[part & 0x0F == 0] |= 0x08
            part[part & 0xF0 == 0] |= 0x80
            yield part

    def _add(self, name: str, kind: int, dims: tuple[int, ...], content: Iterator[Any], size: int) -> None:
        self.initializers.append(self._weights.add(name, kind, dims, content, size))

    # Small things.

    def _store(self, name: str, values: Any) -> None:
        """A tensor that is computed, beside the random ones."""
        from onnx import helper

        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        rows = max(1, STREAM_BYTES // max(1, values[:1].nbytes))
        parts = (values[start : start + rows] for start in range(0, len(values), rows))
        self.initializers.append(self._weights.add(name, kind, values.shape, parts, values.nbytes))

    def _ones(self, name: str) -> str:
        import numpy

        return self.array(name, numpy.ones(self._shape.hidden, self._numpy_float))

    def _byte(self, name: str, value: int) -> str:
        import numpy

        return self.array(name, numpy.array(value, numpy.uint8))

    def _scalar(self, name: str, value: float, kind: int | None = None) -> str:
        import numpy
        from onnx import helper

        dtype = self._numpy_float if kind is None else helper.tensor_dtype_to_np_dtype(kind)
        return self.array(name, numpy.array(value, dtype))
