"""What a Dockerfile says of a stage, so far as ours say it."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DOCKERFILE: Final = Path("deploy/Dockerfile")


@dataclass
class Stage:
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def said(self, word: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == word]

    def command(self, word: str) -> list[str]:
        """The exec form that an instruction ends with, such as of CMD and HEALTHCHECK."""
        said = self.said(word)[-1]
        return [str(part) for part in json.loads(said[said.index("[") :])]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair for rest in self.said("ENV") for pair in shlex.split(rest)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def lock(self) -> Path:
        """The lock file that its packages come from."""
        sources = [part for rest in self.said("COPY") for part in rest.split() if part.startswith("requirements/")]
        assert len(sources) == 1, sources
        return Path(sources[0])


def read_stages(text: str) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    current: Stage | None = None
    for line in filter(None, map(str.strip, lines)):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            current = stages[name] = Stage(base)
        else:
            assert current is not None
            current.instructions.append((word, rest.strip()))
    return stages
