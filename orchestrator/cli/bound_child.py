"""Runs a command that does not outlive its parent: `python bound_child.py PARENT_PID PROGRAM ARGUMENT…`.

A program of its own, because the promise has to be made between fork and exec, where a parent with threads must
not run Python. Imports the standard library only: it is started isolated, without site-packages.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>: the signal that this process gets when its parent dies. It survives exec."""


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit("the parent ended before its child began")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
