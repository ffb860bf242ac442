"""The folder of a data set: curation.json (what was asked), state.db (what was found), clips.parquet (the table)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from ..core.errors import KinemaError, RequestError
from ..core.near import nearest
from ..core.outside import read_json
from ..core.whole import write_text
from .marks import Op, Threshold, resolved
from .table import read_rows, table_columns, write_table

SETTINGS, STATE, TABLE, REPORT = "curation.json", "state.db", "clips.parquet", "report.html"
VERSION = 1
_CHANGE = re.compile(r"\s*([a-z0-9_]+)\s*(>=|<=|>|<|=)\s*(\S+)\s*")


@dataclass(frozen=True)
class CurationFile:
    """What curation.json holds. left_out: stages of the recipe that could not be opened, with the reason."""

    folder: str
    recipe: str
    cuts: tuple[str, ...]
    stages: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    longest_s: float | None = None
    options: tuple[tuple[str, str], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    def write(self, dataset: Path) -> None:
        """Raises KinemaError."""
        try:
            write_text(dataset / SETTINGS, json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n")
        except OSError as error:
            raise KinemaError(f"{dataset / SETTINGS}: cannot be written ({error.strerror or error}).") from error

    @staticmethod
    def read(dataset: Path) -> CurationFile:
        """Raises RequestError if the folder is no data set, KinemaError for a damaged file."""
        file = dataset / SETTINGS
        try:
            found = read_json(file, dict)
        except FileNotFoundError:
            raise RequestError(
                f"{dataset}: not a data set of kinema curate.", field="dataset", value=str(dataset),
                legal="the folder given to `kinema curate FOLDER -o DATASET`",
            ) from None  # fmt: skip
        try:
            if found.pop("version") != VERSION:
                raise KinemaError(f"{file}: written by another version of Kinema.")
            thresholds = tuple(Threshold(**each) for each in found.pop("thresholds"))
            if wrong := [each.op for each in thresholds if each.op not in get_args(Op)]:
                raise KinemaError(f"{file}: damaged (no such comparison: {wrong[0]}).")
            for field in ("options", "left_out"):
                found[field] = tuple((str(name), str(value)) for name, value in found[field])
            found["cuts"], found["stages"] = tuple(found["cuts"]), tuple(found["stages"])
            return CurationFile(thresholds=thresholds, **found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise KinemaError(f"{file}: damaged ({error}).") from error


def changed_thresholds(
    thresholds: Sequence[Threshold], changes: Sequence[str], columns: Sequence[str]
) -> tuple[Threshold, ...]:
    """Thresholds after changes as they are typed: "text_area=0.05" gives the only threshold of this column another
    value, "text_area<=0.05" replaces or adds one,
    "text_area=off" removes all of the column, "duplicate_of=empty" keeps clips without a value. Raises RequestError."""
    found = list(thresholds)
    for text in changes:
        match = _CHANGE.fullmatch(text)
        if match is None:
            raise RequestError(
                f"--set {text!r}.",
                field="set",
                value=text,
                legal="COLUMN=VALUE, COLUMN>=VALUE, COLUMN<VALUE, COLUMN=off",
            )
        column, op, word = match.groups()
        if column not in columns:
            raise RequestError(
                f"--set {text}: no column {column!r}.", field="set", value=column, legal=", ".join(columns),
                nearest=nearest(column, columns),
            )  # fmt: skip
        own = [each for each in found if each.column == column]
        if word in ("off", "empty"):
            found = [each for each in found if each.column != column]
            found += [Threshold(column, "empty", 0.0, f"{column} has a value")] if word == "empty" else []
            continue
        value = _number(text, word)
        if op == "=":
            own = [each for each in own if not each.relative] or own
            if len(own) != 1:
                raise RequestError(
                    f"--set {text}: this column has {len(own) or 'no'} threshold{'s' if own else ''}.", field="set",
                    value=text, legal=f"{column}>={word} or {column}<={word}",
                )  # fmt: skip
            found[found.index(own[0])] = replace(own[0], value=value, source="")
            continue
        same = sorted((each for each in own if _upward(each.op) == _upward(op)), key=lambda each: each.relative)
        direction = "less" if op[0] == ">" else "more"
        made = Threshold(column, op, value, f"{column}: {direction} than {value:g}")  # type: ignore[arg-type]
        if same:
            found[found.index(same[0])] = made
        else:
            found.append(made)
    return tuple(found)


def remark(dataset: Path, thresholds: Sequence[Threshold]) -> dict[str, int]:
    """Write the table again with the marks of other thresholds; nothing is measured. Returns counts as write_table."""
    file = dataset / TABLE
    columns = table_columns(file)
    relative = sorted({each.column for each in thresholds if each.relative} & {each.name for each in columns})
    figures: dict[str, list[Any]] = {name: [] for name in relative}
    for row in read_rows(file, relative) if relative else ():
        for name in relative:
            figures[name].append(row[name])
    return write_table(file, columns, read_rows(file), resolved(thresholds, figures))


def _upward(op: str) -> bool:
    """Whether larger figures pass."""
    return op in (">", ">=", "above_share")


def _number(text: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise RequestError(f"--set {text}: not a number.", field="set", value=word, legal="a number, or off") from None
