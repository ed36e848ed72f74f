"""Keeps this host from falling asleep, or its screen from being locked, while an attempt runs."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import Final

_END_SECONDS: Final = 2.0


class KeepAwake:
    """A program of the system that holds it awake for as long as it runs.

    It ends with the agent's process, however that ends, so there is nothing to write into a journal: on Linux because
    its input ends then, on macOS because it watches for it. On Windows nothing is done.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Harmless where the system has no such program, or it refuses."""
        command = awake_command(sys.platform, os.getpid())
        program = shutil.which(command[0]) if command else None
        if self._process is None and program is not None:
            with suppress(OSError):
                self._process = subprocess.Popen(
                    [program, *command[1:]],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

    def end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def awake_command(platform: str, agent: int) -> list[str]:
    """What holds this kind of system awake until the agent's process ends; empty where nothing is known."""
    if platform == "linux":
        reason = ["--what=idle:sleep", "--who=fitmatrix", "--why=a model is being measured", "--mode=block"]
        return ["systemd-inhibit", *reason, "cat"]
    if platform == "darwin":
        return ["caffeinate", "-dis", "-w", str(agent)]
    return []
