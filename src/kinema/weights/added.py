"""The list of models that a person added: models.json in Kinema's own folder.

{"schema": 1, "models": [{"id": NAME, "path": FOLDER or FILE}, ...]}. Only what identifies a model is kept: its card is
read off its files again, so that a change of what a card holds breaks no list. Lists of whole cards, as written before,
are read too. Nothing in a damaged list stops what needs none of its entries.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from ..core.errors import KinemaError, ModelError
from ..core.leftovers import mark
from ..core.outside import for_terminal, read_json
from ..core.whole import whole

SCHEMA = 1
MAX_NAME_CHARS = 300


@dataclass(frozen=True)
class Added:
    """A model by the name that it is called here, and where its files were when it was added."""

    id: str
    path: str


@dataclass(frozen=True)
class AddedList:
    """troubles: what could not be read of the file, in words. schema: of the file as it was found."""

    entries: tuple[Added, ...] = ()
    troubles: tuple[str, ...] = ()
    schema: int = SCHEMA


def read(file: Path) -> AddedList:
    """The list in a file; empty where there is none. Never raises: what cannot be read is named in `troubles`."""
    try:
        found: Any = read_json(file, (list, dict))
    except FileNotFoundError:
        return AddedList()
    except KinemaError as error:
        return AddedList(troubles=(f"{error} The models that were added are not known; add them again.",))
    schema: Any = SCHEMA
    if isinstance(found, dict):
        schema, found = found.get("schema"), found.get("models")
    if type(schema) is not int or not isinstance(found, list):
        return AddedList(troubles=(f"{file}: no list of models. Those that were added are not known; add them again.",))
    entries, troubles = [], []
    for number, entry in enumerate(found):
        told: dict[str, Any] = entry if isinstance(entry, dict) else {}
        name, path = told.get("id"), told.get("path")
        if _sensible(name) and _sensible(path, 4096):
            entries.append(Added(name, path))
        else:
            shown = for_terminal(repr(name), 80) if name is not None else f"number {number + 1}"
            troubles.append(f"{file}: the model {shown} has no name and path; add it again.")
    return AddedList(tuple(entries), tuple(troubles), schema)


def write(file: Path, entries: tuple[Added, ...], before: AddedList) -> None:
    """Replace the list. A damaged one is kept beside it. ModelError where it cannot be written, or where a later
    version of Kinema wrote it."""
    if before.schema > SCHEMA:
        raise ModelError(f"{file}: written by a later version of Kinema (schema {before.schema}); it is left as it is.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if before.troubles and file.exists():
            file.replace(file.with_name(f"{file.name}.damaged-{mark()}"))
        with whole(file) as beside:
            told = {"schema": SCHEMA, "models": [asdict(entry) for entry in entries]}
            beside.write_text(json.dumps(told, indent=1), encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{file}: cannot be written: {error}.") from None


def _sensible(text: object, most: int = MAX_NAME_CHARS) -> TypeGuard[str]:
    return isinstance(text, str) and 0 < len(text) <= most and "\0" not in text
