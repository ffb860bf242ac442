"""The store of jobs, for everybody who submits, lists or listens. What workers change is in claims.py."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..core.errors import RequestError
from ..core.outside import bounded
from ..weights.store import home
from . import records
from .built_in import BUILT_IN
from .database import Do, JobDatabase, open_database
from .job import STATES, Job, JobEvent, KeyReused, NoSuchMedia, WrongState, check_states
from .kinds import Kinds
from .media import MediaStore

MAX_KEY_CHARS, MAX_NAME_CHARS, MAX_PRIORITY = 200, 200, 1_000_000
MOST_LISTED, MOST_EVENTS = 500, 1000
POLL_S = 0.05
Events = list[JobEvent]


class JobStore:
    """Jobs and media of one database. All methods may be called from several threads."""

    def __init__(self, database: JobDatabase, media: MediaStore, kinds: Kinds) -> None:
        self.database, self.media, self.kinds = database, media, kinds

    @classmethod
    def open(cls, url: str | None = None, folder: Path | None = None, *, kinds: Kinds | None = None) -> JobStore:
        """Open a database, its tables created.

        url: sqlite:///FILE (default: KINEMA_HOME/server/jobs.sqlite) or postgresql://USER@HOST:PORT/NAME. folder: of
        the media; default: the SQLite file's folder. For PostgreSQL a folder that all machines share; without one, the
        media are in the database. RequestError for another URL, KinemaError if it cannot be opened."""
        own = home() / "server"
        url = url or f"sqlite:///{own / 'jobs.sqlite'}"
        database = open_database(url)
        on_file = url.startswith("sqlite:")
        place = folder or (Path(database.where).parent if on_file else own / "cache")
        return cls(
            database, MediaStore(database, place, in_tables=not on_file and folder is None), kinds or Kinds(BUILT_IN)
        )

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> JobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self, kind: str, body: Any, *, key: str | None = None, priority: int = 0, name: str = "",
        expires_s: float | None = None, also: Callable[[Do, str], None] = lambda _do, _id: None,
    ) -> tuple[Job, bool]:  # fmt: skip
        """Store a job; return it, and whether it is new. key: an idempotency key: the same kind and body with it again
        is the same job. expires_s: a job that does not start within this time ends as expired. also: what else is
        stored in the transaction that stores a new job, with its id.

        RequestError, ModelError, MediaError: the kind refuses the body, or an argument is illegal; NoSuchMedia: the
        body names media that are not in the store; KeyReused."""
        accepted = self.kinds[kind]
        _check_arguments(key, priority, name, expires_s)
        bounded(body, "The body of the job", error=RequestError)
        digest = _digest(kind, body)
        if key is not None and (found := self._of_key(key, digest)) is not None:
            return found, False
        media = accepted.media(body)
        for each in sorted(media):
            if not self.media.has(each):
                raise NoSuchMedia(f"The media {each[:80]} are not in the store; upload them first.")
        accepted.check(body, self.media)
        id = f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)}"
        with self.database.work() as do:
            now = self.database.now(do)
            new = do(
                "INSERT INTO kinema_jobs (id, kind, body, name, key, digest, state, priority, place, created_at, "
                "expires_at) SELECT :id, :kind, :body, :name, :key, :digest, 'queued', :priority, "
                "coalesce(max(place), 0) + 1, :now, :expires_at FROM kinema_jobs WHERE 1 = 1 "
                "ON CONFLICT DO NOTHING RETURNING id",
                id=id, kind=kind, body=json.dumps(body, allow_nan=False), name=name, key=key, digest=digest,
                priority=priority, now=now, expires_at=None if expires_s is None else now + expires_s,
            )  # fmt: skip
            if new:
                self.media.use(do, media)
                records.refer(do, id, "input", media)
                records.set_state(self.database, do, id, "queued")
                also(do, id)
                return records.fetch(do, id), True
        assert key is not None  # another process was first
        return self._of_key(key, digest) or self.get(id), False

    def submitted(self, kind: str, body: Any, key: str) -> Job | None:
        """The job of an earlier submission with this key; None if there is none. KeyReused."""
        try:
            bounded(body, "The body of the job", error=RequestError)
            return self._of_key(key, _digest(kind, body))
        except (RequestError, ValueError):  # no such body was ever stored
            return None

    def keyed(self, keys: Iterable[str]) -> dict[str, Job]:
        """The jobs that were submitted with these keys, by key."""
        names = {f"key{number}": key for number, key in enumerate(keys)}
        if not names:
            return {}
        with self.database.look() as do:
            rows = do(f"{records.SELECT} WHERE j.key IN ({', '.join(f':{name}' for name in names)})", **names)
        return {row["key"]: records.job_of(row) for row in rows}

    def get(self, id: str) -> Job:
        """The job. NoSuchJob."""
        with self.database.look() as do:
            return records.fetch(do, id)

    def list(
        self, states: Iterable[str] = (), kinds: Iterable[str] = (), limit: int = 50, before: str | None = None
    ) -> list[Job]:  # fmt: skip
        """Jobs, the newest first. before: the id after which to go on."""
        if not 1 <= limit <= MOST_LISTED:
            raise RequestError(f"limit = {limit}.", field="limit", value=limit, legal=f"1 to {MOST_LISTED}")
        wanted, values = ["1 = 1"], dict[str, Any]()
        for column, among in (("state", check_states(states)), ("kind", tuple(kinds))):
            if among:
                names = {f"{column}{number}": value for number, value in enumerate(among)}
                wanted.append(f"j.{column} IN ({', '.join(f':{name}' for name in names)})")
                values |= names
        if before is not None:
            wanted.append("j.id < :before")
            values["before"] = before
        with self.database.look() as do:
            rows = do(
                f"{records.SELECT} WHERE {' AND '.join(wanted)} ORDER BY j.id DESC LIMIT :most", most=limit, **values
            )
        return [records.job_of(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """The number of jobs in each state."""
        with self.database.look() as do:
            found = {row["state"]: int(row["num"]) for row in
                     do("SELECT state, count(*) AS num FROM kinema_jobs GROUP BY state")}  # fmt: skip
        return {state: found.get(state, 0) for state in STATES}

    def cancel(self, id: str, reason: str = "") -> Job:
        """End a queued job; ask a running one to stop between two steps, whose state is then canceling. A canceled job
        is returned unchanged. WrongState: it ended otherwise."""
        with self.database.work() as do:
            job = records.held_for_change(self.database, do, id)
            if job.state == "queued":
                records.end(self.database, do, id, "canceled", reason)
            elif job.state == "running":
                records.set_state(self.database, do, id, "canceling", reason=reason)
            elif job.ended and job.state != "canceled":
                raise WrongState(f"The job {id} has ended: {job.state}.")
            return records.fetch(do, id)

    def retry(self, id: str) -> Job:
        """Queue a failed, canceled or expired job again, at the end of its priority; it continues from its kept state.
        Reasons of earlier attempts stay. WrongState: it has not ended, or succeeded."""
        with self.database.work() as do:
            job = records.held_for_change(self.database, do, id)
            if not job.ended or job.state == "succeeded":
                raise WrongState(f"The job {id} is {job.state}; only a failed, canceled or expired one is retried.")
            failures = job.failures
            if job.reason and (not failures or failures[-1]["reason"] != job.reason):
                failures = [*failures, {"at": job.ended_at, "reason": job.reason}]
            do("DELETE FROM kinema_job_media WHERE job = :id AND role = 'preview'", id=id)
            records.set_state(
                self.database, do, id, "queued", ended_at=None, due_at=0, stuck=0, expires_at=None, progress=None,
                failures=json.dumps(failures), place=_edge(do, "max"),
            )  # fmt: skip
            return records.fetch(do, id)

    def pause(self, id: str) -> Job:
        """Keep a queued job from starting; a running one stops between two steps, is kept, and returns to the queue.
        WrongState: it has ended or is canceling."""
        return self._set_paused(id, True)

    def resume(self, id: str) -> Job:
        """Let a paused job start. WrongState: it has ended or is canceling."""
        return self._set_paused(id, False)

    def move(self, id: str, *, before: str | None = None, to: str | None = None) -> Job:
        """Move a queued job directly before another queued one, or to the "front" or "back" of the whole queue. It
        takes the priority of that place. WrongState: one of them is not queued."""
        if (before is None) == (to is None) or to not in (None, "front", "back"):
            raise RequestError("Where to move the job is not clear.", field="to", value=to,
                               legal='before: the id of a queued job, or to: "front" or "back"')  # fmt: skip
        with self.database.work() as do:
            order = [row["id"] for row in do(
                f"SELECT id FROM kinema_jobs WHERE state = 'queued' ORDER BY priority DESC, place, id"
                f"{self.database.locking}"
            )]  # fmt: skip
            _queued(records.fetch(do, id))
            order.remove(id)
            if before is not None and before != id:
                _queued(records.fetch(do, before))
            at = order.index(before) if before in order else 0 if to == "front" else len(order)
            if before != id and order:
                near = records.fetch(do, order[min(at, len(order) - 1)])
                for place, each in enumerate([*order[:at], id, *order[at:]]):
                    do("UPDATE kinema_jobs SET place = :place WHERE id = :id", id=each, place=place)
                do("UPDATE kinema_jobs SET priority = :priority WHERE id = :id", id=id, priority=near.priority)
                records.add_event(self.database, do, id, "moved", {"position": at})
            return records.fetch(do, id)

    def delete(self, id: str) -> None:
        """Delete an ended job with its events. Media that nothing else refers to follow at the next collection.
        WrongState: it has not ended."""
        with self.database.work() as do:
            if not records.held_for_change(self.database, do, id).ended:
                raise WrongState(f"The job {id} has not ended; cancel it first.")
            remove(do, id)

    def events(self, id: str, after: int = 0, limit: int = MOST_EVENTS) -> Events:
        """The events of a job with a number above `after`, in order, at most `limit`. NoSuchJob."""
        with self.database.look() as do:
            rows = do("SELECT * FROM kinema_job_events WHERE job = :id AND number > :after ORDER BY number LIMIT :most",
                      id=id, after=after, most=limit)  # fmt: skip
            if not rows:
                records.fetch(do, id)
        return [records.event_of(row) for row in rows]

    def version(self) -> str:
        """A text that changes with every commit; see JobDatabase.version. A server with many listeners polls it
        in one place, and asks for events only when it differs."""
        return self.database.version()

    def wait(self, since: str, timeout_s: float, stop: threading.Event | None = None) -> str:
        """Block until `version` differs from `since`, up to timeout_s or until `stop` is set; return the version."""
        end = time.monotonic() + timeout_s
        while (now := self.version()) == since and (left_s := end - time.monotonic()) > 0:
            if stop is None:
                time.sleep(min(POLL_S, left_s))
            elif stop.wait(min(POLL_S, left_s)):
                break
        return now

    def _of_key(self, key: str, digest: str) -> Job | None:
        with self.database.look() as do:
            rows = do("SELECT id, digest FROM kinema_jobs WHERE key = :key", key=key)
            if not rows:
                return None
            if rows[0]["digest"] != digest:
                raise KeyReused("The idempotency key was used before, for another kind or body.")
            return records.fetch(do, rows[0]["id"])

    def _set_paused(self, id: str, paused: bool) -> Job:
        with self.database.work() as do:
            job = records.held_for_change(self.database, do, id)
            if job.ended or job.state == "canceling":
                raise WrongState(f"The job {id} is {job.state}.")
            if job.paused != paused:
                records.set_state(self.database, do, id, job.state, paused=int(paused))
            return records.fetch(do, id)


def remove(do: Do, id: str) -> None:
    """Delete a job with its events and references."""
    do("DELETE FROM kinema_job_events WHERE job = :id", id=id)
    do("DELETE FROM kinema_job_media WHERE job = :id", id=id)
    do("DELETE FROM kinema_prompts WHERE job = :id", id=id)
    do("DELETE FROM kinema_job_labels WHERE job = :id", id=id)
    do("DELETE FROM kinema_jobs WHERE id = :id", id=id)


def _digest(kind: str, body: Any) -> str:
    """Of a kind and a body: the same for the same submission."""
    text = json.dumps(body, sort_keys=True, allow_nan=False)
    return hashlib.sha256(f"{kind}\n{text}".encode()).hexdigest()


def _edge(do: Do, which: str) -> float:
    """A place behind (max) all jobs."""
    return float(do(f"SELECT coalesce({which}(place), 0) AS place FROM kinema_jobs")[0]["place"]) + 1


def _queued(job: Job) -> None:
    if job.state != "queued":
        raise WrongState(f"The job {job.id} is {job.state}; only queued jobs have a place in the queue.")


def _check_arguments(key: str | None, priority: int, name: str, expires_s: float | None) -> None:
    """RequestError for an illegal one."""
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_KEY_CHARS and key.isprintable()):
        raise RequestError("The idempotency key is not legal.", field="key",
                           legal=f"1 to {MAX_KEY_CHARS} printable characters")  # fmt: skip
    if not isinstance(priority, int) or isinstance(priority, bool) or abs(priority) > MAX_PRIORITY:
        raise RequestError("The priority is not legal.", field="priority", value=str(priority)[:50],
                           legal=f"a whole number from {-MAX_PRIORITY:,} to {MAX_PRIORITY:,}")  # fmt: skip
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise RequestError("The name is not legal.", field="name", value=str(name)[:50],
                           legal=f"at most {MAX_NAME_CHARS} printable characters")  # fmt: skip
    if expires_s is not None and not (isinstance(expires_s, int | float) and 0 < expires_s < 1e10):
        raise RequestError("expires_s is not legal.", field="expires_s", value=str(expires_s)[:50], legal="seconds")
