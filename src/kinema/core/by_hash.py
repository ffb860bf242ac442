"""Media named by their content: "sha256:" and 64 hexadecimal digits, in place of a path.

Only a store of media knows the files. Whoever works for one, as a worker of jobs does, says within a block where they
are; outside such a block a hash names nothing. Requests, plans, manifests and saved states hold the hash itself, so
they mean the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

PREFIX = "sha256:"
_MEDIA, _SHA = re.compile(rf"{PREFIX}[0-9a-f]{{64}}"), re.compile(r"[0-9a-f]{64}")
Find = Callable[[str], Path]
_find: ContextVar[Find | None] = ContextVar("find media by hash", default=None)


def is_media(value: Any) -> bool:
    """Whether a value is "sha256:<64 hexadecimal digits>"."""
    return isinstance(value, str) and _MEDIA.fullmatch(value) is not None


def is_sha256(text: str) -> bool:
    """Whether a text is 64 hexadecimal digits."""
    return _SHA.fullmatch(text) is not None


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Plain JSON with each of these names replaced, also inside the sentences of errors."""
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {key: renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [renamed(each, names) for each in value]
    return value


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
