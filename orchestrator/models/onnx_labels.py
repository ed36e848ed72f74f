"""Reference labels: what a classifier in ONNX says of texts, by onnxruntime on the CPU."""

import json
from pathlib import Path
from typing import Any

from orchestrator.contract.catalog import LabelScore


def classify(onnx_file: Path, folder: Path, texts: list[str]) -> list[list[LabelScore]]:
    """For each text every label with its probability, best first.

    The folder has `tokenizer.json` and `config.json`, whose `id2label` names the classes.
    """
    import numpy
    import onnxruntime
    from tokenizers import Tokenizer

    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    labels: dict[str, str] = config["id2label"]
    references = []
    for text in texts:
        encoding = tokenizer.encode(text)
        feeds = {
            "input_ids": numpy.array([encoding.ids], dtype=numpy.int64),
            "attention_mask": numpy.array([encoding.attention_mask], dtype=numpy.int64),
            "token_type_ids": numpy.array([encoding.type_ids], dtype=numpy.int64),
        }
        (logits,) = session.run(["logits"], {name: feed for name, feed in feeds.items() if name in wanted})
        exponents = numpy.exp(logits[0].astype(numpy.float64) - logits[0].max())
        scores = [float(score) for score in exponents / exponents.sum()]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        references.append([LabelScore(label=labels[str(index)], score=scores[index]) for index in order])
    return references
