"""A tiny text classifier or embedder for MediaPipe's text tasks, made from nothing but a seed.

The network adds up one vector for each word of a text. As an embedder that sum is the answer, and the vectors are
random; as a classifier a linear layer and a softmax follow, trained here on made-up sentences. The file is a TFLite
flatbuffer with MediaPipe's metadata, and vocabulary and labels in a zip at its end, as published task models have
them. Parameters: `path`, `seed`, `tokens` (a longer text is cut), `width` of a word's vector. What the catalog asks
decides what is made: labels or embeddings.
"""

import re
import struct
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.contract.catalog import EmbeddingValidation, LabelScore, LabelValidation
from orchestrator.models.definition import LabelQuestion
from orchestrator.models.workshop import Product, Workshop, run_recipe, versions

DELIMITER: Final = r"[^\w\']+"
SPECIAL: Final = ("<PAD>", "<START>", "<UNKNOWN>")
POSITIVE: Final = "good great excellent fast happy love nice wonderful smooth reliable"
NEGATIVE: Final = "bad awful slow crash broken hate poor terrible laggy error"
NEUTRAL: Final = (
    "the a phone model page test it was is very this on device run and river mill bridge people town evening talk "
    "harvest weather price bread children bank miller numbers book bell tower everybody walks home road trees of in "
    "to from under along when"
)
VOCABULARY: Final = [*SPECIAL, *POSITIVE.split(), *NEGATIVE.split(), *NEUTRAL.split()]
LABELS: Final = ("negative", "positive")

SENTENCES, STEPS, STEP_SIZE = 2_048, 400, 0.5

FLOAT32, INT32 = 0, 2
"""`tflite.TensorType`."""
FULLY_CONNECTED, SOFTMAX, GATHER, SUM = 9, 25, 36, 74
"""`tflite.BuiltinOperator`."""
OPTIONS: Final = {FULLY_CONNECTED: 8, SOFTMAX: 9, GATHER: 23, SUM: 27}
"""Their members of `tflite.BuiltinOptions`."""
SCHEMA_VERSION: Final = 3
REGEX_TOKENIZER, FEATURE = 6, 1
"""Of the metadata's unions `ProcessUnitOptions` and `ContentProperties`."""
AXIS_LABELS, VOCABULARY_FILE = 2, 5
"""`tflite.AssociatedFileType`."""
METADATA_PARSER: Final = "1.2.1"


@dataclass(frozen=True)
class Tensor:
    name: str
    type: int
    shape: tuple[int, ...]
    content: bytes = b""
    """Of a constant."""


@dataclass(frozen=True)
class Operator:
    code: int
    inputs: tuple[int, ...]
    output: int
    option: tuple[int, str, float] | None = None
    """Slot, type and value of the one option that is not its default."""


@dataclass(frozen=True)
class Network:
    """float32 throughout."""

    table: Any
    """Words × width."""
    weights: Any = None
    """Labels × width; None in an embedder."""
    bias: Any = None

    @property
    def parameters(self) -> int:
        return sum(int(array.size) for array in (self.table, self.weights, self.bias) if array is not None)


def build(workshop: Workshop) -> Product:
    tokens, width, seed = (workshop.number(name) for name in ("tokens", "width", "seed"))
    file = workshop.files / workshop.text("path")
    tools = versions("flatbuffers", "numpy")
    source = f"numpy {tools['numpy']}, same weights"
    if isinstance(workshop.order.question, LabelQuestion):
        question = workshop.label_question()
        workshop.step("training on made-up sentences")
        network = train(seed, width)
        write_model(file, network, tokens)
        labels = [classify(network, text, tokens) for text in question.texts]
        validation = LabelValidation.model_validate(
            {**question.model_dump(), "reference": labels, "reference_source": source}
        )
        return Product(model_parameters=network.parameters, validation=validation, tools=tools)
    texts = workshop.embedding_question()
    workshop.step("drawing random vectors")
    network = draw(seed, width)
    write_model(file, network, tokens)
    vectors = [[float(value) for value in embed(network, text, tokens)] for text in texts.texts]
    return Product(
        model_parameters=network.parameters,
        validation=EmbeddingValidation.model_validate(
            {**texts.model_dump(), "reference": vectors, "reference_source": source}
        ),
        tools=tools,
    )


def draw(seed: int, width: int) -> Network:
    import numpy

    table = numpy.random.default_rng(seed).normal(size=(len(VOCABULARY), width)).astype(numpy.float32)
    # What fills the sequence up must not count.
    table[: SPECIAL.index("<UNKNOWN>")] = 0
    return Network(table)


def train(seed: int, width: int) -> Network:
    """Gradient descent over sentences of a few telling words among neutral ones."""
    import numpy

    chance = numpy.random.default_rng(seed)
    counts = numpy.zeros((SENTENCES, len(VOCABULARY)))
    positive = chance.random(SENTENCES) < 0.5
    for row, is_positive in zip(counts, positive, strict=True):
        telling = chance.choice((POSITIVE if is_positive else NEGATIVE).split(), chance.integers(1, 4))
        for word in [*telling, *chance.choice(NEUTRAL.split(), chance.integers(0, 9))]:
            row[VOCABULARY.index(word)] += 1
    wanted = numpy.stack([~positive, positive], axis=1).astype(float)
    table = chance.normal(scale=0.1, size=(len(VOCABULARY), width))
    table[: len(SPECIAL)] = 0
    weights = chance.normal(scale=0.1, size=(len(LABELS), width))
    bias = numpy.zeros(len(LABELS))
    for _ in range(STEPS):
        sums = counts @ table
        error = (softmax(sums @ weights.T + bias) - wanted) / SENTENCES
        by_table, by_weights = counts.T @ (error @ weights), error.T @ sums
        table -= STEP_SIZE * by_table
        weights -= STEP_SIZE * by_weights
        bias -= STEP_SIZE * error.sum(axis=0)
    return Network(*(array.astype(numpy.float32) for array in (table, weights, bias)))


def softmax(logits: Any) -> Any:
    import numpy

    raised = numpy.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def word_ids(text: str, tokens: int) -> list[int]:
    """As MediaPipe's regex tokenizer numbers a text's words, without the padding; a capital makes another word."""
    known = {word: number for number, word in enumerate(VOCABULARY)}
    words = [word for word in re.split(DELIMITER, text) if word]
    ids = [known["<START>"], *(known.get(word, known["<UNKNOWN>"]) for word in words)]
    return ids[:tokens]


def embed(network: Network, text: str, tokens: int) -> Any:
    return network.table[word_ids(text, tokens)].sum(axis=0)


def classify(network: Network, text: str, tokens: int) -> list[LabelScore]:
    """Best first."""
    scores = softmax(network.weights @ embed(network, text, tokens) + network.bias)
    pairs = zip(LABELS, scores, strict=True)
    return sorted((LabelScore(label=label, score=float(score)) for label, score in pairs), key=lambda one: -one.score)


def write_model(file: Path, network: Network, tokens: int) -> None:
    """The flatbuffer, and behind it the files that its metadata names."""
    width = network.table.shape[1]
    tensors = [
        Tensor("ids", INT32, (1, tokens)),
        Tensor("table", FLOAT32, network.table.shape, network.table.tobytes()),
        Tensor("axis", INT32, (1,), struct.pack("<i", 1)),
        Tensor("vectors", FLOAT32, (1, tokens, width)),
        Tensor("sum", FLOAT32, (1, width)),
    ]
    operators = [Operator(GATHER, (1, 0), 3), Operator(SUM, (3, 2), 4)]
    attached = {"vocab.txt": "".join(f"{word} {number}\n" for number, word in enumerate(VOCABULARY))}
    if network.weights is not None:
        tensors += [
            Tensor("weights", FLOAT32, network.weights.shape, network.weights.tobytes()),
            Tensor("bias", FLOAT32, network.bias.shape, network.bias.tobytes()),
            Tensor("logits", FLOAT32, (1, len(LABELS))),
            Tensor("scores", FLOAT32, (1, len(LABELS))),
        ]
        operators += [Operator(FULLY_CONNECTED, (4, 5, 6), 7), Operator(SOFTMAX, (7,), 8, (0, "Float32", 1.0))]
        attached["labels.txt"] = "".join(f"{label}\n" for label in LABELS)
    output = operators[-1].output
    file.write_bytes(
        tflite_model(tensors, operators, output, task_metadata(tensors[output].name, "labels.txt" in attached))
    )
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in attached.items():
            archive.writestr(zipfile.ZipInfo(name), content)


class Flatbuffer:
    """Writes tables by their schema's field numbers."""

    def __init__(self) -> None:
        from flatbuffers import Builder

        self._builder = Builder(4096)

    def table(self, *fields: tuple[int, str, Any]) -> int:
        """`fields`: slot, type (`Offset` for whatever was written before) and value."""
        builder = self._builder
        builder.StartObject(max((slot for slot, _, _ in fields), default=-1) + 1)
        for slot, kind, value in fields:
            if kind == "Offset":
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                getattr(builder, f"Prepend{kind}")(value)
                builder.Slot(slot)
        return int(builder.EndObject())

    def text(self, value: str) -> int:
        return int(self._builder.CreateString(value))

    def content(self, value: bytes) -> int:
        """A vector of bytes, aligned as TFLite wants a buffer."""
        self._builder.StartVector(1, len(value), 16)
        self._builder.head -= len(value)
        self._builder.Bytes[self._builder.head : self._builder.head + len(value)] = value
        return int(self._builder.EndVector())

    def integers(self, values: Sequence[int]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependInt32(value)
        return int(self._builder.EndVector())

    def tables(self, *offsets: int) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def finish(self, root: int, identifier: str) -> bytes:
        self._builder.Finish(root, file_identifier=identifier.encode())
        return bytes(self._builder.Output())


def tflite_model(tensors: list[Tensor], operators: list[Operator], output: int, metadata: bytes) -> bytes:
    """A `tflite.Model`; slots are the field numbers of TFLite's schema.fbs."""
    buffer = Flatbuffer()
    # By convention the first buffer is empty, and belongs to every tensor without content.
    contents = [b"", *(tensor.content for tensor in tensors if tensor.content), metadata]
    buffers = buffer.tables(
        *[buffer.table((0, "Offset", buffer.content(one))) if one else buffer.table() for one in contents]
    )
    constants = [tensor.name for tensor in tensors if tensor.content]
    places = {name: number for number, name in enumerate(constants, start=1)}
    written = [
        buffer.table(
            (3, "Offset", buffer.text(tensor.name)),
            (2, "Uint32", places.get(tensor.name, 0)),
            (1, "Int8", tensor.type),
            (0, "Offset", buffer.integers(tensor.shape)),
        )
        for tensor in tensors
    ]
    codes = [operator.code for operator in operators]
    steps = [
        buffer.table(
            (4, "Offset", buffer.table(*([operator.option] if operator.option else []))),
            (3, "Uint8", OPTIONS[operator.code]),
            (2, "Offset", buffer.integers([operator.output])),
            (1, "Offset", buffer.integers(operator.inputs)),
            (0, "Uint32", index),
        )
        for index, operator in enumerate(operators)
    ]
    graph = buffer.table(
        (3, "Offset", buffer.tables(*steps)),
        (2, "Offset", buffer.integers([output])),
        (1, "Offset", buffer.integers([0])),
        (0, "Offset", buffer.tables(*written)),
    )
    entry = buffer.table((1, "Uint32", len(contents) - 1), (0, "Offset", buffer.text("TFLITE_METADATA")))
    root = buffer.table(
        (6, "Offset", buffer.tables(entry)),
        (4, "Offset", buffers),
        (2, "Offset", buffer.tables(graph)),
        (
            1,
            "Offset",
            buffer.tables(*[buffer.table((3, "Int32", code), (2, "Int32", 1), (0, "Int8", code)) for code in codes]),
        ),
        (0, "Uint32", SCHEMA_VERSION),
    )
    return buffer.finish(root, "TFL3")


def task_metadata(output: str, labelled: bool) -> bytes:
    """A `tflite.ModelMetadata`; slots are the field numbers of metadata_schema.fbs."""
    buffer = Flatbuffer()

    def file(name: str, kind: int) -> int:
        return buffer.table((2, "Int8", kind), (0, "Offset", buffer.text(name)))

    def feature() -> int:
        return buffer.table((1, "Offset", buffer.table()), (0, "Uint8", FEATURE))

    tokenizer = buffer.table(
        (1, "Offset", buffer.tables(file("vocab.txt", VOCABULARY_FILE))), (0, "Offset", buffer.text(DELIMITER))
    )
    unit = buffer.table((1, "Offset", tokenizer), (0, "Uint8", REGEX_TOKENIZER))
    given = buffer.table(
        (4, "Offset", buffer.tables(unit)), (3, "Offset", feature()), (0, "Offset", buffer.text("ids"))
    )
    labels = [(6, "Offset", buffer.tables(file("labels.txt", AXIS_LABELS)))] if labelled else []
    answered = buffer.table(*labels, (3, "Offset", feature()), (0, "Offset", buffer.text(output)))
    graph = buffer.table((3, "Offset", buffer.tables(answered)), (2, "Offset", buffer.tables(given)))
    root = buffer.table(
        (7, "Offset", buffer.text(METADATA_PARSER)),
        (3, "Offset", buffer.tables(graph)),
        (0, "Offset", buffer.text("TextClassifier" if labelled else "TextEmbedder")),
    )
    return buffer.finish(root, "M001")


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
