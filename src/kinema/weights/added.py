"""The list of models that a person added: models.json in Kinema's own folder.

{"schema": 1, "models": [{"id": NAME, "path": FOLDER or FILE}, ...]}. Only what identifies a model is kept: its card is
read off its files again, so that a change of what a card holds breaks no list. Lists of whole cards, as written before,
are read too. Nothing in a damaged list stops what needs none of its entries.
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
    """A model by the name that it is called here, and where its files were when it was added."""

    id: str
    path: str


@dataclass(frozen=True)
class AddedList:
    """troubles: what could not be read of the file, in words."""

    entries: tuple[Added, ...] = ()
    troubles: tuple[str, ...] = ()


def _state(file: Path) -> JsonState:
    return JsonState(
        file, SCHEMA, {0: _whole_cards}, check=lambda value: of_kind(value["models"], f"{file}: models", list),
        remedy="The models that were added are not known; add them again.",
    )  # fmt: skip


def _whole_cards(value: Any) -> dict[str, Any]:
    """A list of whole cards, as written before there was a version."""
    return {"models": of_kind(value, "the models", list)}


def read(file: Path) -> AddedList:
    """The list in a file; empty where there is none. Never raises: what cannot be read is named in `troubles`."""
    found = _state(file).read()
    if found.trouble:
        return AddedList(troubles=(found.trouble,))
    return _entries(file, found.value.get("models", []))


def _entries(file: Path, models: list[Any]) -> AddedList:
    entries, troubles = [], []
    for number, entry in enumerate(models):
        told: dict[str, Any] = entry if isinstance(entry, dict) else {}
        name, path = told.get("id"), told.get("path")
        if _sensible(name) and _sensible(path, 4096):
            entries.append(Added(name, path))
        else:
            shown = for_terminal(repr(name), 80) if name is not None else f"number {number + 1}"
            troubles.append(f"{file}: the model {shown} has no name and path; add it again.")
    return AddedList(tuple(entries), tuple(troubles))


def change(file: Path, to: Callable[[tuple[Added, ...]], Iterable[Added]]) -> None:
    """Replace the entries by what `to` makes of them, one process at a time. A damaged list is kept beside it.
    ModelError where it cannot be written, or where a later version of Kinema wrote it; what `to` raises."""
    try:
        with _state(file).change() as value:
            before = _entries(file, value.get("models", []))
            value["models"] = [asdict(entry) for entry in to(before.entries)]
            if before.troubles:  # entries that cannot be read would be lost
                set_aside(file)
    except StateNewer as error:
        raise ModelError(str(error)) from None
    except OSError as error:
        raise ModelError(f"{file}: cannot be written: {error}.") from None


def _sensible(text: object, most: int = MAX_NAME_CHARS) -> TypeGuard[str]:
    return isinstance(text, str) and 0 < len(text) <= most and "\0" not in text
