"""What transformers' Gemma says with the very weights of a MediaPipe `.bin`, in float32: an independent reference.

Nobody has written the format's order of values down; this one was found by comparing with the runtime: a matrix of
`inputs` × `outputs` lies in blocks of 4 × 4, the blocks of the first four inputs first, and its integers are stored as
their distance from the smallest one. An RMS norm multiplies by one more than its scale.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from orchestrator.models.recipes.parts.tflite_weights import BITS, Kind, Tensor

BLOCK: Final = 4
ATTENTION: Final = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "post": "o_proj"}
FEED_FORWARD: Final = {"ffn_layer1_gate": "gate_proj", "ffn_layer1": "up_proj", "ffn_layer2": "down_proj"}
BOS: Final = 2


class Dimensions(Protocol):
    """A Gemma's, as far as they shape its weights."""

    @property
    def layers(self) -> int: ...
    @property
    def embedding(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def feed_forward(self) -> int: ...


def greedy_text(
    shape: Dimensions,
    tensors: Sequence[Tensor],
    tokenizer: Path,
    prompt: str,
    tokens: int,
    adapter: Sequence[Tensor] = (),
) -> str:
    """The greedy continuation of a prompt, as the runtime writes it."""
    import torch
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(tokenizer))
    model = _model(shape, {tensor.name: tensor for tensor in tensors}, {tensor.name: tensor for tensor in adapter})
    ids = torch.tensor([[BOS, *pieces.encode(prompt)]])
    with torch.no_grad():
        said = model.generate(ids, max_new_tokens=tokens, do_sample=False, attention_mask=torch.ones_like(ids))
    new = said[0, ids.shape[1] :].tolist()
    return "".join(pieces.id_to_piece(token) for token in new).replace("▁", " ")


def _model(shape: Dimensions, tensors: Mapping[str, Tensor], adapter: Mapping[str, Tensor]) -> Any:
    """In float32, with the tanh of Gemma's GELU, which is the configuration's default."""
    import torch
    from transformers import GemmaConfig, GemmaForCausalLM

    table = _matrix(tensors, "params.lm.softmax.logits_ffn.w", shape.embedding)
    state = {
        "model.embed_tokens.weight": table,
        "lm_head.weight": table,
        "model.norm.weight": _values(tensors["params.lm.final_ln.scale"]),
    }
    for layer in range(shape.layers):
        ours, theirs = f"params.lm.transformer.x_layers_{layer}", f"model.layers.{layer}"
        state[f"{theirs}.input_layernorm.weight"] = _values(tensors[f"{ours}.pre_layer_norm.scale"])
        state[f"{theirs}.post_attention_layernorm.weight"] = _values(tensors[f"{ours}.ff_layer.pre_layer_norm.scale"])
        for name, theirs_name in ATTENTION.items():
            inputs = shape.heads * shape.head if name == "post" else shape.embedding
            matrix = _matrix(tensors, f"{ours}.self_attention.{name}.w", inputs)
            state[f"{theirs}.self_attn.{theirs_name}.weight"] = matrix + _difference(
                adapter, f"{ours}.self_attention.{name}"
            )
        for name, theirs_name in FEED_FORWARD.items():
            inputs = shape.feed_forward if name == "ffn_layer2" else shape.embedding
            state[f"{theirs}.mlp.{theirs_name}.weight"] = _matrix(tensors, f"{ours}.ff_layer.{name}.w", inputs)
    model = GemmaForCausalLM(
        GemmaConfig(
            vocab_size=table.shape[0],
            hidden_size=shape.embedding,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head,
            bos_token_id=BOS,
            eos_token_id=1,
            pad_token_id=0,
        )
    )
    model.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    model.train(False)
    return model


def _matrix(tensors: Mapping[str, Tensor], name: str, inputs: int) -> Any:
    """Dequantized, `outputs` × `inputs`."""
    blocks = _values(tensors[name]).reshape(inputs // BLOCK, -1, BLOCK, BLOCK)
    return blocks.transpose(1, 3, 0, 2).reshape(-1, inputs) * _values(tensors[f"{name}_quantized_scale"])[:, None]


def _difference(adapter: Mapping[str, Tensor], name: str) -> Any:
    """What a LoRA adapter adds to a matrix, `outputs` × `inputs`."""
    if not adapter:
        return 0
    left, right = (adapter[f"{name}.w_prime_{side}"] for side in ("left", "right"))
    return (_values(left).reshape(left.shape) @ _values(right).reshape(right.shape)).T


def _values(tensor: Tensor) -> Any:
    import numpy

    content = b"".join(tensor.blocks())
    if tensor.kind is Kind.FLOAT32:
        return numpy.frombuffer(content, "<f4").copy()
    if tensor.kind is Kind.FLOAT16:
        return numpy.frombuffer(content, "<f2").astype(numpy.float32)
    stored = numpy.frombuffer(content, numpy.uint8)
    if tensor.kind is Kind.INT4:
        # The low half of a byte comes first.
        stored = numpy.stack([stored & 15, stored >> 4], axis=1).ravel()
    return stored.astype(numpy.float32) - 2 ** (BITS[tensor.kind] - 1)
