import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contract.vocabulary import Weights
from orchestrator.domain.degeneration import MAX_PERIOD, ending_cycle, find_degeneration

WORDS = st.text(alphabet="abcdefgh", min_size=1, max_size=5)


@pytest.mark.parametrize(
    "text",
    [
        "<pad><pad><pad><pad>",
        "Paris <pad> <pad> <pad> <pad>",
        "[PAD][PAD][PAD][PAD][PAD]",
        "<unk> <unk> <unk> <unk>",
        "<eos><eos><eos><eos>",
        "</s></s></s></s>",
        "<|endoftext|><|endoftext|><|endoftext|><|endoftext|>",
        "<unused7><unused9><pad><eos>",
    ],
)
@pytest.mark.parametrize("weights", Weights)
def test_endless_padding_is_garbage(text: str, weights: Weights) -> None:
    assert find_degeneration(text, weights) == "the model pads endlessly"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("na na na na", "one word"),
        ("hello hello hello hello hel", "one word"),
        ("!!!!!!!!!!!!!!!!!!!!!!!!", "one character"),
        ("The answer is a b a b a b a b", "2 words"),
        ("one two three one two three one two three one two three one tw", "3 words"),
        ("hahahahahahahahahaha", "2 characters"),
    ],
)
def test_one_thing_over_and_over_is_garbage(text: str, said: str) -> None:
    assert said in (find_degeneration(text, Weights.TRAINED) or "")


@pytest.mark.parametrize(
    "text",
    [
        "The capital of France is Paris.",
        "na na na batman",
        "ha ha",
        "a b a b a b",
        "<b>bold</b> and <i>italic</i>",
        "<div><div><div><div><p>Paris</p></div></div></div></div>",
        "It is a very, very, very, very long way to Tipperary, and nobody who has walked it would say otherwise.",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    ],
)
def test_text_is_not(text: str) -> None:
    assert find_degeneration(text, Weights.TRAINED) is None


def test_random_weights_may_fall_into_a_cycle_but_not_say_one_thing_only() -> None:
    cycle = "bad one dog small dog small dog small dog small dog small "
    assert find_degeneration(cycle, Weights.TRAINED) is not None
    assert find_degeneration(cycle, Weights.SYNTHETIC) is None
    assert find_degeneration("ok na na na na na", Weights.SYNTHETIC) is None
    assert find_degeneration("na na na na na", Weights.SYNTHETIC) is not None
    assert find_degeneration("!" * 40, Weights.SYNTHETIC) is not None


@given(st.lists(WORDS, max_size=20), st.lists(WORDS, min_size=1, max_size=MAX_PERIOD), st.integers(4, 12), st.data())
def test_every_short_cycle_that_is_most_of_a_text_is_found(
    before: list[str], cycle: list[str], periods: int, data: st.DataObject
) -> None:
    tail = cycle * periods
    head = before[: len(tail) - 1]
    cut = data.draw(st.integers(0, len(tail[-1]) - 1)) if data.draw(st.booleans()) else 0
    units = [*head, *tail]
    if cut:
        units = [*units, cycle[0][: min(cut, len(cycle[0]))]]
    period, length = ending_cycle(units)
    assert 0 < period <= len(cycle)
    assert length * 2 > len(units)
    assert find_degeneration(" ".join(units), Weights.TRAINED) is not None


@given(st.lists(WORDS, max_size=60, unique=True))
def test_words_that_all_differ_are_no_cycle(words: list[str]) -> None:
    assert ending_cycle([f"{word}." for word in words]) == (0, 0)
