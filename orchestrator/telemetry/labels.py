"""Label values: whatever somebody outside has written into them, they stay one short label."""

from collections.abc import Mapping
from typing import Final

LONGEST: Final = 120
"""Characters; as long as the contract lets a label of a device be."""


def bounded(value: str) -> str:
    """Without control characters, but for line breaks, which the text formats can write; cut where it is too long."""
    if len(value) > LONGEST:
        value = value[: LONGEST - 1] + "…"
    if value.isprintable():
        return value
    readable = "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in value)
    return readable.encode("utf-8", errors="replace").decode()


def written(labels: Mapping[str, str]) -> str:
    """As they stand between the braces of both text formats."""
    return ",".join(f'{name}="{_escaped(bounded(value))}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
