"""What the pages can run: `webpayloads/runtimes.json`, which their build reads as well."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

import orchestrator
from orchestrator.contract.base import RuntimeName
from orchestrator.contract.vocabulary import Backend, Task

WEBPAYLOADS: Final = Path(orchestrator.__file__).parent.parent / "webpayloads"


class Runtime(BaseModel):
    """One engine of the pages, with every version of it that they carry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: str
    """`src/worker/<adapter>.ts`."""
    tasks: frozenset[Task]
    backends: frozenset[Backend]
    """What it can run on at all; a variant may offer less."""
    files: Literal["none", "one", "many"]
    versions: dict[str, str | None]
    """The npm package of each version, by the name that `package.json` gives it; null for the pages' own code."""
    assets: dict[str, JsonValue] | None = None
    """Files that the runtime's own loader asks for while it runs: a directory among the packages and a pattern."""


@lru_cache(maxsize=1)
def runtimes() -> dict[RuntimeName, Runtime]:
    """Every engine by its name."""
    content = json.loads((WEBPAYLOADS / "runtimes.json").read_text(encoding="utf-8"))
    return TypeAdapter(dict[RuntimeName, Runtime]).validate_python(content)
