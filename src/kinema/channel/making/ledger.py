"""The ledger of a channel: all planned shots and their states. SQLite, FOLDER/state/ledger.db.

An episode is stored completely, with the prompt of each shot, before any of its clips is generated, so a restarted
channel continues with the same shots. Times are seconds since 1970.

planned -> making -> published | aside (failed, with a reason) | banned
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import RequestError
from ...core.sqlite_state import SqliteState, StateBusy, holds_json

STATES = ("planned", "making", "published", "aside", "banned")
KEPT = 50_000  # finished shots; older ones are deleted
MIGRATIONS = (
    """
CREATE TABLE IF NOT EXISTS episodes (n INTEGER PRIMARY KEY, theme TEXT NOT NULL, number INTEGER NOT NULL,
  title TEXT NOT NULL, about TEXT NOT NULL, writer TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS shots (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, episode INTEGER NOT NULL,
  theme TEXT NOT NULL, title TEXT NOT NULL, prompt TEXT NOT NULL, shot TEXT NOT NULL, state TEXT NOT NULL,
  quality TEXT NOT NULL DEFAULT '', step TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS shots_by_state ON shots (state, theme, place);
CREATE TABLE IF NOT EXISTS suggestions (n INTEGER PRIMARY KEY, text TEXT NOT NULL, at REAL NOT NULL, episode INTEGER);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
""",
)
"""One per version of the file. A released migration never changes; add a new one."""
_COLUMNS = "id, episode, theme, title, prompt, shot, state, quality, step, reason, at"


@dataclass(frozen=True)
class PlannedShot:
    """A shot in the ledger. theme: the scheduled theme that it is for. shot: the director's shot as JSON, with its seed
    and the bible's fields for a request. quality: "draft" or "full", set when generation starts. step: the latest step.
    reason: why the shot was set aside or banned."""

    id: str
    episode: int
    theme: str
    title: str
    prompt: str
    shot: dict[str, Any]
    state: str = "planned"
    quality: str = ""
    step: str = ""
    reason: str = ""
    at: float = 0.0


class LedgerBusy(StateBusy):
    """The database is locked, damaged or not writable; a retry may succeed."""


class Ledger:
    """An open ledger. Thread-safe; each process opens its own. Database errors are raised as LedgerBusy. create: check
    the file, and repair it if it is damaged."""

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self.file = folder / "state" / "ledger.db"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._state = SqliteState(
            self.file, MIGRATIONS, busy=LedgerBusy, create=create, sound=holds_json({"shots": ("shot", dict)})
        )
        self._work, self._look = self._state.work, self._state.look

    def close(self) -> None:
        self._state.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def token(self) -> str:
        """A short random identifier that distinguishes channels in a shared database."""
        with self._work() as db:
            db.execute("INSERT OR IGNORE INTO notes VALUES ('token', ?)", (secrets.token_hex(4),))
            return str(db.execute("SELECT value FROM notes WHERE name = 'token'").fetchone()[0])

    def plan(
        self, theme: str, number: int, title: str, about: str, writer: str, shots: Sequence[tuple[str, dict[str, Any]]]
    ) -> list[str]:
        """Store an episode with its shots as (prompt, shot); return their ids, in order."""
        now = time.time()
        with self._work() as db:
            episode = db.execute(
                "INSERT INTO episodes (theme, number, title, about, writer, at) VALUES (?, ?, ?, ?, ?, ?)",
                (theme, number, title, about, writer, now),
            ).lastrowid
            ids = [f"e{episode:05d}s{number:02d}" for number in range(1, len(shots) + 1)]
            db.executemany(
                "INSERT INTO shots (id, episode, theme, title, prompt, shot, state, at) "
                "VALUES (?, ?, ?, ?, ?, ?, 'planned', ?)",
                [(id, episode, theme, title, prompt, json.dumps(shot), now) for id, (prompt, shot) in zip(ids, shots)],
            )
            db.execute(
                "DELETE FROM shots WHERE state NOT IN ('planned', 'making') AND place <= "
                "(SELECT max(place) FROM shots) - ?", (KEPT,),
            )  # fmt: skip
        return ids

    def next_number(self, theme: str) -> int:
        """The number of the next episode of a theme."""
        with self._look() as db:
            last = db.execute("SELECT max(number) FROM episodes WHERE theme = ?", (theme,)).fetchone()[0]
        return 0 if last is None else last + 1

    def num_episodes(self) -> int:
        with self._look() as db:
            return int(db.execute("SELECT count(*) FROM episodes").fetchone()[0])

    def begin(self, theme: str, quality: str, in_order: bool = False) -> PlannedShot | None:
        """The next planned shot of a theme, now in state "making"; None if none is planned. in_order: skip a shot that
        continues the previous one of its episode until that one is finished."""
        with self._work() as db:
            row = db.execute(
                "SELECT id FROM shots AS one WHERE state = 'planned' AND theme = ? AND NOT (? AND "
                "json_extract(shot, '$.continuity') = 'continue' AND EXISTS (SELECT 1 FROM shots AS before WHERE "
                "before.place = one.place - 1 AND before.episode = one.episode AND before.state IN "
                "('planned', 'making'))) ORDER BY place LIMIT 1", (theme, in_order),
            ).fetchone()  # fmt: skip
            if row is None:
                return None
            db.execute(
                "UPDATE shots SET state = 'making', quality = ?, at = ? WHERE id = ?", (quality, time.time(), row[0])
            )
        return self.get(row[0])

    def get(self, id: str) -> PlannedShot | None:
        shots = self.shots("WHERE id = ?", (id,))
        return shots[0] if shots else None

    def neighbour(self, id: str, way: int) -> PlannedShot | None:
        """The shot before (way = -1) or after (1) this one in its episode, or None. Places in an episode are
        consecutive."""
        shots = self.shots(
            "WHERE place = (SELECT place FROM shots WHERE id = ?) + ? AND episode = "
            "(SELECT episode FROM shots WHERE id = ?)", (id, way, id),
        )  # fmt: skip
        return shots[0] if shots else None

    def in_state(self, state: str, limit: int = 1000) -> list[PlannedShot]:
        """Shots in a state, in order of the programme."""
        return self.shots("WHERE state = ? ORDER BY place LIMIT ?", (state, limit))

    def lately(self, state: str, limit: int = 20) -> list[PlannedShot]:
        """Shots in a state, the latest first."""
        return self.shots("WHERE state = ? ORDER BY at DESC LIMIT ?", (state, limit))

    def counts(self) -> dict[str, int]:
        with self._look() as db:
            counts = dict(db.execute("SELECT state, count(*) FROM shots GROUP BY state"))
        return {state: int(counts.get(state, 0)) for state in STATES}

    def making(self, theme: str) -> int:
        with self._look() as db:
            return int(
                db.execute(
                    "SELECT count(*) FROM shots WHERE state = 'making' AND theme = ?", (theme,)
                ).fetchone()[0]
            )  # fmt: skip

    def at_step(self, id: str, step: str) -> None:
        """Record the current step of a shot."""
        with self._work() as db:
            db.execute("UPDATE shots SET step = ?, at = ? WHERE id = ?", (step, time.time(), id))

    def end(self, id: str, state: str, reason: str = "") -> bool:
        """Set the final state of a shot: published or aside. False if it already has one (such as banned)."""
        with self._work() as db:
            done = db.execute(
                "UPDATE shots SET state = ?, reason = ?, at = ? WHERE id = ? AND state IN ('planned', 'making')",
                (state, reason, time.time(), id),
            )
            return done.rowcount > 0

    def ban(self, id: str, reason: str) -> None:
        """Never generate or air a shot. RequestError: no such shot."""
        with self._work() as db:
            done = db.execute(
                "UPDATE shots SET state = 'banned', reason = ?, at = ? WHERE id = ?", (reason, time.time(), id)
            )
        if not done.rowcount:
            raise RequestError(f"Unknown shot: {id!r}.", field="shot", value=id, legal="ids such as e00001s01")

    def again(self, id: str) -> None:
        """Return a shot that was set aside to state "planned"."""
        with self._work() as db:
            db.execute("UPDATE shots SET state = 'planned', reason = '' WHERE id = ? AND state = 'aside'", (id,))

    def suggest(self, text: str, most: int) -> int:
        """Store a (moderated) theme of a viewer; return the number waiting. RequestError if `most` are waiting."""
        with self._work() as db:
            waiting = int(db.execute("SELECT count(*) FROM suggestions WHERE episode IS NULL").fetchone()[0])
            if waiting >= most:
                raise RequestError(
                    f"{waiting} suggestions are already waiting.", field="theme", value=text, legal="try again later"
                )
            db.execute("INSERT INTO suggestions (text, at) VALUES (?, ?)", (text, time.time()))
        return waiting + 1

    def suggested(self) -> tuple[int, str] | None:
        """The oldest waiting suggestion: (number, text), or None."""
        with self._look() as db:
            row = db.execute("SELECT n, text FROM suggestions WHERE episode IS NULL ORDER BY n LIMIT 1").fetchone()
        return (int(row[0]), str(row[1])) if row else None

    def suggestion_done(self, n: int) -> None:
        with self._work() as db:
            db.execute("UPDATE suggestions SET episode = (SELECT max(n) FROM episodes) WHERE n = ?", (n,))

    def shots(self, where: str, values: Sequence[Any] = ()) -> list[PlannedShot]:
        with self._look() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM shots {where}", tuple(values)).fetchall()
        names = _COLUMNS.split(", ")
        return [PlannedShot(**(dict(zip(names, row)) | {"shot": json.loads(row[5])})) for row in rows]
