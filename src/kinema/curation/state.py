"""What a curation has found so far, in an SQLite file: files, their clips, and the figures of each clip by stage. A
process that is killed loses at most the results of the last moment; everything else is kept and not computed again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.sqlite_state import SqliteState
from .stage import WRITTEN, CutClip

PAGE = 256
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, caption TEXT, error TEXT,
    done INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clips (name TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, fps REAL NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, PRIMARY KEY (name, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS figures (name TEXT NOT NULL, start INTEGER NOT NULL, stage TEXT NOT NULL, key TEXT NOT NULL,
    figures TEXT NOT NULL, error TEXT, PRIMARY KEY (name, start, stage)) WITHOUT ROWID
"""


@dataclass(frozen=True)
class SourceFile:
    """A file of the folder. name: its path relative to the folder, with /. stamp: size and time of change. error: why
    it is not opened, or ""."""

    name: str
    stamp: str
    caption: str | None = None
    error: str = ""


@dataclass(frozen=True)
class ShotsOfFile:
    """What splitting a file gave: its spans of frames and properties, or the reason why there are none."""

    name: str
    spans: tuple[tuple[int, int], ...] = ()
    fps: float = 0.0
    width: int = 0
    height: int = 0
    error: str = ""


@dataclass(frozen=True)
class MeasuredClip:
    """The figures of a clip: by stage, (values of its columns, error or "")."""

    name: str
    start: int
    stages: Mapping[str, tuple[Mapping[str, Any], str]]


class CurationState:
    """The open state of a data set. keys: by stage, a text that changes with its version and options."""

    def __init__(self, file: Path) -> None:
        self.state = SqliteState(file, (_SCHEMA,), durable=False)

    def close(self) -> None:
        self.state.close()

    def list_files(self, found: Iterable[SourceFile]) -> None:
        """Take the present files of the folder. Clips and figures of files that changed or are missing are
        forgotten."""
        with self.state.work() as db:
            db.execute("UPDATE files SET seen = 0")
            for each in found:
                known = db.execute("SELECT stamp FROM files WHERE name = ?", (each.name,)).fetchone()
                if known is None or known[0] != each.stamp:
                    self._forget(db, each.name)
                    db.execute(
                        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, 1)",
                        (each.name, each.stamp, each.caption, each.error or None, bool(each.error)),
                    )
                else:
                    db.execute("UPDATE files SET seen = 1, caption = ? WHERE name = ?", (each.caption, each.name))
            for (name,) in db.execute("SELECT name FROM files WHERE NOT seen").fetchall():
                self._forget(db, name)

    @staticmethod
    def _forget(db: Any, name: str) -> None:
        for table in ("files", "clips", "figures"):
            db.execute(f"DELETE FROM {table} WHERE name = ?", (name,))

    def unsplit(self) -> Iterator[SourceFile]:
        """The files that are not split yet, in order."""
        for name, stamp, caption in self._pages(
            "SELECT name, stamp, caption FROM files WHERE NOT done AND name > ? ORDER BY name LIMIT ?", ("",), (0,)
        ):
            yield SourceFile(name, stamp, caption)

    def add_shots(self, found: Sequence[ShotsOfFile]) -> None:
        with self.state.work() as db:
            for each in found:
                db.execute("UPDATE files SET done = 1, error = ? WHERE name = ?", (each.error or None, each.name))
                db.executemany(
                    "INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?, ?)",
                    [(each.name, start, stop, each.fps, each.width, each.height) for start, stop in each.spans],
                )

    def unmeasured(self, folder: Path, keys: Mapping[str, str]) -> Iterator[tuple[CutClip, tuple[str, ...]]]:
        """The clips that lack figures of some stages, in order, and the names of these stages."""
        for row in self._pages(self._clips("AND (c.name, c.start) > (?, ?)", "LIMIT ?"), ("", -1), (0, 1)):
            with self.state.look() as db:
                held = db.execute(
                    "SELECT stage, key, figures FROM figures WHERE name = ? AND start = ?", (row[0], row[1])
                ).fetchall()
            known = {stage: key for stage, key, _ in held}
            if missing := tuple(stage for stage, key in keys.items() if known.get(stage) != key):
                clip = _clip(folder, row)
                if not clip.caption:
                    written = [json.loads(figures).get(WRITTEN) for stage, _, figures in held if stage not in missing]
                    clip = replace(clip, caption=next((text for text in written if text), None))
                yield clip, missing

    def add_figures(self, found: Sequence[MeasuredClip], keys: Mapping[str, str]) -> None:
        with self.state.work() as db:
            db.executemany(
                "INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (each.name, each.start, stage, keys[stage], json.dumps(dict(figures)), error or None)
                    for each in found
                    for stage, (figures, error) in each.stages.items()
                ],
            )

    def counts(self) -> tuple[int, int, int]:
        """The numbers of files, of those not split yet, and of clips."""
        with self.state.look() as db:
            files, left = db.execute("SELECT count(*), count(*) - coalesce(sum(done), 0) FROM files").fetchone()
            return files, left, db.execute("SELECT count(*) FROM clips").fetchone()[0]

    def num_unmeasured(self, keys: Mapping[str, str]) -> int:
        """The number of clips that lack figures."""
        wanted = " OR ".join("(stage = ? AND key = ?)" for _ in keys) or "0"
        with self.state.look() as db:
            return db.execute(
                f"SELECT count(*) FROM clips c WHERE (SELECT count(*) FROM figures f WHERE f.name = c.name AND "
                f"f.start = c.start AND ({wanted})) < ?",
                [*(part for pair in keys.items() for part in pair), len(keys)],
            ).fetchone()[0]

    def rows(self, folder: Path, stages: Sequence[str]) -> Iterator[dict[str, Any]]:
        """One row per clip with the figures of these stages, and one per file that has no clip, in order of names and
        places."""
        query = (
            "SELECT f.name, coalesce(c.start, -1), c.stop, c.fps, c.width, c.height, f.caption, f.error FROM files f "
            "LEFT JOIN clips c ON c.name = f.name WHERE (f.name, coalesce(c.start, -1)) > (?, ?) "
            "ORDER BY f.name, c.start LIMIT ?"
        )
        for row in self._pages(query, ("", -2), (0, 1)):
            if row[1] < 0:
                yield {"id": row[0], "source": row[0], "caption": row[6], "error": row[7] or "no shot was found"}
                continue
            clip = _clip(folder, row)
            found: dict[str, Any] = {
                "id": clip.id, "source": row[0], "start": clip.start, "stop": clip.stop, "fps": clip.fps,
                "seconds": clip.seconds, "width": clip.width, "height": clip.height,
                "shorter_side_px": min(clip.width, clip.height), "caption": clip.caption, "error": None,
            }  # fmt: skip
            with self.state.look() as db:
                held = {
                    stage: (figures, error)
                    for stage, figures, error in db.execute(
                        "SELECT stage, figures, error FROM figures WHERE name = ? AND start = ?", (row[0], row[1])
                    )
                }
            errors = []
            for stage in stages:
                figures, error = held.get(stage, ("{}", None))
                found |= {name: value for name, value in json.loads(figures).items() if name not in found}
                errors += [error] if error else []
            found["caption"] = found["caption"] or found.get(WRITTEN)
            found["error"] = "; ".join(dict.fromkeys(errors)) or None
            yield found

    def _clips(self, where: str, end: str) -> str:
        return (
            "SELECT c.name, c.start, c.stop, c.fps, c.width, c.height, f.caption FROM clips c JOIN files f "
            f"ON f.name = c.name WHERE 1 {where} ORDER BY c.name, c.start {end}"
        )

    def _pages(self, query: str, first: tuple[Any, ...], key: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        """Rows of a query in pages, so that neither memory nor a lock grows with their number. first: what is before
        all rows. key: the columns that a page continues from."""
        after = first
        while True:
            with self.state.look() as db:
                rows = db.execute(query, (*after, PAGE)).fetchall()
            if not rows:
                return
            yield from rows
            after = tuple(rows[-1][place] for place in key)


def _clip(folder: Path, row: Sequence[Any]) -> CutClip:
    name, start, stop, fps, width, height, caption = row[:7]
    return CutClip(folder / name, start, stop, fps, width, height, caption, f"{name}#{start}-{stop}")
