"""Somebody at a terminal with a page of the documentation: what is typed really runs."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.unit.docs.shell_blocks import SHELLS, Block, blocks, lines

ROOT: Final = Path(__file__).parents[3]
_LINE_SECONDS: Final = 120
_STOP_SECONDS: Final = 60
_OURS: Final = {"fitmatrix": "orchestrator.cli.main", "fitmatrix-agent": "agents.cli"}
_KEPT: Final = ("HOME", "LANG", "PATH", "TMPDIR")


def shell_blocks(page: str) -> list[Block]:
    return [block for block in blocks(ROOT / page, page) if block.language in SHELLS]


def lines_of(page: str) -> list[str]:
    """Every line that the page has its reader type, in its order."""
    return [line for block in shell_blocks(page) for line in lines(block)]


@dataclass(frozen=True)
class Answer:
    code: int
    words: str
    """What was written, on one line."""


@dataclass
class Reader:
    """What one line exports, and where it goes, the next one finds: it is one terminal."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that have been set before."""
    meant: dict[str, str] = field(default_factory=dict)
    """What is typed in the place of a page's example or placeholder."""

    def __post_init__(self) -> None:
        programs = self.directory / ".programs"
        programs.mkdir(parents=True, exist_ok=True)
        for name, module in _OURS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
            (programs / name).chmod(0o755)
        (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (programs / "python").chmod(0o755)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = f"{programs}:{Path(sys.executable).parent}:{kept['PATH']}"
        self._environment = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **self.settings, "PATH": path}
        self._place = self.directory

    def typed(self, line: str) -> str:
        """The line as this reader types it."""
        for shown, meant in self.meant.items():
            line = re.sub(rf"(?<![\w-]){re.escape(shown)}(?![\w.])", meant.replace("\\", r"\\"), line)
        return line

    def does(self, line: str, said: str) -> str:
        """Types a line that ends well and says what the regular expression asks for, or nothing where it is empty."""
        answer = self.types(line)
        assert answer.code == 0, f"{line}\n{answer.words}"
        assert re.search(said, answer.words) if said else not answer.words, f"{line}\n{answer.words}"
        return answer.words

    def types(self, line: str) -> Answer:
        state, place = self.directory / ".state", self.directory / ".place"
        keep = f"code=$?; env -0 >{state}; pwd >{place}; exit $code"
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", f"{self.typed(line)}\n{keep}"],
            cwd=self._place,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LINE_SECONDS,
            check=False,
        )
        if state.exists():
            rows = [row.partition("=") for row in state.read_text().split("\0") if row]
            self._environment = {name: value for name, _, value in rows}
            self._place = Path(place.read_text().strip())
            state.unlink()
        return Answer(done.returncode, " ".join(done.stdout.split()))

    @contextmanager
    def keeps_running(self, line: str) -> Iterator[Path]:
        """Of a line that stays in the foreground: another terminal's, until Ctrl-C. Gives the file of what it says."""
        said = self.directory / "said.log"
        with said.open("wb") as stream:
            process = subprocess.Popen(
                ["bash", "-uc", f"exec env {self.typed(line)}"],
                cwd=self._place,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            yield said
            assert process.poll() is None, said.read_text()
        finally:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        assert code == 0, said.read_text()
