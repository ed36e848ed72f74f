"""A small worker for tests of how workers are started: it repeats a line and ends with the number in it."""

import sys
from pathlib import Path

from agents.nursery import Child, live

NURSLING = [sys.executable, str(Path(__file__))]


def life() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0
    sys.stdout.write(f"heard {line}")
    sys.stdout.flush()
    return int(line.split()[-1])


def ends_with(child: Child, said: bytes) -> tuple[bytes, int | None]:
    """What the worker says after it has heard this and nothing more, and how it ends."""
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        child.stdin.write(said)
        child.stdin.close()
        answer = child.stdout.read()
        return answer, child.wait(30)


if __name__ == "__main__":
    sys.exit(live(life, lambda: None, sys.argv[1:]))
