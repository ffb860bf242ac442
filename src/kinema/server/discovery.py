"""The note of a running server for commands on the same machine: KINEMA_HOME/server/server.json, readable by its user
only, with {"url", "pid", "version", "token"}. It is removed when the server ends; a server that was killed leaves one,
which its readers recognise by the process and by the answer of the address.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import KinemaError
from ..core.outside import read_json
from ..core.whole import write_text
from ..http.jobs_client import JobsServer
from ..weights.store import home

ANSWER_S = 2.0


def note_path() -> Path:
    return home() / "server" / "server.json"


@contextlib.contextmanager
def announced(url: str, version: str, token: str | None) -> Iterator[None]:
    """Write the note for the duration of the block. A note of another server that still runs stays: the first one keeps
    it."""
    path = note_path()
    if _names_other(path):
        yield
        return
    note = {"url": url, "pid": os.getpid(), "version": version, "token": token}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)  # the replacement takes the permissions of what it replaces
    write_text(path, json.dumps(note))
    try:
        yield
    finally:
        if not _names_other(path):
            path.unlink(missing_ok=True)


def _names_other(path: Path) -> bool:
    """Whether the note is of another process that serves at its address. A process that merely has the number of a
    killed server does not."""
    try:
        note = read_json(path, dict)
        if (pid := note["pid"]) == os.getpid():
            return False
        told = JobsServer(str(note["url"])).health(ANSWER_S)
    except (OSError, KinemaError, LookupError, ValueError, AssertionError):
        return False
    return told.get("kinema") == "server" and told.get("pid") == pid
