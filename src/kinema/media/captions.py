"""Read captions: metadata.csv and metadata.jsonl at the top of a folder, and `clip.txt` next to `clip.mp4`. Files are
untrusted: core/text_file.py detects encodings, sizes and depths are bounded, and every unusable row is reported."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError, MediaError
from ..core.outside import parse_json
from ..core.text_file import Text, read_text

FILE_COLUMNS, TEXT_COLUMNS = ("file_name", "video", "path", "file"), ("text", "caption", "prompt")
METADATA = ("metadata.csv", "metadata.jsonl")
FIGURES = "figures.jsonl"
"""Figures of clips without captions, which `kinema curate export` writes."""
ENDINGS = (".txt", ".TXT")
MAX_METADATA_BYTES = 64 * 2**20
MAX_ROW_BYTES = 2**20
Report = Callable[[str, str], object]
"""Callback with the name of a file or row, and a reason or remark."""


def metadata(folder: Path, refuse: Report, note: Report) -> dict[Path, str]:
    """Read captions by the path of their clip under `folder`. refuse: callback for unusable rows. note: callback for
    assumptions."""
    captions: dict[Path, str] = {}
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
                refuse(where, f"no {'file_name' if file is None else 'text'}")
                continue
            path = Path(os.path.normpath(folder / file))
            if "\0" in file or not path.is_relative_to(os.path.normpath(folder)):
                refuse(where, f"{file!r} is outside this folder")
                continue
            captions[folder / path.relative_to(os.path.normpath(folder))] = words.strip()
    return captions


def sidecar(clip: Path) -> Text:
    """Read the caption from the .txt (or .TXT) file next to a clip; empty if the file is missing. Raises MediaError if
    it cannot be read."""
    for ending in ENDINGS:
        with contextlib.suppress(FileNotFoundError):
            return read_text(clip.with_suffix(ending), error=MediaError)
    return Text("", "no caption")


def text_of(row: dict[Any, Any], columns: tuple[str, ...]) -> str | None:
    """The text of the first of these columns that has any, or None."""
    return next((row[column] for column in columns if isinstance(row.get(column), str) and row[column]), None)


def reason(error: KinemaError, path: Path) -> str:
    """The message of an error without the path of the file."""
    return str(error).removeprefix(f"{path}: ").replace(f"{path.parent}{os.sep}", "")


def _other_separator(text: str) -> str:
    """Why a header has no columns, if it uses a separator other than commas; else ""."""
    head = text.partition("\n")[0].rstrip("\r")
    for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
        columns = [column.strip().strip('"') for column in head.split(mark)]
        if len(columns) > 1 and "," not in head and {*columns} & {*FILE_COLUMNS, *TEXT_COLUMNS}:
            return f"columns are separated by {word}; use commas, as in file_name,text"
    return ""


def _csv(text: str) -> Iterator[dict[Any, Any] | str]:
    """Yield rows, or the error message of an invalid row, and continue. Fields have at most 131,072 characters (csv's
    own limit)."""
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
