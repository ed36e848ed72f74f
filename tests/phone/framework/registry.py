"""How a framework command is declared and called."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.phone.phone import Phone


class Input(Protocol):
    """What is fed to a command."""

    async def read_exactly(self, length: int) -> bytes:
        """Raises EOFError."""


@dataclass
class Call:
    """One call: the words after the command's name, and where its output goes."""

    phone: "Phone"
    name: str
    words: list[str]
    write_out: Callable[[bytes], Awaitable[None]]
    write_err: Callable[[bytes], Awaitable[None]]
    stdin: Input

    async def say(self, text: str) -> None:
        await self.write_out(text.encode())

    async def complain(self, text: str) -> None:
        await self.write_err(text.encode())

    def word(self, index: int, default: str = "") -> str:
        """A word, or the default where the call is shorter."""
        return self.words[index] if index < len(self.words) else default

    def option(self, name: str) -> str | None:
        """The word after `name`."""
        if name in self.words[:-1]:
            return self.words[self.words.index(name) + 1]
        return None

    def shifted(self, count: int) -> "Call":
        """The same call without its first words, for a command of a command."""
        return Call(self.phone, self.name, self.words[count:], self.write_out, self.write_err, self.stdin)

    def unknown(self) -> None:
        """Keep a note that the simulation lacks this call."""
        self.phone.journal("UNKNOWN", " ".join([self.name, *self.words]))


Command = Callable[[Call], Awaitable[int | None]]
"""Returns the exit status; None is 0."""


class Commands:
    """A table of commands by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Command] = {}

    def add(self, *names: str) -> Callable[[Command], Command]:
        """Decorates the command of these names."""

        def keep(command: Command) -> Command:
            self.by_name.update(dict.fromkeys(names, command))
            return command

        return keep


SHELL_COMMANDS = Commands()
DUMPS = Commands()
"""`dumpsys NAME`."""
