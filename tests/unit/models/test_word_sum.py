"""The tiny text models: the same from the same seed, and with what MediaPipe looks for in a task's file."""

import zipfile
from pathlib import Path

import pytest

from orchestrator.models.recipes.word_sum import (
    VOCABULARY,
    Network,
    classify,
    draw,
    embed,
    task_metadata,
    train,
    word_ids,
    write_model,
)

TOKENS, WIDTH = 16, 8


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        write_model(tmp_path / name, draw(seed, WIDTH), TOKENS)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "same").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.fixture(scope="module")
def trained() -> Network:
    """The same at each training."""
    return train(0, WIDTH)


def test_a_file_carries_its_words_and_a_classifier_its_labels(tmp_path: Path, trained: Network) -> None:
    write_model(tmp_path / "embedder", draw(0, WIDTH), TOKENS)
    write_model(tmp_path / "classifier", trained, TOKENS)
    assert (tmp_path / "embedder").read_bytes()[4:8] == b"TFL3"
    assert zipfile.ZipFile(tmp_path / "embedder").namelist() == ["vocab.txt"]
    with zipfile.ZipFile(tmp_path / "classifier") as attached:
        assert attached.read("labels.txt") == b"negative\npositive\n"
        lines = attached.read("vocab.txt").decode().splitlines()
    assert lines == [f"{word} {number}" for number, word in enumerate(VOCABULARY)]
    assert task_metadata("scores", labelled=True)[4:8] == b"M001"


@pytest.mark.parametrize(
    ("text", "label"), [("a great, great phone!", "positive"), ("the slow page was broken", "negative")]
)
def test_training_tells_good_from_bad(trained: Network, text: str, label: str) -> None:
    best, other = classify(trained, text, TOKENS)
    assert best.label == label
    assert best.score > 0.9
    assert best.score + other.score == pytest.approx(1)


def test_words_count_wherever_they_stand_and_padding_never() -> None:
    network = draw(0, WIDTH)
    assert embed(network, "the mill", TOKENS) == pytest.approx(embed(network, "mill, the!", TOKENS))
    assert not embed(network, "", TOKENS).any()
    assert len(word_ids("the " * 40, TOKENS)) == TOKENS
    # MediaPipe does not change capitals.
    assert word_ids("unheard Mill", TOKENS)[1:] == [VOCABULARY.index("<UNKNOWN>")] * 2
