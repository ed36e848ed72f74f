"""Changes to a language model's ONNX graph: what Transformers.js and its kernels need, and smaller weights.

The graph is the one that onnxruntime-genai's model builder exports in float32 with shared embeddings: a single table
`[width, words]`, which the last MatMul multiplies with and which the first nodes read tokens from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CACHE_WIDTH: Final = "kv_cache_dim"
"""The builder's name for the last dimension of the KV cache, which is the head's size."""
BLOCK: Final = 32
"""Weights that share a scale, along the dimension that is summed over."""
DOMAIN: Final = "com.microsoft"
REFINED: Final = ("down_proj", "lm_head")
"""Weights for which int8 activations are too coarse: of what dynamic int8 costs SmolLM2-135M-Instruct (0.0135 nats,
Kullback-Leibler, over six prompts), a half comes from the former and a quarter from the latter. Refining both leaves
0.0065 nats, and 98 of 100 tokens agree with float32 instead of 94.
"""


@dataclass(frozen=True)
class TokenTable:
    """The weights that the input's embedding and the output's MatMul share."""

    weight: str
    """Name of the initializer, `[width, words]`."""
    embedded: str
    """Name of the value that the embedding makes: `[batch, sequence, width]`."""


def fix_cache_width(model: Any, head: int) -> None:
    """Writes the head's size into the KV cache's shape: Transformers.js takes an unknown dimension for 0."""
    for value in [*model.graph.input, *model.graph.output]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == CACHE_WIDTH:
                dimension.dim_value = head


def cut_embedding(model: Any) -> TokenTable:
    """Takes the nodes that read a token's row away. What they made has no source then."""
    graph = model.graph
    (gather,) = (node for node in graph.node if node.op_type == "Gather" and node.input[1] == "input_ids")
    (transpose,) = (node for node in graph.node if gather.input[0] in node.output)
    graph.node.remove(gather)
    graph.node.remove(transpose)
    return TokenTable(weight=transpose.input[0], embedded=gather.output[0])


def embed_float(model: Any, table: TokenTable) -> None:
    """Reads tokens from the columns of the table, where a transposed copy would take its size once more."""
    from onnx import helper

    _prepend(
        model,
        [
            helper.make_node("Gather", [table.weight, "input_ids"], ["token_columns"], axis=1),
            helper.make_node("Transpose", ["token_columns"], [table.embedded], perm=[1, 2, 0]),
        ],
    )


def quantize_int8(model: Any, target: Path, scratch: Path) -> None:
    """Writes the model with dynamic int8: MatMulInteger, one scale per output channel, the token table shared.

    Weights are unsigned: signed ones saturate on x86 processors without VNNI, so that results would depend on the
    machine.
    """
    import onnx
    from onnx import TensorProto, helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    table = cut_embedding(model)
    scale_tokens(model)
    refine_activations(model, REFINED)
    # A stand-in for what was cut: the quantizer wants every value to come from somewhere.
    model.graph.input.append(helper.make_tensor_value_info(table.embedded, TensorProto.FLOAT, ["b", "s", "w"]))
    prepared = scratch / "prepared.onnx"
    onnx.save(model, prepared, save_as_external_data=True, location="prepared.data")
    quantize_dynamic(
        prepared,
        target,
        weight_type=QuantType.QUInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
    )
    quantized = onnx.load(target)
    (stand_in,) = (value for value in quantized.graph.input if value.name == table.embedded)
    quantized.graph.input.remove(stand_in)
    embed_int8(quantized, table)
    onnx.save(quantized, target)


def scale_tokens(model: Any) -> None:
    """Divides each token's activations by their largest before a MatMul, and multiplies after it.

    Dynamic int8 gives one scale to the activations of all tokens together, and the first token of a text is a
    thousand times larger in some channels than the others are.
    """
    import numpy
    from onnx import helper

    _add(model, "channel_axis", numpy.array([-1]))
    _add(model, "least_scale", numpy.array(1e-9, dtype=numpy.float32))
    constants = {tensor.name for tensor in model.graph.initializer}
    nodes: list[Any] = []
    scaled: set[str] = set()
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "MatMul" or node.input[1] not in constants:
            continue
        x, output = node.input[0], node.output[0]
        if x not in scaled:
            scaled.add(x)
            nodes[-1:-1] = [
                helper.make_node("Abs", [x], [f"{x}/sizes"]),
                helper.make_node("ReduceMax", [f"{x}/sizes", "channel_axis"], [f"{x}/largest"], keepdims=1),
                helper.make_node("Max", [f"{x}/largest", "least_scale"], [f"{x}/scale"]),
                helper.make_node("Div", [x, f"{x}/scale"], [f"{x}/scaled"]),
            ]
        node.input[0] = f"{x}/scaled"
        node.output[0] = f"{output}/scaled"
        nodes.append(helper.make_node("Mul", [node.output[0], f"{x}/scale"], [output]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def refine_activations(model: Any, weights: Sequence[str]) -> None:
    """Multiplies what int8 loses of the activations as well, for the weights whose names have one of these in them.

    The activations become a sum of two int8 values instead of one: a second product, of the rounding error, and no
    second copy of the weights.
    """
    from onnx import helper

    nodes: list[Any] = []
    split: set[str] = set()
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type != "MatMul" or not any(part in node.input[1] for part in weights):
            continue
        (x, weight), output = node.input, node.output[0]
        if x not in split:
            split.add(x)
            quantized = [f"{x}/int8", f"{x}/int8_scale", f"{x}/int8_zero"]
            nodes[-1:-1] = [
                helper.make_node("DynamicQuantizeLinear", [x], quantized),
                helper.make_node("DequantizeLinear", quantized, [f"{x}/rounded"]),
                helper.make_node("Sub", [x, f"{x}/rounded"], [f"{x}/lost"]),
            ]
        node.input[0] = f"{x}/rounded"
        node.output[0] = f"{output}/rounded"
        nodes += [
            helper.make_node("MatMul", [f"{x}/lost", weight], [f"{output}/lost"]),
            helper.make_node("Add", [node.output[0], f"{output}/lost"], [output]),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def embed_int8(model: Any, table: TokenTable) -> None:
    """Reads tokens from a table that onnxruntime's quantizer has made int8, a scale and a zero point per token."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Gather", [f"{table.weight}_quantized", "input_ids"], ["token_columns_int8"], axis=1),
        helper.make_node("Cast", ["token_columns_int8"], ["token_columns"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table.weight}_zero_point", "input_ids"], ["token_zeros_int8"]),
        helper.make_node("Cast", ["token_zeros_int8"], ["token_zeros"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table.weight}_scale", "input_ids"], ["token_scales"]),
        helper.make_node("Sub", ["token_columns", "token_zeros"], ["token_steps"]),
        helper.make_node("Mul", ["token_steps", "token_scales"], ["token_values"]),
        helper.make_node("Transpose", ["token_values"], [table.embedded], perm=[1, 2, 0]),
    ]
    _prepend(model, nodes)


def quantize_int4(model: Any) -> None:
    """Makes every MatMul's weights int4 in blocks, and the token table int8 in blocks; activations stay float32.

    A block is scale · (step − 8) + offset, as in GGUF's Q4_1, which this reproduces exactly. MatMulNBits of WebGPU
    has no such offset, only whole steps (which lose more than the quantization of SmolLM2 itself did): the offsets
    are multiplied with each block's sum of activations instead, which comes to the same.
    """
    table = cut_embedding(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    summed: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            nodes.append(node)
        elif node.input[1] == table.weight:
            nodes += _output_in_int8(model, node, weights[table.weight])
        else:
            nodes += _product_in_int4(model, node, weights[node.input[1]], summed)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _embed_blocks(model, table)
    if all(one.domain != DOMAIN for one in model.opset_import):
        model.opset_import.add(domain=DOMAIN, version=1)


def _product_in_int4(model: Any, node: Any, stored: Any, summed: dict[str, str]) -> list[Any]:
    """The nodes of x · W; `summed` remembers whose block sums there are already."""
    import numpy
    from onnx import helper, numpy_helper

    x, name = node.input
    blocks = _blocks_of(numpy_helper.to_array(stored))
    low, high = blocks.min(axis=-1), blocks.max(axis=-1)
    scale = numpy.where(high > low, (high - low) / 15, 1).astype(numpy.float32)
    steps = numpy.round((blocks - low[..., None]) / scale[..., None]).clip(0, 15).astype(numpy.uint8)
    # Two weights in a byte, the first one in its lower half.
    _replace(model, stored, f"{name}_int4", steps[..., 0::2] | steps[..., 1::2] << 4)
    _add(model, f"{name}_scale", scale)
    _add(model, f"{name}_offset", (low + 8 * scale).T.astype(numpy.float32))
    made: list[Any] = []
    if x not in summed:
        summed[x] = f"{x}/block_sums"
        if not any(one.name == "block_axis" for one in model.graph.initializer):
            model.graph.initializer.append(numpy_helper.from_array(numpy.array([-1]), "block_axis"))
        shape = f"block_shape_{blocks.shape[1]}"
        if not any(one.name == shape for one in model.graph.initializer):
            _add(model, shape, numpy.array([0, 0, blocks.shape[1], BLOCK]))
        made += [
            helper.make_node("Reshape", [x, shape], [f"{x}/blocks"]),
            helper.make_node("ReduceSum", [f"{x}/blocks", "block_axis"], [summed[x]], keepdims=0),
        ]
    output = node.output[0]
    made += [
        _matmul_nbits([x, f"{name}_int4", f"{name}_scale"], f"{output}/steps", blocks.shape, bits=4),
        helper.make_node("MatMul", [summed[x], f"{name}_offset"], [f"{output}/offset"]),
        helper.make_node("Add", [f"{output}/steps", f"{output}/offset"], [output]),
    ]
    return made


def _output_in_int8(model: Any, node: Any, stored: Any) -> list[Any]:
    """The nodes of x · W for the token table, whose blocks are symmetric: scale · (step − 128), as in GGUF's Q8_0."""
    import numpy
    from onnx import numpy_helper

    name = stored.name
    blocks = _blocks_of(numpy_helper.to_array(stored))
    scale = (numpy.abs(blocks).max(axis=-1).clip(min=1e-9) / 127).astype(numpy.float32)
    steps = numpy.round(blocks / scale[..., None]).clip(-127, 127).astype(numpy.int16) + 128
    _replace(model, stored, f"{name}_int8", steps.astype(numpy.uint8))
    _add(model, f"{name}_scale", scale)
    return [_matmul_nbits([node.input[0], f"{name}_int8", f"{name}_scale"], node.output[0], blocks.shape, bits=8)]


def _embed_blocks(model: Any, table: TokenTable) -> None:
    """Reads tokens from the rows of the table in int8 blocks. GatherBlockQuantized would, but WASM has none."""
    import numpy
    from onnx import TensorProto, helper

    _add(model, "token_middle", numpy.array(128, dtype=numpy.float32))
    _add(model, "token_axis", numpy.array([-1]))
    _add(model, "token_shape", numpy.array([0, 0, -1]))
    nodes = [
        helper.make_node("Gather", [f"{table.weight}_int8", "input_ids"], ["token_int8"]),
        helper.make_node("Cast", ["token_int8"], ["token_steps"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["token_steps", "token_middle"], ["token_centred"]),
        helper.make_node("Gather", [f"{table.weight}_scale", "input_ids"], ["token_scales"]),
        helper.make_node("Unsqueeze", ["token_scales", "token_axis"], ["token_scales_of_blocks"]),
        helper.make_node("Mul", ["token_centred", "token_scales_of_blocks"], ["token_blocks"]),
        helper.make_node("Reshape", ["token_blocks", "token_shape"], [table.embedded]),
    ]
    _prepend(model, nodes)


def _blocks_of(weight: Any) -> Any:
    """`[inputs, outputs]` as `[outputs, blocks, BLOCK]`."""
    inputs, outputs = weight.shape
    if inputs % BLOCK:
        raise ValueError(f"{inputs} weights do not make whole blocks of {BLOCK}")
    return weight.T.reshape(outputs, inputs // BLOCK, BLOCK)


def _matmul_nbits(inputs: list[str], output: str, shape: tuple[int, int, int], bits: int) -> Any:
    from onnx import helper

    outputs, blocks, _ = shape
    return helper.make_node(
        "MatMulNBits", inputs, [output], domain=DOMAIN, K=blocks * BLOCK, N=outputs, bits=bits, block_size=BLOCK
    )


def _add(model: Any, name: str, array: Any) -> None:
    import numpy
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(numpy.ascontiguousarray(array), name))


def _replace(model: Any, stored: Any, name: str, array: Any) -> None:
    model.graph.initializer.remove(stored)
    _add(model, name, array)


def _prepend(model: Any, nodes: list[Any]) -> None:
    """Puts nodes before all others: they need the graph's inputs alone."""
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
