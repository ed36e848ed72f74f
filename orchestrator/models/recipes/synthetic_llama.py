"""A language model of Llama's architecture in true shape with random weights, for Transformers.js.

The graph has the fused operators of published browser models (GroupQueryAttention, MatMulNBits, dynamic int8), its
weights lie in external data files, and both are written as a stream: memory stays bounded, however large the model.
Embedding and output share one table, as in the models whose shapes these are. Parameters: `layers`, `hidden`, `heads`,
`kv_heads`, `head`, `feed_forward`, `vocabulary`, `context` (longest sequence), `rope_theta`, `dtype`, `seed`, and
`reference` (whether onnxruntime makes reference tokens, which takes the whole model in memory).
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.llama_graph import EPSILON, MICROSOFT, LlamaGraph, Shape
from orchestrator.models.tensors import ExternalWeights, RandomBytes
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

ONNX_FILES: Final = {
    "fp32": "model.onnx",
    "fp16": "model_fp16.onnx",
    "q8": "model_quantized.onnx",
    "q4": "model_q4.onnx",
    "q4f16": "model_q4f16.onnx",
}
"""The file that Transformers.js asks for, by dtype."""
BYTE_VOCABULARY: Final = 256
EOS: Final = BYTE_VOCABULARY
END: Final = "<|end|>"
SPACE: Final = "\u0120"
"""GPT-2's stand-in for the space."""


def build(workshop: Workshop) -> Product:
    shape = Shape(**{name: workshop.number(name) for name in Shape.__dataclass_fields__})
    dtype = workshop.text("dtype")
    if dtype not in ONNX_FILES:
        raise RecipeError(f"recipe.parameters.dtype must be one of {', '.join(ONNX_FILES)}, not {dtype!r}")
    onnx_file = workshop.files / "onnx" / ONNX_FILES[dtype]
    onnx_file.parent.mkdir(parents=True)
    workshop.step(f"writing {shape.parameters / 1e6:.1f} M random weights as {dtype}")
    chunks = write_model(onnx_file, shape, dtype, workshop.number("seed"))
    write_companions(workshop.files, shape, dtype, onnx_file.name, chunks)
    validation = workshop.text_validation()
    tools = versions("onnx", "numpy", "tokenizers")
    if workshop.flag("reference"):
        workshop.step("generating reference tokens with onnxruntime")
        tools |= versions("onnxruntime")
        prompt_ids = list(validation.prompt.encode())
        validation = TextValidation.model_validate(
            {
                **validation.model_dump(),
                "prompt_ids": prompt_ids,
                "reference_ids": generate(onnx_file, prompt_ids, validation.max_tokens),
                "reference_source": f"onnxruntime {tools['onnxruntime']} for Python, CPU, same file, greedy",
            }
        )
    return Product(model_parameters=shape.parameters, validation=validation, tools=tools)


def write_model(onnx_file: Path, shape: Shape, dtype: str, seed: int) -> int:
    """Writes graph and weights; returns the number of external data files."""
    import onnx

    with ExternalWeights(onnx_file) as weights:
        graph = LlamaGraph(shape, dtype, RandomBytes(seed), weights).build()
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid(MICROSOFT, 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="fitmatrix")
    onnx_file.write_bytes(model.SerializeToString())
    return weights.files


def write_companions(folder: Path, shape: Shape, dtype: str, onnx_name: str, chunks: int) -> None:
    """Configuration and tokenizer as Transformers.js expects them: a token for each byte, the rest never occurs."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": EPSILON,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": EOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        "transformers.js_config": {
            "use_external_data_format": {onnx_name: chunks},
            **({"kv_cache_dtype": {dtype: "float16"}} if dtype in ("fp16", "q4f16") else {}),
        },
    }
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda piece: _byte_of()[piece])
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    vocabulary |= {f"{SPACE}w{index}": index for index in range(len(pieces), shape.vocabulary)}
    vocabulary[END] = vocabulary.pop(f"{SPACE}w{EOS}")
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "model_max_length": shape.context,
    }
    generation = {"bos_token_id": EOS, "eos_token_id": EOS, "pad_token_id": EOS}
    for name, content in (
        ("config.json", config),
        ("tokenizer_config.json", settings),
        ("generation_config.json", generation),
    ):
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _byte_of() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte: itself where it is printable, else one from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    stand_ins = {chr(byte): byte for byte in printable}
    hidden = (byte for byte in range(BYTE_VOCABULARY) if byte not in printable)
    return stand_ins | {chr(BYTE_VOCABULARY + index): byte for index, byte in enumerate(hidden)}


def generate(onnx_file: Path, prompt_ids: list[int], count: int) -> list[int]:
    """Greedy continuation by a plain loop over the graph with its KV cache."""
    import numpy
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    cache_inputs = [one for one in session.get_inputs() if one.name.startswith("past_key_values.")]
    feeds: dict[str, Any] = {
        one.name: numpy.zeros(
            (1, one.shape[1], 0, one.shape[3]), numpy.float16 if "float16" in one.type else numpy.float32
        )
        for one in cache_inputs
    }
    outputs = ["logits", *(one.name.replace("past_key_values.", "present.") for one in cache_inputs)]
    feeds["input_ids"] = numpy.array([prompt_ids], dtype=numpy.int64)
    tokens: list[int] = []
    while len(tokens) < count:
        feeds["attention_mask"] = numpy.ones((1, len(prompt_ids) + len(tokens)), dtype=numpy.int64)
        logits, *cache = session.run(outputs, feeds)
        tokens.append(int(logits[0, -1].argmax()))
        if tokens[-1] == EOS:
            break
        feeds.update(zip((one.name for one in cache_inputs), cache, strict=True))
        feeds["input_ids"] = numpy.array([[tokens[-1]]], dtype=numpy.int64)
    return tokens


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
