"""State in a JSON file: one object with a version, `{"schema": 1, ...}`, replaced atomically.

A missing file counts as empty. An older version is migrated when it is read, and saved in the current version by the
next change. A file that is empty, truncated or not JSON is reported and, at the next change, renamed to
NAME.damaged-DATE. A file of a later version of Kinema is left untouched and unused; changing it raises StateNewer. A
change holds a lock, so that concurrent processes do not lose each other's changes.
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
    """The result of a read. value: without the version; empty if no value is usable. trouble: the reason, or "".
    damaged: the next change sets the file aside. newer: the file must not be changed."""

    value: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""
    damaged: bool = False
    newer: bool = False


@dataclass(frozen=True)
class JsonState:
    """One state file. migrations: from version N to N + 1, for the value without its version; 0 also gets values that
    are not objects. check: raises KinemaError, KeyError, TypeError or ValueError if the value counts as damaged.
    remedy: a sentence for the user, appended to error messages. durable: a change waits for the disk."""

    path: Path
    version: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=dict)
    check: Callable[[dict[str, Any]], object] = lambda value: None
    remedy: str = ""
    durable: bool = True
    max_bytes: int = MAX_JSON_BYTES
    indent: int | None = 1

    def read(self) -> StoredState:
        """Read the file. Never raises."""
        try:
            value: Any = read_json(self.path, max_bytes=self.max_bytes)
        except FileNotFoundError:
            return StoredState()
        except KinemaError as error:
            return self._damaged(str(error))
        version = value.pop(KEY, 0) if isinstance(value, dict) else 0
        if type(version) is not int or version < 0:
            return self._damaged(f"{self.path}: {KEY} is {for_terminal(repr(version), 40)}, not a version number.")
        if version > self.version:
            return StoredState(trouble=later_version(self.path, version, self.version), newer=True)
        try:
            for number in range(version, self.version):
                if number not in self.migrations:
                    return self._damaged(f"{self.path}: version {number} is no longer supported.")
                value = self.migrations[number](value)
            self.check(value)
        except KinemaError as error:
            return self._damaged(str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = for_terminal(f"{type(error).__name__}: {error}", 200)
            return self._damaged(f"{self.path}: invalid content ({reason}).")
        return StoredState(value)

    def value(self) -> dict[str, Any]:
        """The stored value; empty if the file is missing. Raises KinemaError for a damaged file and StateNewer for one
        of a later version: for state that must not be reset silently."""
        found = self.read()
        if found.trouble:
            raise (StateNewer if found.newer else KinemaError)(found.trouble)
        return found.value

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """Yield the value, to be changed in place; it is written when the block ends without an error. Other processes
        wait. Raises StateNewer; OSError if the folder is not writable."""
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
        """The bytes of a file with this value, for callers that write it themselves."""
        return json.dumps({KEY: self.version, **value}, indent=self.indent).encode()

    def _damaged(self, trouble: str) -> StoredState:
        return StoredState(trouble=f"{trouble} {self.remedy}".rstrip(), damaged=True)


def later_version(path: Path, version: int, known: int) -> str:
    """The message for a file that a later version of Kinema wrote."""
    return (
        f"{path}: written by a later version of Kinema ({KEY} {version}; this one supports {known}). "
        "The file is left unchanged: update Kinema, or move the file away."
    )
