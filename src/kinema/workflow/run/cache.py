"""Results of nodes on disk, by content: latents, decoded frames, pictures for conditions, written files.

A result is a file named by its key, the hash of everything that determines it. The folder is shared by processes: a
result appears complete or not at all, the process that computes one holds its lock, and one that is in use is not
removed. Above the cap, the results that were used longest ago are removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ... import __version__
from ...core.errors import MediaError, RequestError
from ...core.home import home
from ...core.lock import locked, take
from ...core.whole import whole, write_text

REVISION = 1
"""Of the nodes' code; a change that alters results raises it."""
GIB = 2**30
DEFAULT_GB = 20.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)
ATTEMPTS = 5
"""To read a result that another process may remove meanwhile."""
DRAFTS, DRAFT_S = "drafts", 7 * 86_400.0
"""Folder of unfinished results, and the seconds for which they are kept."""
SLACK = 0.02
"""Share of the cap by which the folder may grow before old results are removed."""
SIZE_VARIABLE = "KINEMA_WORKFLOW_CACHE_GB"


def key_of(*parts: Any) -> str:
    """The key of a result: SHA-256 of what determines it, JSON-ready, and of the version of the code."""
    text = json.dumps([__version__, REVISION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def default_folder() -> Path:
    return home() / "workflow_cache"


def size_cap(environ: Any = os.environ) -> int:
    """The cap in bytes: $KINEMA_WORKFLOW_CACHE_GB, else DEFAULT_GB. RequestError for what is no number."""
    text = environ.get(SIZE_VARIABLE, "").strip()
    try:
        size = float(text) if text else DEFAULT_GB
    except ValueError:
        size = -1.0
    if not 0 <= size < 2**30:
        raise RequestError(f"{SIZE_VARIABLE}={text}.", field=SIZE_VARIABLE, value=text, legal="gigabytes, 0 or more")
    return int(size * GIB)


class NodeCache:
    """A folder of results. Results that it returned are held until `close`, or the end of its `with` block."""

    def __init__(self, folder: Path | None = None, max_bytes: int | None = None) -> None:
        self.folder = default_folder() if folder is None else folder
        self.max_bytes = size_cap() if max_bytes is None else max_bytes
        self._held: dict[Path, BinaryIO] = {}
        self._added = 0

    def __enter__(self) -> NodeCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the results in use, and remove what is above the cap."""
        for file in self._held.values():
            file.close()
        self._held.clear()
        with contextlib.suppress(OSError):
            self.evict()

    def find(self, key: str, suffix: str, *, hold: bool = True) -> Path | None:
        """The file of a result; None if it is not here. hold: from now on, at the cost of an open file."""
        path = self._path(key, suffix)
        if path in self._held:
            return path
        try:
            file = path.open("rb")
        except OSError:
            return None
        if not take(file, shared=True) or not path.exists():  # removed meanwhile
            file.close()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        if hold:
            self._held[path] = file
        else:
            file.close()
        return path

    def get(self, key: str, suffix: str, make: Callable[[Path], None], *, hold: bool = True) -> Path:
        """The file of a result. `make` writes it to a path if it is not here; while another process makes the same
        one, this one waits for it. Raises what `make` raises, and MediaError if the folder cannot be written."""
        for _ in range(ATTEMPTS):
            if (found := self.find(key, suffix, hold=hold)) is not None:
                return found
            with self.making(key):
                if self.find(key, suffix, hold=hold) is None:
                    self._make(key, suffix, make)
                    found = self.find(key, suffix, hold=hold)
            self._make_room(found)
        raise MediaError(f"{self._path(key, suffix)}: cannot be read.")

    def _make_room(self, added: Path | None) -> None:
        """Remove old results now and then: looking at all of them takes longer than adding a small one."""
        with contextlib.suppress(OSError):
            self._added += added.stat().st_size if added is not None else 0
            if self._added > SLACK * self.max_bytes:
                self._added = 0
                self.evict()

    def _make(self, key: str, suffix: str, make: Callable[[Path], None]) -> None:
        try:
            with whole(self._path(key, suffix), durable=False) as partial:
                make(partial)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise MediaError(f"{self.folder}: cannot be written ({error.strerror}).") from error
            raise

    def draft(self, key: str) -> Path:
        """A file for the unfinished state of a result. Old ones are removed."""
        return self.folder / DRAFTS / f"{key}.safetensors"

    def put(self, key: str, suffix: str, text: str) -> None:
        """Store a text in place of the result that is there, if any. Raises OSError."""
        path = self._path(key, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        if (file := self._held.pop(path, None)) is not None:
            file.close()
        write_text(path, text, durable=False)
        self.find(key, suffix)

    @contextlib.contextmanager
    def making(self, key: str) -> Iterator[None]:
        """Hold the lock of a result for the block."""
        locks = self.folder / "locks"
        try:
            self._path(key, "").parent.mkdir(parents=True, exist_ok=True)
            locks.mkdir(exist_ok=True)
            lock = locked(locks / key)
            lock.__enter__()
        except OSError as error:
            raise MediaError(f"{self.folder}: cannot be written ({error.strerror or error}).") from error
        try:
            yield
        finally:
            lock.__exit__(None, None, None)
            with contextlib.suppress(OSError):
                (locks / f"{key}.lock").unlink()

    def usage(self) -> tuple[int, int]:
        """(results, bytes)."""
        sizes = [size for _, size, _ in self._entries()]
        return len(sizes), sum(sizes)

    def clear(self) -> tuple[int, int]:
        """Remove all results that are not in use. Returns (results, bytes) of those removed."""
        return self._remove_to(0)

    def evict(self) -> None:
        """Remove the results used longest ago, down to the cap."""
        self._remove_to(self.max_bytes)
        for path in self.folder.glob(f"{DRAFTS}/*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > DRAFT_S:
                    path.unlink()

    def _remove_to(self, most: int) -> tuple[int, int]:
        entries = sorted(self._entries())
        total, count, freed = sum(size for _, size, _ in entries), 0, 0
        for _, size, path in entries:
            if total <= most:
                break
            with contextlib.suppress(OSError), path.open("rb") as file:
                if path not in self._held and take(file):
                    path.unlink()
                    total, count, freed = total - size, count + 1, freed + size
        return count, freed

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """(time of the last use in ns, bytes, path) of each result."""
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                if not path.name.startswith("."):
                    stat = path.stat()
                    yield stat.st_mtime_ns, stat.st_size, path

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}{suffix}"
