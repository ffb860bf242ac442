"""The library of a channel: its clips, the as-run log and the owner's queue. SQLite in WAL mode, one file.

Several processes share it (the producer adds clips, the playout logs airings, the owner bans clips), each with its own
Library. A locked database raises LibraryBusy after `patience_s`; the playout, which must not wait, reads it through
library_view.py.

FOLDER/library.db   FOLDER/clips/<id>.mp4   FOLDER/filler/*.mp4   FOLDER/music/*   FOLDER/on_air/   FOLDER/state/
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import MediaError, RequestError
from ..core.sqlite_state import SqliteState, StateBusy, holds_json
from .library_clip import Aired, LibraryClip

STATES = ("ready", "banned", "broken")
AS_RUN_KEPT = 200_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_COLUMNS = (
    "id, path, title, prompt, theme, frames, fps, fingerprint, bytes, sha256, made_at, aired, last_aired, state, "
    "reason, shot, music"
)
MIGRATIONS = (
    """
CREATE TABLE IF NOT EXISTS clips (id TEXT PRIMARY KEY, path TEXT NOT NULL, title TEXT NOT NULL, prompt TEXT NOT NULL,
  theme TEXT NOT NULL, frames INTEGER NOT NULL, fps REAL NOT NULL, fingerprint TEXT NOT NULL, bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL, made_at REAL NOT NULL, aired INTEGER NOT NULL, last_aired REAL, state TEXT NOT NULL,
  reason TEXT NOT NULL, shot TEXT NOT NULL, music TEXT);
CREATE INDEX IF NOT EXISTS clips_by_state ON clips (state, last_aired);
CREATE TABLE IF NOT EXISTS queue (place INTEGER PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS as_run (n INTEGER PRIMARY KEY, at REAL NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
  title TEXT NOT NULL, theme TEXT NOT NULL, frame INTEGER NOT NULL, frames INTEGER NOT NULL, fps REAL NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS as_run_once ON as_run (frame, at);
""",
)
"""One per version of the file. A released migration never changes; add a new one."""

__all__ = ["STATES", "Aired", "Library", "LibraryBusy", "LibraryClip"]


class LibraryBusy(StateBusy):
    """The database is locked or cannot be opened; a retry may succeed."""


class Library:
    """An open library. Thread-safe. RequestError if it does not exist and `create` is False; LibraryBusy if the
    database cannot be opened."""

    def __init__(self, folder: str | os.PathLike[str], *, create: bool = True, patience_s: float = 30.0) -> None:
        self.folder, self.patience_s = Path(folder), patience_s
        self.file = self.folder / "library.db"
        if create:
            for name in ("clips", "filler", "music", "on_air", "state"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        elif not self.file.is_file():
            raise RequestError(f"No channel in {self.folder}: library.db not found.", field="folder", value=str(folder))
        self._state = SqliteState(
            self.file,
            MIGRATIONS,
            busy=LibraryBusy,
            create=create,
            patience_s=patience_s,
            durable=False,
            sound=holds_json({"clips": ("shot", object), "notes": ("value", object)}),
        )
        self._work, self._look = self._state.work, self._state.look

    @classmethod
    def open(cls, folder: str | os.PathLike[str], **how: Any) -> Library:
        return cls(folder, **how)

    def version(self) -> int:
        """A number that changes when another connection writes."""
        with self._look() as db:
            return db.execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        self._state.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def clip_path(self, id: str) -> Path:
        """The path of a clip's conformed file. RequestError: illegal id."""
        if not _ID.fullmatch(id):
            legal = "letters, digits, '.', '_' and '-', 120 at most, the first a letter or digit"
            raise RequestError(f"Illegal clip id: {id!r}.", field="id", value=id, legal=legal)
        return self.folder / "clips" / f"{id}.mp4"

    def add(self, clip: LibraryClip) -> LibraryClip:
        """Add a clip, ready to air. Adding an existing id updates its description but not its history (aired, banned).
        RequestError: illegal id, fps or length. MediaError: file not found, or outside the folder."""
        self.clip_path(clip.id)
        if clip.frames < 1 or clip.fps <= 0:
            raise RequestError(
                f"{clip.frames} frames at {clip.fps} fps.", field="frames", value=clip.frames, legal="1 or more"
            )
        relative = self._inside(clip.path)
        music = str(self._inside(clip.music)) if clip.music is not None else None
        try:
            data = clip.path.read_bytes()
        except OSError as error:
            raise MediaError(f"Cannot read {clip.path}: {error.strerror or error}.") from error
        row = (
            clip.id, str(relative), clip.title, clip.prompt, clip.theme, clip.frames, clip.fps, clip.fingerprint,
            len(data), hashlib.sha256(data).hexdigest(), clip.made_at or time.time(), clip.aired, clip.last_aired,
            clip.state, clip.reason, json.dumps(clip.shot), music,
        )  # fmt: skip
        described = [
            name for name in _COLUMNS.split(", ") if name not in ("id", "aired", "last_aired", "state", "reason")
        ]
        with self._work() as db:
            db.execute(
                f"INSERT INTO clips ({_COLUMNS}) VALUES ({', '.join('?' * len(row))}) ON CONFLICT (id) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in described),
                row,
            )
            db.execute("UPDATE clips SET state = 'ready', reason = '' WHERE id = ? AND state = 'broken'", (clip.id,))
        return self.get(clip.id) or replace(clip, bytes=len(data))

    def get(self, id: str) -> LibraryClip | None:
        clips = self._clips("WHERE id = ?", (id,))
        return clips[0] if clips else None

    def clips(self) -> list[LibraryClip]:
        """All clips, the newest last."""
        return self._clips("ORDER BY made_at, id")

    def ready(self, fingerprint: str | None = None) -> list[LibraryClip]:
        """Clips that can air, the oldest first; with a fingerprint, only those of that encoding."""
        if fingerprint is None:
            return self._clips("WHERE state = 'ready' ORDER BY made_at, id")
        return self._clips("WHERE state = 'ready' AND fingerprint = ? ORDER BY made_at, id", (fingerprint,))

    def counts(self) -> dict[str, float]:
        """Counts of ready, banned, broken, fresh (ready and never aired) and queued clips; bytes of all clips; seconds
        of the ready ones."""
        with self._look() as db:
            by_state = dict(db.execute("SELECT state, count(*) FROM clips GROUP BY state"))
            fresh = db.execute("SELECT count(*) FROM clips WHERE state = 'ready' AND aired = 0").fetchone()[0]
            seconds = db.execute("SELECT total(frames / fps) FROM clips WHERE state = 'ready'").fetchone()[0]
            size = db.execute("SELECT coalesce(sum(bytes), 0) FROM clips").fetchone()[0]
            queued = db.execute("SELECT count(*) FROM queue").fetchone()[0]
        states = {state: by_state.get(state, 0) for state in STATES}
        return {**states, "fresh": fresh, "queued": queued, "bytes": size, "seconds": seconds}

    def fresh(self, theme: str) -> int:
        """The number of clips of a theme that are ready and have never aired."""
        with self._look() as db:
            where = "state = 'ready' AND aired = 0 AND theme = ?"
            return int(db.execute(f"SELECT count(*) FROM clips WHERE {where}", (theme,)).fetchone()[0])

    def ban(self, id: str, reason: str) -> None:
        """Never air a clip again, and remove it from the queue. RequestError: no such clip."""
        self._set_state(id, "banned", reason)

    def broken(self, id: str, reason: str) -> None:
        """Mark a clip whose file is missing, damaged or in another encoding. Adding it again resets this."""
        self._set_state(id, "broken", reason, "AND state != 'banned'")

    def allow(self, id: str) -> None:
        """Lift a ban."""
        self._set_state(id, "ready", "", "AND state = 'banned'")

    def aired(self, id: str, at: float) -> None:
        """Record an airing at `at`, seconds since 1970."""
        with self._work() as db:
            db.execute("UPDATE clips SET aired = aired + 1, last_aired = ? WHERE id = ?", (at, id))

    def note_aired(self, line: Aired) -> None:
        """Add a line to the as-run log and count the airing of its clip, once per frame number and time."""
        with self._work() as db:
            done = db.execute(
                "INSERT OR IGNORE INTO as_run (at, id, kind, title, theme, frame, frames, fps) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (line.at, line.id, line.kind, line.title, line.theme, line.frame, line.frames, line.fps),
            )
            if done.rowcount and line.kind != "filler":
                db.execute("UPDATE clips SET aired = aired + 1, last_aired = ? WHERE id = ?", (line.at, line.id))
            if done.lastrowid and done.lastrowid % 1000 == 0:
                db.execute("DELETE FROM as_run WHERE n <= ?", (done.lastrowid - AS_RUN_KEPT,))

    def as_run(self, limit: int = 100) -> list[Aired]:
        """The as-run log, the latest first. It leads the picture by some seconds."""
        with self._look() as db:
            rows = db.execute(
                "SELECT at, id, kind, title, theme, frame, frames, fps FROM as_run ORDER BY n DESC LIMIT ?", (limit,)
            )
            return [Aired(*row) for row in rows]

    @property
    def queue(self) -> list[str]:
        """Ids queued by the owner, in order; they air before all other clips."""
        with self._look() as db:
            return [row[0] for row in db.execute("SELECT id FROM queue ORDER BY place")]

    def insert(self, id: str, place: int | None = None) -> None:
        """Queue a clip at the end, or at `place` (0 is next). RequestError: no such clip, or not ready."""
        clip = self.get(id)
        if clip is None or clip.state != "ready":
            state = "not in the library" if clip is None else f"{clip.state} ({clip.reason})"
            raise RequestError(f"Clip {id!r} is {state}.", field="id", value=id, legal="ids of clips that are ready")
        with self._work() as db:
            ids = [row[0] for row in db.execute("SELECT id FROM queue ORDER BY place")]
            ids.insert(len(ids) if place is None else place, id)
            self._requeue(db, ids)

    def unqueue(self, id: str) -> bool:
        """Remove the first entry of this id from the queue; False if it is not queued."""
        with self._work() as db:
            place = db.execute("SELECT min(place) FROM queue WHERE id = ?", (id,)).fetchone()[0]
            if place is not None:
                db.execute("DELETE FROM queue WHERE place = ?", (place,))
        return place is not None

    def request_skip(self) -> None:
        """Ask the playout to end the clip on air at its next keyframe."""
        self.note("skip", time.time())

    def take_skip(self) -> bool:
        """Whether a skip was requested since the last call. Requests older than a minute are ignored."""
        at = self.noted("skip")
        if at is not None:
            with self._work() as db:
                db.execute("DELETE FROM notes WHERE name = 'skip'")
        return at is not None and abs(time.time() - at) < 60

    def note(self, name: str, value: Any) -> None:
        """Store a plain JSON value under a name."""
        with self._work() as db:
            db.execute("INSERT OR REPLACE INTO notes (name, value) VALUES (?, ?)", (name, json.dumps(value)))

    def noted(self, name: str) -> Any:
        """The value stored under a name, or None."""
        with self._look() as db:
            row = db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def evict(self, quota_bytes: int, keep: Set[str] = frozenset()) -> list[str]:
        """Delete clips (file and row) until all files have at most `quota_bytes`; return the ids. Broken clips go
        first, then the least recently aired, then those that never aired. Clips in `keep`, queued, on air or next are
        not deleted; banned clips lose their file but keep their row."""
        safe = set(keep) | set(self.queue) | set(self.noted("upcoming") or ())
        deleted: list[str] = []
        order = "ORDER BY state != 'broken', state != 'banned', last_aired IS NULL, last_aired, made_at"
        clips = self._clips(order)
        size = sum(clip.bytes for clip in clips)
        for clip in clips:
            if size <= quota_bytes:
                break
            if clip.id in safe or not clip.bytes:
                continue
            with self._work() as db:  # the row first: a file without a row does no harm
                if clip.state == "banned":
                    db.execute("UPDATE clips SET bytes = 0 WHERE id = ?", (clip.id,))
                else:
                    db.execute("DELETE FROM clips WHERE id = ?", (clip.id,))
            with contextlib.suppress(OSError):
                clip.path.unlink()
            size -= clip.bytes
            deleted.append(clip.id)
        return deleted

    def _set_state(self, id: str, state: str, reason: str, only: str = "") -> None:
        with self._work() as db:
            if not db.execute("SELECT 1 FROM clips WHERE id = ?", (id,)).fetchone():
                raise RequestError(f"Clip {id!r} is not in the library.", field="id", value=id)
            db.execute(f"UPDATE clips SET state = ?, reason = ? WHERE id = ? {only}", (state, reason, id))
            if state != "ready":
                db.execute("DELETE FROM queue WHERE id = ?", (id,))

    @staticmethod
    def _requeue(db: sqlite3.Connection, ids: Sequence[str]) -> None:
        db.execute("DELETE FROM queue")
        db.executemany("INSERT INTO queue (place, id) VALUES (?, ?)", enumerate(ids))

    def _inside(self, path: str | os.PathLike[str]) -> Path:
        whole = Path(path).resolve()
        try:
            return whole.relative_to(self.folder.resolve())
        except ValueError:
            raise MediaError(f"{path} is outside the channel's folder {self.folder}.") from None

    def _clips(self, where: str, values: Sequence[Any] = ()) -> list[LibraryClip]:
        with self._look() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM clips {where}", tuple(values)).fetchall()
        clips = []
        for row in rows:
            fields = dict(zip(_COLUMNS.split(", "), row))
            fields["path"] = self.folder / fields["path"]
            fields["shot"] = json.loads(fields["shot"])
            fields["music"] = self.folder / fields["music"] if fields["music"] else None
            clips.append(LibraryClip(**fields))
        return clips
