"""Words for clips as people keep them: metadata.csv and metadata.jsonl at the top of a folder, `clip.txt` beside
`clip.mp4`. Files come from anywhere: encodings by core/text_file.py, sizes and depth bounded, every row that cannot be
used named with its reason."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError, MediaError
from ...core.outside import parse_json
from ...core.text_file import Text, read_text

FILE_COLUMNS, TEXT_COLUMNS = ("file_name", "video", "path", "file"), ("text", "caption", "prompt")
METADATA = ("metadata.csv", "metadata.jsonl")
ENDINGS = (".txt", ".TXT")
MAX_METADATA_BYTES = 64 * 2**20
MAX_ROW_BYTES = 2**20
Tell = Callable[[str, str], object]
"""Called with a name and what there is to say of it."""


def metadata(folder: Path, refuse: Tell, note: Tell) -> dict[Path, str]:
    """Captions by the path of their clip, under `folder`. refuse: rows that have none. note: what was assumed."""
    told: dict[Path, str] = {}
    for name in METADATA:
        try:
            text, assumed = read_text(folder / name, error=MediaError, max_bytes=MAX_METADATA_BYTES)
        except FileNotFoundError:
            continue
        except MediaError as error:
            refuse(name, reason(error, folder / name))
            continue
        if assumed:
            note(name, assumed)
        if name.endswith(".csv") and (other := _other_separator(text)):
            refuse(name, other)
            continue
        rows = _csv(text) if name.endswith(".csv") else _jsonl(text)
        for number, row in enumerate(rows, start=1):
            where = f"{name}, row {number}"
            if isinstance(row, str):
                refuse(where, row)
                continue
            file, words = text_of(row, FILE_COLUMNS), text_of(row, TEXT_COLUMNS)
            if file is None or words is None:
                refuse(where, f"it has no {'file_name' if file is None else 'text'}")
                continue
            path = Path(os.path.normpath(folder / file))
            if "\0" in file or not path.is_relative_to(os.path.normpath(folder)):
                refuse(where, f"{file!r} is no file of this folder")
                continue
            told[folder / path.relative_to(os.path.normpath(folder))] = words.strip()
    return told


def beside(clip: Path) -> Text:
    """The caption in the .txt (or .TXT) file beside a clip, and what was assumed about it; empty where there is none.
    Raises MediaError where one cannot be read."""
    for ending in ENDINGS:
        with contextlib.suppress(FileNotFoundError):
            return read_text(clip.with_suffix(ending), error=MediaError)
    return Text("", "no caption")


def text_of(row: dict[Any, Any], columns: tuple[str, ...]) -> str | None:
    """The first of these columns that has text in a row."""
    return next((row[column] for column in columns if isinstance(row.get(column), str) and row[column]), None)


def reason(error: KinemaError, path: Path) -> str:
    """What an error says of a file, without the file's place, which whoever lists it knows."""
    return str(error).removeprefix(f"{path}: ").replace(f"{path.parent}{os.sep}", "")


def _other_separator(text: str) -> str:
    """Why its columns cannot be told apart, if its first line names them between something else than commas."""
    head = text.partition("\n")[0].rstrip("\r")
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        columns = [column.strip().strip('"') for column in head.split(mark)]
        if len(columns) > 1 and "," not in head and {*columns} & {*FILE_COLUMNS, *TEXT_COLUMNS}:
            return f"its columns are separated by {word}; commas are expected, as in file_name,text"
    return ""


def _csv(text: str) -> Iterator[dict[Any, Any] | str]:
    """Rows, or why one is none. The module's own limit of 131,072 characters a field holds; the next row is read."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield str(error)


def _jsonl(text: str) -> Iterator[dict[Any, Any] | str]:
    for line in text.split("\n"):
        if line.strip():
            try:
                yield parse_json(line, "row", dict, error=MediaError, max_bytes=MAX_ROW_BYTES)
            except MediaError as error:
                yield str(error).removeprefix("row: ")
