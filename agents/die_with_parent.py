"""Starts a program that is told to end when its parent dies: `python -IS die_with_parent.py PARENT PROGRAM …`.

A file of its own, since a forked process with threads may not run Python code before the program starts. On Linux
alone, where the kernel keeps the promise over `exec`. The kernel takes the *thread* that starts it for the parent: that
thread must live for as long as the program should.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have died before the kernel was asked.
    if os.getppid() == int(sys.argv[1]):
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
