"""The ledger of a channel: every shot that was ever planned, and what became of it. SQLite, FOLDER/state/ledger.db.

An episode is written down whole, with the request-to-be of each of its shots, before anything of it is made: a channel
that dies goes on with the same shots, whoever wrote them. Times are seconds since 1970.

planned -> making -> published | aside (its reason says why) | banned
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
KEPT = 50_000  # shots that are over; older ones are forgotten
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
"""One for each version of the file; a published one never changes, a new one is added."""
_COLUMNS = "id, episode, theme, title, prompt, shot, state, quality, step, reason, at"


@dataclass(frozen=True)
class PlannedShot:
    """A shot in the ledger. theme: the part of the programme that it is for. shot: what the director said, as JSON,
    with its seed, and what a request needs of the bible. quality: "draft" or "full", once it is being made. step: what
    was done with it last. reason: why it was set aside or banned."""

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
    """The database stayed locked, is damaged, or cannot be written; trying again later may work."""


class Ledger:
    """An open ledger. May be used from several threads, and by several processes, each with its own. Whatever its
    database cannot do is LedgerBusy. create: look through the file, and mend it where it is damaged."""

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
        """Short, drawn once: what tells this channel's work from that of others in one database."""
        with self._work() as db:
            db.execute("INSERT OR IGNORE INTO notes VALUES ('token', ?)", (secrets.token_hex(4),))
            return str(db.execute("SELECT value FROM notes WHERE name = 'token'").fetchone()[0])

    def plan(
        self, theme: str, number: int, title: str, about: str, writer: str, shots: Sequence[tuple[str, dict[str, Any]]]
    ) -> list[str]:
        """Write an episode down, its shots as (prompt, shot); gives their ids, in order."""
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
        """The number of the director's next episode about a theme."""
        with self._look() as db:
            found = db.execute("SELECT max(number) FROM episodes WHERE theme = ?", (theme,)).fetchone()[0]
        return 0 if found is None else found + 1

    def num_episodes(self) -> int:
        with self._look() as db:
            return int(db.execute("SELECT count(*) FROM episodes").fetchone()[0])

    def begin(self, theme: str, quality: str, in_order: bool = False) -> PlannedShot | None:
        """The next planned shot for a theme, from now on in the making; None where no more are planned. in_order: a
        shot that goes on from the one before it in its episode is passed over until that one is over."""
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
        found = self.shots("WHERE id = ?", (id,))
        return found[0] if found else None

    def neighbour(self, id: str, way: int) -> PlannedShot | None:
        """The shot before (way = -1) or after (1) this one in its episode. An episode's places follow each other."""
        found = self.shots(
            "WHERE place = (SELECT place FROM shots WHERE id = ?) + ? AND episode = "
            "(SELECT episode FROM shots WHERE id = ?)", (id, way, id),
        )  # fmt: skip
        return found[0] if found else None

    def in_state(self, state: str, limit: int = 1000) -> list[PlannedShot]:
        """Shots of a state, in the order of the programme."""
        return self.shots("WHERE state = ? ORDER BY place LIMIT ?", (state, limit))

    def lately(self, state: str, limit: int = 20) -> list[PlannedShot]:
        """The latest of a state first."""
        return self.shots("WHERE state = ? ORDER BY at DESC LIMIT ?", (state, limit))

    def counts(self) -> dict[str, int]:
        with self._look() as db:
            found = dict(db.execute("SELECT state, count(*) FROM shots GROUP BY state"))
        return {state: int(found.get(state, 0)) for state in STATES}

    def making(self, theme: str) -> int:
        with self._look() as db:
            return int(
                db.execute(
                    "SELECT count(*) FROM shots WHERE state = 'making' AND theme = ?", (theme,)
                ).fetchone()[0]
            )  # fmt: skip

    def at_step(self, id: str, step: str) -> None:
        """Note what is being done with a shot."""
        with self._work() as db:
            db.execute("UPDATE shots SET step = ?, at = ? WHERE id = ?", (step, time.time(), id))

    def end(self, id: str, state: str, reason: str = "") -> bool:
        """A shot in the making is over: published or set aside. False where it was over already (banned, say)."""
        with self._work() as db:
            done = db.execute(
                "UPDATE shots SET state = ?, reason = ?, at = ? WHERE id = ? AND state IN ('planned', 'making')",
                (state, reason, time.time(), id),
            )
            return done.rowcount > 0

    def ban(self, id: str, reason: str) -> None:
        """Never make or show it. RequestError: no such shot."""
        with self._work() as db:
            done = db.execute(
                "UPDATE shots SET state = 'banned', reason = ?, at = ? WHERE id = ?", (reason, time.time(), id)
            )
        if not done.rowcount:
            raise RequestError(f"No shot {id!r} was ever planned.", field="shot", value=id, legal="ids as e00001s01")

    def again(self, id: str) -> None:
        """Plan a shot that was set aside once more."""
        with self._work() as db:
            db.execute("UPDATE shots SET state = 'planned', reason = '' WHERE id = ? AND state = 'aside'", (id,))

    def suggest(self, text: str, most: int) -> int:
        """Keep a (moderated) theme of a viewer's; gives how many wait. RequestError where `most` already do."""
        with self._work() as db:
            waiting = int(db.execute("SELECT count(*) FROM suggestions WHERE episode IS NULL").fetchone()[0])
            if waiting >= most:
                raise RequestError(
                    f"{waiting} suggestions are waiting already.", field="theme", value=text, legal="try again later"
                )
            db.execute("INSERT INTO suggestions (text, at) VALUES (?, ?)", (text, time.time()))
        return waiting + 1

    def suggested(self) -> tuple[int, str] | None:
        """The suggestion that has waited longest: (its number, its text)."""
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
