"""The clips generated on this machine: history.jsonl in Kinema's home folder, one JSON object per line, newest last.

    {"schema": 1, "when": "2026-01-31T12:00:00+00:00", "made": "generated", "path": "/films/ball.mp4", ...}

Bounded: the last 1,000 clips, 1 MB. Damaged lines are skipped and dropped by the next rewrite; a file that cannot be
read at all is moved aside by the next clip. KINEMA_HISTORY=off disables it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..core.errors import KinemaError, MediaError
from ..core.home import home
from ..core.lock import locked
from ..core.outside import exists, parse_json, read_bytes
from ..core.whole import set_aside, write_bytes

SCHEMA = 1
MAX_ENTRIES, MAX_BYTES = 1000, 1_000_000
MAX_TEXT_CHARS = 500
"""Maximum length of a recorded prompt; the clip's own manifest has all of it."""
_SLACK = 1.25
"""The bounds may be exceeded by this factor, so that the file is not rewritten for every clip."""
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
        """Whether the file still exists, with its size when it was written."""
        if not exists(self.path):
            return "gone"
        try:
            return "here" if _size(Path(self.path)) == self.bytes else "replaced"
        except OSError:
            return "gone"


@dataclass(frozen=True)
class History:
    """entries: the newest first. troubles: messages about what could not be read."""

    entries: tuple[HistoryEntry, ...] = ()
    troubles: tuple[str, ...] = ()


def place() -> Path:
    """Return the path of the history."""
    return home() / "history.jsonl"


def is_on() -> bool:
    """Whether new clips are recorded."""
    return os.environ.get("KINEMA_HISTORY", "").strip().lower() not in OFF


def read() -> History:
    """Return the history. Never raises: errors are in `troubles`."""
    file = place()
    try:
        lines = _lines(file)
    except KinemaError as error:
        return History(troubles=(f"{error} The next clip starts a new history.",))
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    lost = len(lines) - len(entries)
    troubles = (
        (f"{file}: {lost} line{'s' if lost > 1 else ''} skipped, damaged or of a later version.",) if lost else ()
    )
    return History(tuple(reversed(entries[-MAX_ENTRIES:])), troubles)


def record(
    path: str | os.PathLike[str], made: str, *, prompt: str = "", model: str = "", seed: int | None = None,
    size: tuple[int, int] = (0, 0), frames: int = 0, fps: float = 0.0,
) -> str:  # fmt: skip
    """Record a clip. Returns why that failed, or "" if it worked or is disabled; an error here never fails the clip."""
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
    """Remove all entries; the clips stay. Returns their number. Raises MediaError if the file cannot be removed."""
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
    """Write the newest valid lines; those of a later version of Kinema stay."""
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
    """Return the lines that are not empty. Raises KinemaError for a file that is too large or not regular."""
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
    """Return the entry of a line, or None if it is damaged or has another schema."""
    found = _value(line)
    if found.get("schema") != SCHEMA:
        return None
    values = {each.name: found[each.name] for each in fields(HistoryEntry) if each.name in found}
    whole_numbers = all(type(values.get(name, 0)) is int for name in ("width", "height", "frames", "bytes"))
    texts = all(isinstance(values.get(name, ""), str) for name in ("when", "made", "path", "prompt", "model"))
    seed = values.get("seed")
    if not (whole_numbers and texts and (seed is None or type(seed) is int)) or type(values.get("fps", 0.0)) not in (
        int, float,
    ):  # fmt: skip
        return None
    try:
        entry = HistoryEntry(**values)
        datetime.fromisoformat(entry.when)
    except (TypeError, ValueError):
        return None
    return entry if entry.path and "\0" not in entry.path else None


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size
