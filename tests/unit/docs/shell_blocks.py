"""The commands of a Markdown page, as a shell would read them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^ *```(?P<language>[a-z]*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<'?(\w+)'?")
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


def commands(block: Block) -> Iterator[Command]:
    """Of a block with prompts those behind a prompt; what is left is what the commands wrote."""
    lines = block.text.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in _without_heredocs(lines):
        yield from (Command(block.page, words) for words in _split(line))


def _without_heredocs(lines: list[str]) -> Iterator[str]:
    end: str | None = None
    for line in "\n".join(lines).replace("\\\n", " ").split("\n"):
        if end is None:
            found = _HEREDOC.search(line)
            end = found and found[1]
            yield _HEREDOC.sub("", line)
        elif line.strip() == end:
            end = None
    assert end is None, f"a heredoc without its {end}"


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
