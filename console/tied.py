"""How does a process end with the one that started it, even when that one is killed and can't say goodbye?

    python -I -S tied.py <pid of the starter> command arguments…

On Linux the kernel is asked to send SIGTERM when the starter dies; then this becomes the command, and the wish outlives
the exec. It is a program of its own because the wish has to be made in the child, between fork and exec, where a
starter with threads must not run Python. Elsewhere the command runs untied: to kill a starter there ends nothing else.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its starter, and become the command."""
    starter, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # It may have died before the wish was made; who was adopted since has another parent.
    if os.getppid() != int(starter):
        raise SystemExit("tied: who started this is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
