"""The commands of a Markdown page, as a shell would read them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^ *```(?P<language>[a-z]*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'?(\w+)'?")
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_ENDS_COMMAND = {"&&", "||", "|", ";"}
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")
SHELLS = ("console", "sh", "bash")


@dataclass(frozen=True)
class Command:
    page: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0].rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str


def blocks(path: Path, page: str) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [Block(page, found["language"], found["text"]) for found in _FENCE.finditer(text)]


def outside_of_blocks(path: Path) -> str:
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def lines(block: Block) -> list[str]:
    """As they are typed one after the other, without comments; a here-document belongs to its line.

    Of a block with prompts those behind a prompt; what is left is what the commands wrote.
    """
    text = block.text.replace("\\\n", " ")
    rows = [row.removeprefix("$ ") for row in text.splitlines() if "\n$ " not in f"\n{text}" or row.startswith("$ ")]
    found: list[str] = []
    end: str | None = None
    for row in rows:
        if end is not None:
            found[-1] += f"\n{row}"
            end = None if row.strip() == end else end
        elif line := _COMMENT.sub("", row).strip():
            document = _HEREDOC.search(line)
            end = document and document[1]
            found.append(line)
    assert end is None, f"a heredoc without its {end}"
    return found


def commands(block: Block) -> Iterator[Command]:
    for line in lines(block):
        yield from (Command(block.page, words) for words in _split(_HEREDOC.sub("", line.split("\n")[0])))


def _split(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.wordchars += "$:@,…%^+{}[]!"
    words: list[str] = []
    skip = False
    for word in [*lexer, ";"]:
        if skip or word in (">", ">>"):
            skip = not skip  # a redirection and its file
        elif word not in _ENDS_COMMAND:
            if words or not _ASSIGNMENT.match(word):
                words.append(word)
        elif words:
            yield tuple(words)
            words = []
