"""A Gemma-type `.bin` for MediaPipe's LLM Inference, with random weights of a fixed seed, and an adapter for it.

Parameters: `path`, `seed`, `tokenizer` (a SentencePiece model among the fixtures), the transformer's dimensions
(`layers`, `embedding`, `heads`, `kv_heads`, `head`, `feed_forward`, and `vocabulary` where it is larger than the
tokenizer's), `bits` of a weight (8 or 4) and `attention_bits` where the attention's are others. `lora_path` and
`lora_rank` add a LoRA adapter for the attention's matrices, `lora_seed` its seed. Where `path` is a `.litertlm`, the
`.bin` lies in such a container, for LiteRT-LM's `GPU_ARTISAN`, with room for `context_tokens`.

The same parameters give the same bytes on every machine, written in bounded memory whatever the size. Where the
question sets `min_agreement`, the model is small enough for a reference text of transformers' Gemma.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.definition import FIXTURE_DIRECTORY, TextQuestion
from orchestrator.models.recipes.parts.gemma_reference import greedy_text
from orchestrator.models.recipes.parts.litertlm import wrap_artisan_model
from orchestrator.models.recipes.parts.tflite_weights import BITS, Kind, Metadata, Tensor, floats, write_weights
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

GEMMA_2B: Final = 6
"""`odml.infra.proto.LLM_MODEL_TYPE_GEMMA_2B`."""
MATRIX_KINDS: Final = {8: Kind.INT8, 4: Kind.INT4}
LARGEST: Final = {Kind.INT8: 127, Kind.INT4: 7}
"""Of a symmetric integer."""
WEIGHT_RANGE: Final = 0.3
LOGIT_RANGE: Final = 0.5
QUIET: Final = 0.01
"""Output scale of pieces that must not be generated: control, byte and very short ones."""
SHORTEST_PIECE: Final = 4
BLOCK_BYTES: Final = 1 << 22
CHAT_TEMPLATE: Final = (
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)

# Integers are stored as their distance from the smallest one, which symmetric integers do not use.
_SYMMETRIC: Final = {
    Kind.INT8: bytes(byte or 1 for byte in range(256)),
    Kind.INT4: bytes((byte & 0xF0 or 0x10) | (byte & 0xF or 1) for byte in range(256)),
}


@dataclass(frozen=True)
class Shape:
    layers: int
    embedding: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int


@dataclass(frozen=True)
class Precision:
    """How the matrices are kept."""

    attention: Kind
    rest: Kind


def build(workshop: Workshop) -> Product:
    shape = Shape(**{field.name: workshop.number(field.name) for field in fields(Shape)})
    tokenizer = FIXTURE_DIRECTORY / workshop.text("tokenizer")
    said = workshop.order.parameters
    loudness = piece_loudness(tokenizer)
    pieces = tokenizer.read_bytes()
    if "vocabulary" in said:
        spare = workshop.number("vocabulary") - len(loudness)
        loudness += [QUIET] * spare
        pieces += spare_pieces(spare)
    rest = _kind(workshop, "bits")
    precision = Precision(_kind(workshop, "attention_bits") if "attention_bits" in said else rest, rest)

    workshop.step("writing random weights")
    tensors = weights(shape, loudness, workshop.number("seed"), precision)
    target = workshop.files / workshop.text("path")
    wrapped = target.suffix == ".litertlm"
    file = workshop.scratch / "weights.bin" if wrapped else target
    write_weights(file, base_metadata(shape, len(loudness), pieces), tensors)
    if wrapped:
        wrap_artisan_model(file, pieces, llm_metadata(workshop.number("context_tokens")), target)
    adapter: list[Tensor] = []
    if "lora_path" in said:
        workshop.step("writing a random adapter")
        rank = workshop.number("lora_rank")
        adapter = adapter_tensors(shape, rank, workshop.number("lora_seed"))
        write_weights(
            workshop.files / workshop.text("lora_path"), adapter_metadata(shape, len(loudness), rank), adapter
        )

    validation = workshop.text_validation()
    tools = versions("flatbuffers", "sentencepiece")
    if isinstance(workshop.order.question, TextQuestion) and workshop.order.question.min_agreement is not None:
        workshop.step("generating the reference text with transformers")
        tools |= versions("torch", "transformers")
        prompt = as_turn(validation.prompt) if wrapped else validation.prompt
        reference = greedy_text(shape, tensors, tokenizer, prompt, validation.max_tokens, adapter)
        source = (
            f"transformers {tools['transformers']}, GemmaForCausalLM in float32 with the dequantized weights, greedy"
        )
        validation = TextValidation.model_validate(
            {**validation.model_dump(), "reference_text": reference, "reference_source": source}
        )
    return Product(model_parameters=parameters_of(tensors), validation=validation, tools=tools)


def parameters_of(tensors: list[Tensor]) -> int:
    """The number of weights, quantization scales not counted."""
    return sum(tensor.elements for tensor in tensors if not tensor.name.endswith("_quantized_scale"))


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


def spare_pieces(count: int) -> bytes:
    """More of a SentencePiece model's pieces, to be written behind it: never found in a text, but each has a name.

    The runtime stops for good at an id without a piece.
    """
    unused = 5
    return b"".join(
        _message(1, _message(1, f"<unused{number}>".encode()) + _integer(3, unused)) for number in range(count)
    )


def weights(shape: Shape, loudness: list[float], seed: int, precision: Precision) -> list[Tensor]:
    """Every tensor the runtime asks for, by its names; matrices have a float32 scale per output channel.

    They lie in the order in which the runtime reads them: of a stream it has to keep all that lies before what it
    waits for, so that in another order the whole file would pile up in the browser's memory.
    """
    tensors: list[Tensor] = []

    def norm(name: str) -> None:
        tensors.append(floats(name, [1.0] * shape.embedding))

    def matrix(name: str, kind: Kind, dimensions: tuple[int, int], scales: list[float]) -> None:
        tensors.append(floats(f"{name}_quantized_scale", scales))
        tensors.append(Tensor(name, kind, dimensions, integers(f"{seed} {name}", kind, dimensions)))

    def layer_matrix(name: str, kind: Kind, dimensions: tuple[int, int], channels: int) -> None:
        noise = hashlib.shake_128(f"{seed} {name} scale".encode()).digest(channels)
        matrix(name, kind, dimensions, [WEIGHT_RANGE / LARGEST[kind] * (0.5 + byte / 255) for byte in noise])

    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    width, inner = shape.embedding, shape.feed_forward
    # Gemma ties its embedding table to this one.
    loudest = LOGIT_RANGE / LARGEST[precision.rest]
    logits = (width, len(loudness))
    matrix("params.lm.softmax.logits_ffn.w", precision.rest, logits, [loudest * loud for loud in loudness])
    # Of this one the scales are read after the weights.
    tensors.reverse()
    for layer in range(shape.layers):
        prefix = _layer(layer)
        norm(f"{prefix}.pre_layer_norm.scale")
        for name, channels in (("q", queries), ("k", keys), ("v", keys)):
            layer_matrix(f"{prefix}.self_attention.{name}.w", precision.attention, (width, channels), channels)
        layer_matrix(f"{prefix}.self_attention.post.w", precision.attention, (width, queries), width)
        norm(f"{prefix}.ff_layer.pre_layer_norm.scale")
        layer_matrix(f"{prefix}.ff_layer.ffn_layer1_gate.w", precision.rest, (width, inner), inner)
        layer_matrix(f"{prefix}.ff_layer.ffn_layer1.w", precision.rest, (width, inner), inner)
        layer_matrix(f"{prefix}.ff_layer.ffn_layer2.w", precision.rest, (inner, width), width)
    norm("params.lm.final_ln.scale")
    return tensors


def integers(key: str, kind: Kind, dimensions: tuple[int, int]) -> Callable[[], Iterator[bytes]]:
    """Noise of a key, in blocks."""
    size = dimensions[0] * dimensions[1] * BITS[kind] // 8

    def blocks() -> Iterator[bytes]:
        for start in range(0, size, BLOCK_BYTES):
            block = f"{key} from {start}" if start > 0 else key
            noise = hashlib.shake_128(block.encode()).digest(min(BLOCK_BYTES, size - start))
            yield noise.translate(_SYMMETRIC[kind])

    return blocks


def adapter_tensors(shape: Shape, rank: int, seed: int) -> list[Tensor]:
    """Two float16 matrices for each of the attention's, whose product is added to it."""
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    tensors: list[Tensor] = []
    for layer in range(shape.layers):
        for name, channels in (("q", queries), ("k", keys), ("v", keys), ("post", queries)):
            matrix = f"{_layer(layer)}.self_attention.{name}"
            for side, dimensions in (("left", (shape.embedding, rank)), ("right", (rank, channels))):
                side_name = f"{matrix}.w_prime_{side}"
                tensors.append(Tensor(side_name, Kind.FLOAT16, dimensions, halves(f"{seed} {side_name}", dimensions)))
    return tensors


def halves(key: str, dimensions: tuple[int, int]) -> Callable[[], Iterator[bytes]]:
    """Noise of a key as float16, evenly spread over what matrices of integers hold."""
    import numpy

    def blocks() -> Iterator[bytes]:
        noise = numpy.frombuffer(hashlib.shake_128(key.encode()).digest(dimensions[0] * dimensions[1]), numpy.int8)
        yield (noise / 127 * WEIGHT_RANGE).astype("<f2").tobytes()

    return blocks


def base_metadata(shape: Shape, vocabulary: int, tokenizer: bytes) -> Metadata:
    return {
        "odml.infra.proto.LlmParameters": llm_parameters(shape, vocabulary),
        "backend": b"gpu",
        "spm_vocab_model": tokenizer,
        "odml.infra.LlmModelType": GEMMA_2B,
    }


def adapter_metadata(shape: Shape, vocabulary: int, rank: int) -> Metadata:
    return {
        "odml.infra.proto.LlmParameters": llm_parameters(shape, vocabulary),
        "backend": b"gpu",
        "lora_rank": rank,
        "odml.infra.LlmModelType": GEMMA_2B,
    }


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


def as_turn(text: str) -> str:
    """What `CHAT_TEMPLATE` makes of one question."""
    return f"<start_of_turn>user\n{text}<end_of_turn>\n<start_of_turn>model\n"


def llm_metadata(context_tokens: int) -> bytes:
    """`litert.lm.proto.LlmMetadata`, by the field numbers of LiteRT-LM's llm_metadata.proto."""
    bos, eos = 2, 1
    return (
        _message(1, _token(bos))
        + _message(2, _token(eos))
        + _integer(5, context_tokens)
        + _message(6, _message(4, b""))  # of Gemma 3's kind: its turns are what the template writes
        + _message(7, CHAT_TEMPLATE.encode())
    )


def _token(number: int) -> bytes:
    return _message(1, _message(1, _varint(number)))


def _kind(workshop: Workshop, parameter: str) -> Kind:
    bits = workshop.number(parameter)
    if bits not in MATRIX_KINDS:
        raise RecipeError(f"recipe.parameters.{parameter} must be 8 or 4, not {bits}")
    return MATRIX_KINDS[bits]


def _layer(number: int) -> str:
    return f"params.lm.transformer.x_layers_{number}"


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


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
