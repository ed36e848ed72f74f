"""CEL expressions from outside (https://cel.dev): bounded, and every complaint with its place.

The library says where a syntax error is, and of other errors only what they are. So an expression is read once more
here, as tokens: bounds and unknown names are seen before anything is evaluated, and an error in the middle of an
evaluation is found by evaluating the parts.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cel

from orchestrator.domain.cel_syntax import CLOSING, MACROS, RELATIONS, Token, conditions, parts, split, tokens

MAX_LENGTH: Final = 1_000
MAX_DEPTH: Final = 16
"""Brackets within brackets. The library's parser gives up at 96 and takes time that grows with each."""
MAX_TERMS: Final = 100
"""Operators, calls and members: the library walks them by recursion."""
MAX_ADDITIONS: Final = 8
"""What is put together from lists is small enough to be gone through within a macro."""
MAX_MAPS: Final = 1
"""Each makes what it is given larger by a factor: a chain of them would fill any memory."""
MAX_MATCHES: Final = 4
MAX_PATTERN: Final = 100
"""Characters of a regular expression, which is compiled at each use."""
MOST_SECONDS: Final = 5.0
"""For all evaluations of one expression together, where it comes from a job."""

FUNCTIONS: Final = frozenset(
    {"contains", "double", "endsWith", "has", "int", "matches", "max", "min", "size", "startsWith", "string", "uint"}
)
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_SYNTAX: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_ENDS_EARLY: Final = re.compile(r"^.*'<EOF>'.*$")
_UNEXPECTED: Final = re.compile(
    r"^(?:extraneous input|mismatched input|token recognition error at:|no viable alternative at input)"
    r" '(?!<EOF>)(.*?) ?'(?: expecting .*)?$"
)
_BOOL: Final = "true or false"
Facts = Mapping[str, Any] | cel.Context


def as_context(facts: Facts) -> cel.Context:
    """Facts as the library reads them. Making this takes longer than evaluating: several expressions share one."""
    return facts if isinstance(facts, cel.Context) else cel.Context(dict(facts))


class ExpressionError(ValueError):
    """What is wrong with an expression, in words that begin with the place where there is one."""


@dataclass(frozen=True)
class _Fault:
    error: Exception
    at: Token


class Expression:
    """A parsed condition over facts like `sample`, which has every name that there is, each with a typical value.

    Raises ExpressionError. With `most_seconds`, evaluations are refused once they took so long together.
    """

    def __init__(self, text: str, sample: Mapping[str, Any], most_seconds: float | None = MOST_SECONDS) -> None:
        self.text = text
        self._sample = sample
        self._most_seconds = most_seconds
        self._spent_seconds = 0.0
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"it has {len(text)} characters: {MAX_LENGTH} at most")
        self._tokens = list(tokens(text))
        self._check_bounds()
        try:
            self._program = cel.compile(text)
        except (ValueError, RuntimeError) as error:
            raise self._syntax_error(str(error)) from error
        self._check_names()
        self._check_types()

    def value(self, facts: Facts) -> Any:
        known = as_context(facts)
        began = time.perf_counter()
        try:
            return self._program.execute(known)
        except Exception as error:
            # The library raises whatever Python has for the occasion, IndexError and ZeroDivisionError among them.
            fault = self._fault(self._tokens, known) or _Fault(error, self._tokens[0])
            raise self._error(fault.at, _words(fault.error)) from error
        finally:
            self._spend(time.perf_counter() - began)

    def check_members(self, fact: str, complain: Callable[[str], str | None]) -> None:
        """Raises ExpressionError about the first text that is looked for in the list `fact` and draws a complaint."""
        for index, token in enumerate(self._tokens):
            if token.kind != "text" or self._text_at(index + 1) != "in" or self._text_at(index + 2) != fact:
                continue
            said = complain(str(cel.compile(token.text).execute({})))
            if said is not None:
                raise self._error(token, said)

    def _spend(self, seconds: float) -> None:
        self._spent_seconds += seconds
        if self._most_seconds is not None and self._spent_seconds > self._most_seconds:
            raise ExpressionError(f"it takes more than {self._most_seconds:g} s to find out: make it simpler")

    # -- before anything is evaluated

    def _check_bounds(self) -> None:
        if not self._tokens:
            raise ExpressionError("it is empty")
        open_brackets: list[bool] = []
        for token, before in zip(self._tokens, [None, *self._tokens], strict=False):
            if token.text in CLOSING and token.kind == "sign":
                open_brackets.append(before is not None and before.text in MACROS)
                if len(open_brackets) > MAX_DEPTH:
                    raise self._error(token, f"brackets are nested more than {MAX_DEPTH} deep")
                if sum(open_brackets) > 1:
                    raise self._error(before or token, "one of all, exists, filter, map within another: only one")
            elif token.kind == "sign" and token.text in CLOSING.values() and open_brackets:
                open_brackets.pop()
        self._check_count("+", MAX_ADDITIONS, "additions")
        self._check_count("map", MAX_MAPS, "use of `map`")
        self._check_count("matches", MAX_MATCHES, "uses of `matches`")
        terms = [token for token in self._tokens if token.kind == "sign" and token.text not in ")]},"]
        if len(terms) > MAX_TERMS:
            raise self._error(terms[MAX_TERMS], f"more than {MAX_TERMS} operators and members")
        for index, token in enumerate(self._tokens):
            if token.text == "matches" and token.kind == "name":
                self._check_pattern(self._tokens[index : index + 4])

    def _check_count(self, text: str, most: int, what: str) -> None:
        found = [token for token in self._tokens if token.text == text]
        if len(found) > most:
            raise self._error(found[most], f"more than {most} {what}")

    def _check_pattern(self, call: Sequence[Token]) -> None:
        texts = [token.text for token in call]
        if len(call) < 4 or texts[1] != "(" or call[2].kind != "text" or texts[3] != ")":
            raise self._error(call[0], "`matches` takes one regular expression in quotes")
        if len(texts[2]) > MAX_PATTERN:
            raise self._error(call[2], f"a regular expression has at most {MAX_PATTERN} characters")
        if re.search(r"\{\d{3,}|\{\d*,\d{3,}|\}.*\{\d", texts[2]):
            raise self._error(call[2], "a regular expression has at most one counted repetition, below 100")
        if re.search(r"\\[A-Za-z0-9]", texts[2]):
            raise self._error(call[2], "a regular expression has no classes such as \\w: write [A-Za-z0-9_]")

    def _check_names(self) -> None:
        for index, token in enumerate(self._tokens):
            called = self._text_at(index + 1) == "("
            if token.kind == "name" and called and token.text not in MACROS | FUNCTIONS | _WORDS:
                raise self._error(token, f"there is no function {token.text}: {', '.join(sorted(FUNCTIONS | MACROS))}")
        for token in self._roots():
            value: Any = self._sample
            index = self._tokens.index(token)
            place = token
            path = token.text
            while isinstance(value, Mapping):
                if place.text not in value:
                    if path.startswith("gpu.limits."):
                        break  # a browser may name limits that nobody knew when this was written
                    known = ", ".join(sorted(value))
                    raise self._error(place, f"there is no {path}; there are: {known}")
                value = value[place.text]
                if self._text_at(index + 1) != "." or self._text_at(index + 3) == "(" or index + 2 >= len(self._tokens):
                    break
                index += 2
                place = self._tokens[index]
                path += f".{place.text}"

    def _roots(self) -> Iterator[Token]:
        """Names that are neither members nor functions, nor a macro's own variable."""
        bound = {
            self._text_at(index + 2)
            for index, token in enumerate(self._tokens)
            if token.text in MACROS and self._text_at(index + 1) == "(" and self._text_at(index + 3) == ","
        }
        for index, token in enumerate(self._tokens):
            is_name = token.kind == "name" and token.text not in _WORDS and token.text not in bound
            if is_name and self._text_at(index - 1) != "." and self._text_at(index + 1) != "(":
                yield token

    def _check_types(self) -> None:
        """Each part by itself, also those that `&&` or `||` would have passed over."""
        sample = as_context(self._sample)
        for part in conditions(self._tokens):
            fault = self._fault(part, sample)
            if fault is not None and isinstance(fault.error, TypeError):
                raise self._error(fault.at, _words(fault.error))
            kind = self._kind(part, sample)
            if kind not in (None, _BOOL):
                raise self._error(part[0], f"this is {kind}, not true or false")
            self._check_equality(part, sample)

    def _check_equality(self, part: Sequence[Token], sample: cel.Context) -> None:
        """A text is never equal to a number: CEL says so quietly, and the selector would select nothing."""
        sides, operators = split(part, RELATIONS)
        if len(sides) == 2 and operators[0].text in ("==", "!="):
            one, other = (self._kind(side, sample) for side in sides)
            if one and other and one != other:
                raise self._error(operators[0], f"{one} is never equal to {other}")

    def _kind(self, part: Sequence[Token], sample: cel.Context) -> str | None:
        try:
            value = cel.compile(self._source(part)).execute(sample)
        except Exception:  # noqa: BLE001 - a macro's variable, or a part of no device: then nothing is known of it
            return None
        if isinstance(value, bool):
            return _BOOL
        return {int: "a number", float: "a number", str: "a text", list: "a list", dict: "a group of facts"}.get(
            type(value)
        )

    # -- where an error comes from

    def _fault(self, part: Sequence[Token], facts: cel.Context) -> _Fault | None:
        """The smallest piece of a part that cannot be evaluated; none where the part can be."""
        if not part:
            return None
        try:
            cel.compile(self._source(part)).execute(facts)
        except Exception as error:  # noqa: BLE001 - as in `value`
            smaller, at = parts(part)
            for operand in smaller:
                found = self._fault(operand, facts)
                if found is not None:
                    return found
            if isinstance(error, KeyError):
                # Within a macro the parts cannot be asked one by one, but the name is known.
                at = next((token for token in part if token.text == error.args[0]), at)
            return _Fault(error, at)
        return None

    def _source(self, part: Sequence[Token]) -> str:
        return self.text[part[0].start : part[-1].end]

    def _text_at(self, index: int) -> str:
        return self._tokens[index].text if 0 <= index < len(self._tokens) else ""

    def _syntax_error(self, said: str) -> ExpressionError:
        found = _SYNTAX.search(said)
        if found is None:
            return ExpressionError(f"it cannot be read: {said.splitlines()[0][-200:]}")
        words = _ENDS_EARLY.sub("it ends too early", _UNEXPECTED.sub(r"`\1` does not belong here", found[3]))
        return ExpressionError(f"{_place(self.text, int(found[1]), int(found[2]))}: {words[:200]}")

    def _error(self, at: Token, words: str) -> ExpressionError:
        before = self.text[: at.start]
        column = at.start - (before.rfind("\n") + 1) + 1
        return ExpressionError(f"{_place(self.text, before.count(chr(10)) + 1, column)}: {words}")


def _place(text: str, line: int, column: int) -> str:
    return f"line {line}, column {column}" if "\n" in text.strip() else f"column {column}"


def _words(error: Exception) -> str:
    said = str(error).split("\n")[0]
    if isinstance(error, KeyError):
        return f"there is no {said.strip(chr(39))}"
    if isinstance(error, TypeError) and "overload" in said:
        return "this cannot be done with values of these types"
    return said.split(". ")[0].rstrip(".")[:200]
