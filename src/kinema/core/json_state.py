"""What Kinema remembers in a JSON file: one object with a version, `{"schema": 1, ...}`, replaced whole.

A missing file is empty. One of an older version is migrated when it is read and written as the present one by the next
change. One that is empty, cut off or no JSON is told of and, at the next change, kept beside as NAME.damaged-DATE. One
of a later version of Kinema is left as it is: nothing of it is used, and changing it raises StateNewer. A change holds
a lock, so that of two processes neither loses what the other wrote.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import KinemaError
from .lock import locked
from .outside import MAX_JSON_BYTES, for_terminal, read_json
from .whole import set_aside, write_bytes

KEY = "schema"
"""The field with the version. A file without it has version 0."""

Migration = Callable[[Any], dict[str, Any]]


class StateNewer(KinemaError):
    """A later version of Kinema wrote the file."""


@dataclass(frozen=True)
class StoredState:
    """value: without the version; empty where there is nothing that can be used. trouble: why, in words; empty where
    all is well. damaged: what is there goes aside with the next change. newer: it may not be changed."""

    value: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    damaged: bool = False
    newer: bool = False


@dataclass(frozen=True)
class JsonState:
    """One such file. migrations: from version N to N + 1, of the value without its version; 0 also gets values that are
    no object. check: raises KinemaError, KeyError, TypeError or ValueError for a value that counts as damaged. remedy:
    a sentence that follows what is wrong, with what a person can do. durable: a change waits for the disk."""

    path: Path
    version: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=dict)
    check: Callable[[dict[str, Any]], object] = lambda value: None
    remedy: str = ""
    durable: bool = True
    max_bytes: int = MAX_JSON_BYTES
    indent: int | None = 1

    def read(self) -> StoredState:
        """What is there. Never raises."""
        try:
            value: Any = read_json(self.path, max_bytes=self.max_bytes)
        except FileNotFoundError:
            return StoredState()
        except KinemaError as error:
            return self._damaged(str(error))
        version = value.pop(KEY, 0) if isinstance(value, dict) else 0
        if type(version) is not int or version < 0:
            return self._damaged(f"{self.path}: {KEY} is {for_terminal(repr(version), 40)}, no version.")
        if version > self.version:
            return StoredState(trouble=later_version(self.path, version, self.version), newer=True)
        try:
            for number in range(version, self.version):
                if number not in self.migrations:
                    return self._damaged(f"{self.path}: of version {number}, which cannot be read any more.")
                value = self.migrations[number](value)
            self.check(value)
        except KinemaError as error:
            return self._damaged(str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = for_terminal(f"{type(error).__name__}: {error}", 200)
            return self._damaged(f"{self.path}: not as expected ({reason}).")
        return StoredState(value)

    def value(self) -> dict[str, Any]:
        """What is there; empty where nothing is. KinemaError for a damaged file, StateNewer for one of a later version:
        for what must not be begun anew silently."""
        found = self.read()
        if found.trouble:
            raise (StateNewer if found.newer else KinemaError)(found.trouble)
        return found.value

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """The value, to be changed in place; it is written when the block ends without an error. Other processes wait.
        StateNewer; OSError where the folder cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            found = self.read()
            if found.newer:
                raise StateNewer(found.trouble)
            yield found.value
            if found.damaged:
                set_aside(self.path)
            write_bytes(self.path, self.encoded(found.value), durable=self.durable)

    def encoded(self, value: Mapping[str, Any]) -> bytes:
        """The bytes of a file with this value, for who writes it in another way."""
        return json.dumps({KEY: self.version, **value}, indent=self.indent).encode()

    def _damaged(self, trouble: str) -> StoredState:
        return StoredState(trouble=f"{trouble} {self.remedy}".rstrip(), damaged=True)


def later_version(path: Path, version: int, known: int) -> str:
    """What is said of a file that a later version of Kinema wrote."""
    return (
        f"{path}: written by a later version of Kinema ({KEY} {version}; this one knows {known}). "
        "It is left as it is: update Kinema, or move the file away."
    )
