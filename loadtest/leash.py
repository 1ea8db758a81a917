"""Runs a program that ends when its parent does: `python leash.py PARENT_PID PROGRAM ARGUMENT…`

The rule: this process becomes the program, so that the parent holds the program's own process id. On Linux the kernel
sends it a SIGTERM when the parent dies, however it dies. Elsewhere there is no such signal: there a `kill -9` of the
parent leaves the program running. Run as a file, without site packages: it must cost little and import nothing of the
project.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            sys.exit(1)
    try:
        os.execvp(program[0], program)  # noqa: S606 - no shell is what is wanted
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
