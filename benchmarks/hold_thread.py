"""Block the main thread of a process, like a system call that never returns: python hold_thread.py PID.

The process is not stopped, and its other threads continue. The thread is blocked until the process is killed.
"""

from __future__ import annotations

import ctypes
import os
import sys

ATTACH = 16


def main() -> None:
    pid = int(sys.argv[1])
    if ctypes.CDLL(None, use_errno=True).ptrace(ATTACH, pid, None, None):
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
    while not os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
        continue


if __name__ == "__main__":
    main()
