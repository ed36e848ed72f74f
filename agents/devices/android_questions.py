"""Many questions to a phone in one round trip."""

from collections.abc import Mapping
from typing import Final

from agents.devices.adb import Adb

_PART: Final = "fitmatrix-part:"


def ask(adb: Adb, questions: Mapping[str, str], *, seconds: float) -> dict[str, str]:
    """Each question is a line of shell; its answer is what it wrote, empty where the phone cannot tell.

    Questions are constants of this program, never made of what comes from outside.
    """
    lines = [f"echo {_PART}{name}; {{ {question} ; }} 2>/dev/null" for name, question in questions.items()]
    return split_answers(adb.shell("sh", "-c", "\n".join([*lines, "true"]), seconds=seconds), questions)


def split_answers(output: str, questions: Mapping[str, str]) -> dict[str, str]:
    """The phone's whole output by question."""
    answers = dict.fromkeys(questions, "")
    for part in output.split(_PART)[1:]:
        name, _, answer = part.partition("\n")
        answers[name.strip()] = answer.strip()
    return answers
