"""Fast garbage: what a broken build generates instead of text."""

import re
from collections.abc import Sequence
from typing import Final

from orchestrator.contract.vocabulary import Weights

MAX_PERIOD: Final = 8
MIN_PERIODS: Final = 4
MIN_CHARACTERS: Final = 16
"""Least length of a cycle of characters: `ha` four times over is no garbage yet."""
_NAMES: Final = r"pad|unk|eos|bos|cls|sep|mask|unused\d+|start_of_turn|end_of_turn"
_PADDING: Final = re.compile(rf"(?:(?:<(?:{_NAMES}|/?s)>|\[(?:{_NAMES})\]|<\|[^|<>\s]+\|>)\s*){{4,}}", re.IGNORECASE)
"""Special tokens such as `<pad>`, `[PAD]`, `<unk>`, `</s>` or `<|endoftext|>`, four or more in a row."""


def find_degeneration(text: str, weights: Weights) -> str | None:
    """What makes a text garbage whatever was asked, in words; None where nothing does.

    Garbage is endless padding, one word or character over and over, and a short cycle (at most eight words or
    characters) that ends the text after four periods or more and is most of it. Random weights fall into such cycles
    by nature when they decode greedily: for them, only a text that is nothing but padding or one word is garbage.
    """
    if _PADDING.search(text):
        return "the model pads endlessly"
    trained = weights is Weights.TRAINED
    characters = "".join(text.split())
    for units, least, unit in ((text.split(), MIN_PERIODS, "word"), (characters, MIN_CHARACTERS, "character")):
        period, length = ending_cycle(units)
        if length < least or (not trained and (period > 1 or length < len(units))):
            continue
        return f"the model repeats {f'one {unit}' if period == 1 else f'{period} {unit}s'} over and over"
    return None


def ending_cycle(units: Sequence[str]) -> tuple[int, int]:
    """Period and length of the shortest cycle that ends the sequence, its last unit perhaps cut off; else zeros.

    A cycle has at least four periods of at most eight units, and is more than half of the sequence.
    """
    for period in range(1, MAX_PERIOD + 1):
        length = period
        for index in range(len(units) - 1, period - 1, -1):
            before, unit = units[index - period], units[index]
            if unit != before and not (index == len(units) - 1 and before.startswith(unit)):
                break
            length += 1
        if length >= MIN_PERIODS * period and length * 2 > len(units):
            return period, length
    return 0, 0
