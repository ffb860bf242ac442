"""Configurations of checkpoints (model_index.json, config.json). The files are untrusted: every value is checked when
it is read, and error messages name the file and the value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from ..core.outside import for_terminal, read_json

LARGEST = 2**24
"""Limit of a number in a configuration; no network is that wide."""

LONGEST = 4096
"""Limit of the length of a list of numbers."""


class Config:
    """A JSON object with typed access. Every method raises ModelError for a value of another type. `default` replaces
    a value that is missing or null; without a default, that is an error too. `what` starts error messages."""

    def __init__(self, values: Mapping[str, Any], what: str) -> None:
        self.values, self.what = values, what

    @classmethod
    def read(cls, file: Path) -> Config:
        """Read a file. ModelError if it is not a JSON object; FileNotFoundError if it does not exist."""
        return cls(read_json(file, dict, error=ModelError), str(file))

    @classmethod
    def maybe(cls, file: Path) -> Config | None:
        """As `read`, but None if the file does not exist."""
        return cls.read(file) if file.exists() else None

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._of(name, str, "text", default))

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._of(name, bool, "true or false", default))

    def number(self, name: str, default: float | None = None) -> float:
        value = self._of(name, (int, float), "a number", default)
        if isinstance(value, bool) or not abs(value) <= LARGEST:
            raise self.wrong(name, "a number")
        return float(value)

    def whole(self, name: str, default: int | None = None, least: int = 1, most: int = LARGEST) -> int:
        value = self._of(name, int, f"a whole number from {least} to {most}", default)
        if isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return int(value)

    def wholes(self, name: str, least: int = 1, most: int = LARGEST) -> tuple[int, ...]:
        """A non-empty list of whole numbers; a single number becomes a list of one."""
        value = self.values.get(name)
        found: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
        if not 0 < len(found) <= LONGEST or any(type(each) is not int or not least <= each <= most for each in found):
            raise self.wrong(name, f"whole numbers from {least} to {most}")
        return tuple(found)

    def numbers(self, name: str, count: int) -> list[float]:
        """A list of `count` numbers."""
        value = self.values.get(name)
        found = list(value) if isinstance(value, list | tuple) else []
        if len(found) != count or any(type(each) not in (int, float) or not abs(each) <= LARGEST for each in found):
            raise self.wrong(name, f"a list of {count} numbers")
        return [float(each) for each in found]

    def part(self, name: str) -> tuple[str, str] | None:
        """(library, class) of a pipeline's part in model_index.json; None if it has no such part."""
        value = self.values.get(name)
        if value is None or value == [None, None]:
            return None
        if not (isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value)):
            raise self.wrong(name, "a library and a class")
        return value[0], value[1]

    def parts(self) -> dict[str, tuple[str, str]]:
        """Every part of the pipeline that model_index.json names, by name."""
        named = [name for name, value in self.values.items() if isinstance(value, list) and "/" not in name]
        return {name: part for name in named if not name.startswith((".", "_")) and (part := self.part(name))}

    def wrong(self, name: str, expected: str) -> ModelError:
        shown = for_terminal(repr(self.values.get(name)), 80)
        return ModelError(f"{self.what}: {name} must be {expected}, got {shown}.")

    def _of(self, name: str, kind: Any, expected: str, default: Any) -> Any:
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, kind):
            raise self.wrong(name, expected)
        return value
