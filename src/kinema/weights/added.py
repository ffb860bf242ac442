"""The list of added models: models.json in Kinema's data folder.

{"schema": 1, "models": [{"id": NAME, "path": FOLDER or FILE}, ...]}. The list stores no cards: they are read from the
models' files, so a change of the card's fields breaks no list. The older format, a list of cards, is still read. A
damaged list affects only its own entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from ..core.errors import ModelError
from ..core.json_state import JsonState, StateNewer
from ..core.outside import for_terminal, of_kind
from ..core.whole import set_aside

SCHEMA = 1
MAX_NAME_CHARS = 300


@dataclass(frozen=True)
class Added:
    """The name of an added model and the path of its files."""

    id: str
    path: str


@dataclass(frozen=True)
class AddedList:
    """The list as read. troubles: messages about its unreadable parts."""

    entries: tuple[Added, ...] = ()
    troubles: tuple[str, ...] = ()


def _state(file: Path) -> JsonState:
    return JsonState(
        file, SCHEMA, {0: _whole_cards}, check=lambda value: of_kind(value["models"], f"{file}: models", list),
        remedy="To use added models, add them again.",
    )  # fmt: skip


def _whole_cards(value: Any) -> dict[str, Any]:
    """Migrate the unversioned format: a list of cards."""
    return {"models": of_kind(value, "the models", list)}


def read(file: Path) -> AddedList:
    """The list in a file; empty if the file does not exist. Never raises: `troubles` names unreadable parts."""
    found = _state(file).read()
    if found.trouble:
        return AddedList(troubles=(found.trouble,))
    return _entries(file, found.value.get("models", []))


def _entries(file: Path, models: list[Any]) -> AddedList:
    entries, troubles = [], []
    for number, entry in enumerate(models):
        fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
        name, path = fields.get("id"), fields.get("path")
        if _sensible(name) and _sensible(path, 4096):
            entries.append(Added(name, path))
        else:
            shown = for_terminal(repr(name), 80) if name is not None else f"number {number + 1}"
            troubles.append(f"{file}: the model {shown} has no legal name and path; add it again.")
    return AddedList(tuple(entries), tuple(troubles))


def change(file: Path, to: Callable[[tuple[Added, ...]], Iterable[Added]]) -> None:
    """Replace the entries by `to(entries)`, under a lock. A damaged list is set aside in a copy. ModelError if the file
    cannot be written or comes from a later version of Kinema; also raises what `to` raises."""
    try:
        with _state(file).change() as value:
            before = _entries(file, value.get("models", []))
            value["models"] = [asdict(entry) for entry in to(before.entries)]
            if before.troubles:  # unreadable entries would be lost
                set_aside(file)
    except StateNewer as error:
        raise ModelError(str(error)) from None
    except OSError as error:
        raise ModelError(f"{file}: cannot be written: {error}.") from None


def _sensible(text: object, most: int = MAX_NAME_CHARS) -> TypeGuard[str]:
    return isinstance(text, str) and 0 < len(text) <= most and "\0" not in text
