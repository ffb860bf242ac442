"""Media named by their content: "sha256:" and 64 hexadecimal digits, in place of a path.

Only a store of media knows the files. Whoever works for one, as a worker of jobs does, says within a block where they
are; outside such a block a hash names nothing. Requests, plans, manifests and saved states hold the hash itself, so
they mean the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

PREFIX = "sha256:"
Find = Callable[[str], Path]
_find: ContextVar[Find | None] = ContextVar("find media by hash", default=None)


@contextmanager
def hashes_found_by(find: Find) -> Iterator[None]:
    """Within the block, and on its thread, media "sha256:<hex>" are the files that `find` returns. find: raises a
    KinemaError for a hash that it does not have."""
    before = _find.set(find)
    try:
        yield
    finally:
        _find.reset(before)


def file_of(media: str) -> Path | None:
    """The file of "sha256:<hex>"; None for other names, and outside a block of `hashes_found_by`."""
    find = _find.get()
    return find(media) if find is not None and media.startswith(PREFIX) else None
