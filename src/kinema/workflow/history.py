"""What was made on this machine: history.jsonl in Kinema's own folder, one JSON object a line, the newest last.

    {"schema": 1, "when": "2026-01-31T12:00:00+00:00", "made": "generated", "path": "/films/ball.mp4", ...}

Bounded: the last 1,000 clips, 1 MB. Damaged lines are left out and go with the next rewriting; a file that cannot be
read at all is moved aside by the next clip. KINEMA_HISTORY=off records nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..core.errors import KinemaError, MediaError
from ..core.lock import locked
from ..core.outside import exists, parse_json, read_bytes
from ..core.whole import set_aside, write_bytes
from ..weights.store import home

SCHEMA = 1
MAX_ENTRIES, MAX_BYTES = 1000, 1_000_000
MAX_TEXT_CHARS = 500
"""Of a prompt that is kept; the clip's own manifest has all of it."""
_SLACK = 1.25
"""How far the bounds are passed before the file is rewritten: not at every clip."""
OFF = ("off", "0", "no", "false")

State = Literal["here", "gone", "replaced"]


@dataclass(frozen=True)
class HistoryEntry:
    """One clip. made: generated, film, interpolated, scored, upscaled. bytes: of the file when it was written."""

    when: str
    made: str
    path: str
    prompt: str = ""
    model: str = ""
    seed: int | None = None
    width: int = 0
    height: int = 0
    frames: int = 0
    fps: float = 0.0
    bytes: int = 0

    @property
    def state(self) -> State:
        """Is the file still where it was written, and as large as it was?"""
        if not exists(self.path):
            return "gone"
        try:
            return "here" if _size(Path(self.path)) == self.bytes else "replaced"
        except OSError:
            return "gone"


@dataclass(frozen=True)
class History:
    """entries: the newest first. troubles: what could not be read, in words."""

    entries: tuple[HistoryEntry, ...] = ()
    troubles: tuple[str, ...] = ()


def place() -> Path:
    """Where the history is kept."""
    return home() / "history.jsonl"


def is_on() -> bool:
    """Is it recorded what is made?"""
    return os.environ.get("KINEMA_HISTORY", "").strip().lower() not in OFF


def read() -> History:
    """What was made here. Never raises: what cannot be read is named in `troubles`."""
    file = place()
    try:
        lines = _lines(file)
    except KinemaError as error:
        return History(troubles=(f"{error} The history begins anew with the next clip.",))
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    lost = len(lines) - len(entries)
    troubles = (
        (f"{file}: {lost} line{'s' if lost > 1 else ''} left out, damaged or of a later version.",) if lost else ()
    )
    return History(tuple(reversed(entries[-MAX_ENTRIES:])), troubles)


def record(
    path: str | os.PathLike[str], made: str, *, prompt: str = "", model: str = "", seed: int | None = None,
    size: tuple[int, int] = (0, 0), frames: int = 0, fps: float = 0.0,
) -> str:  # fmt: skip
    """Note that a clip was made. Returns why that could not be written, in words; empty where it was, or is turned off.
    A clip that is finished never fails for its note."""
    if not is_on():
        return ""
    file = place()
    try:
        entry = HistoryEntry(
            when=datetime.now(UTC).isoformat(timespec="seconds"), made=made, path=str(Path(path).absolute()),
            prompt=prompt[:MAX_TEXT_CHARS], model=model[:MAX_TEXT_CHARS], seed=seed, width=size[0], height=size[1],
            frames=frames, fps=round(fps, 6), bytes=_size(Path(path)),
        )  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file):
            _append(file, json.dumps({"schema": SCHEMA, **asdict(entry)}).encode() + b"\n")
    except (OSError, ValueError, KinemaError) as error:
        return f"The clip is not in the history: {error}"
    return ""


def clear() -> int:
    """Forget everything; the clips stay. Returns how many entries there were. MediaError where the file cannot be
    removed."""
    file, num = place(), len(read().entries)
    try:
        if file.parent.is_dir():
            with locked(file):
                file.unlink(missing_ok=True)
    except OSError as error:
        raise MediaError(f"{file}: cannot be removed ({error.strerror or error}).") from None
    return num


def _append(file: Path, line: bytes) -> None:
    try:
        before = _lines(file)
    except KinemaError:
        set_aside(file)
        before = []
    size = sum(len(each) + 1 for each in before) + len(line)
    if len(before) + 1 > MAX_ENTRIES * _SLACK or size > MAX_BYTES * _SLACK:
        _rewrite(file, [*before, line.rstrip(b"\n")])
        return
    with file.open("ab") as out:
        if out.tell() and not _ends_a_line(file):  # a line that a killed process or a full disk cut
            line = b"\n" + line
        out.write(line)


def _rewrite(file: Path, lines: list[bytes]) -> None:
    """The newest lines that are whole; those of a later version of Kinema stay."""
    kept: list[bytes] = []
    size = 0
    for line in reversed(lines[-MAX_ENTRIES:]):
        size += len(line) + 1
        if size > MAX_BYTES:
            break
        if _entry(line) is not None or _is_later(line):
            kept.append(line)
    write_bytes(file, b"".join(each + b"\n" for each in reversed(kept)))


def _lines(file: Path) -> list[bytes]:
    """The lines that are not empty. KinemaError where the file is no history: far too large, no regular file, ..."""
    try:
        data = read_bytes(file, max_bytes=2 * MAX_BYTES)
    except FileNotFoundError:
        return []
    return [line for line in data.split(b"\n") if line.strip()]


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read(1) == b"\n"


def _value(line: bytes) -> dict[str, Any]:
    try:
        return parse_json(line, "an entry", dict, max_bytes=MAX_BYTES)
    except KinemaError:
        return {}


def _is_later(line: bytes) -> bool:
    schema = _value(line).get("schema")
    return type(schema) is int and schema > SCHEMA


def _entry(line: bytes) -> HistoryEntry | None:
    """What a line says; None where it is damaged, or of another schema."""
    found = _value(line)
    if found.get("schema") != SCHEMA:
        return None
    told = {each.name: found[each.name] for each in fields(HistoryEntry) if each.name in found}
    whole_numbers = all(type(told.get(name, 0)) is int for name in ("width", "height", "frames", "bytes"))
    texts = all(isinstance(told.get(name, ""), str) for name in ("when", "made", "path", "prompt", "model"))
    seed = told.get("seed")
    if not (whole_numbers and texts and (seed is None or type(seed) is int)) or type(told.get("fps", 0.0)) not in (
        int, float,
    ):  # fmt: skip
        return None
    try:
        entry = HistoryEntry(**told)
        datetime.fromisoformat(entry.when)
    except (TypeError, ValueError):
        return None
    return entry if entry.path and "\0" not in entry.path else None


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size
