"""CEL as tokens: enough of its grammar to take an expression apart."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

MACROS: Final = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<text>[rR](?:\"[^"\n]*\"|'[^'\n]*')|[bB]?(?:\"(?:\\.|[^"\\\n])*\"|'(?:\\.|[^'\\\n])*'))
    | (?P<number>0x[0-9a-fA-F]+u?|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||[<>=!]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
RELATIONS: Final = ("<", "<=", ">", ">=", "==", "!=", "in")
LEVELS: Final = (("||",), ("&&",), RELATIONS, ("+", "-"), ("*", "/", "%"))
"""Binary operators, the loosest first; `?:` is looser than all."""


class Token(NamedTuple):
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup and match.lastgroup != "space":
            yield Token(match.lastgroup, match[0], match.start())


def split(part: Sequence[Token], operators: Sequence[str]) -> tuple[list[Sequence[Token]], list[Token]]:
    """A part at its operators of one level, those within brackets left alone."""
    operands: list[Sequence[Token]] = []
    found: list[Token] = []
    depth = begin = 0
    for index, token in enumerate(part):
        if token.kind == "sign" and token.text in CLOSING:
            depth += 1
        elif token.kind == "sign" and token.text in CLOSING.values():
            depth -= 1
        elif depth == 0 and token.kind != "text" and token.text in operators and index > begin:
            operands.append(part[begin:index])
            found.append(token)
            begin = index + 1
    return [*operands, part[begin:]], found


def conditions(part: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """What `&&`, `||`, `!`, `?:` and brackets put together."""
    for level in (("?", ":"), *LEVELS[:2]):
        operands, found = split(part, level)
        if found:
            for operand in operands:
                yield from conditions(operand)
            return
    if part and part[0].text == "!":
        yield from conditions(part[1:])
    elif part and part[0].text == "(" and _closes(part, 0) == len(part) - 1:
        yield from conditions(part[1:-1])
    elif part:
        yield part


def parts(part: Sequence[Token]) -> tuple[list[Sequence[Token]], Token]:
    """What a part is made of, and the token that makes it of them."""
    for level in (("?", ":"), *LEVELS):
        operands, found = split(part, level)
        if found:
            return operands, found[0]
    if part[0].text in ("!", "-"):
        return [part[1:]], part[0]
    if part[0].text in CLOSING and _closes(part, 0) == len(part) - 1:
        return split(part[1:-1], (",", ":"))[0], part[0]
    if part[-1].text in (")", "]"):
        opening = _opens(part)
        arguments = split(part[opening + 1 : -1], (",",))[0]
        if part[-1].text == "]" or opening == 0:
            return [part[:opening], *arguments], part[opening]
        name = part[opening - 1]
        receiver = part[: opening - 2] if opening > 2 else []
        # A macro's second argument speaks of a variable that only the macro knows.
        return [receiver, *([] if name.text in MACROS | {"has"} else arguments)], name
    if len(part) > 2 and part[-2].text == ".":
        return [part[:-2]], part[-1]
    return [], part[-1]


def _closes(part: Sequence[Token], opening: int) -> int:
    """Where the bracket at `opening` is closed."""
    depth = 0
    for index in range(opening, len(part)):
        if part[index].kind == "sign":
            depth += (part[index].text in CLOSING) - (part[index].text in CLOSING.values())
        if depth == 0:
            return index
    return len(part)


def _opens(part: Sequence[Token]) -> int:
    """Where the bracket that ends the part was opened."""
    return next(
        index for index in range(len(part)) if part[index].text in CLOSING and _closes(part, index) == len(part) - 1
    )
