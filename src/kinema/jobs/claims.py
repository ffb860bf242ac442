"""The worker's side of the store: taking a job, reporting on it, and ending it.

A claim is an attempt at one job by one worker, with a random token. Every change names the token, so a worker that was
believed dead changes nothing any more: it gets `ClaimLost`. A worker that sends no heartbeat for `lost_s` loses its
jobs, which return to the queue. A job whose attempts end MAX_STUCK times without a newer kept state fails. A kind may
also decide itself whether and when another attempt is made (`Claim.later`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.by_hash import is_media
from ..core.errors import KinemaError
from . import records
from .database import Do, JobDatabase, Row
from .job import HELD, Job
from .kinds import Kinds
from .media import MediaStore

MAX_STUCK = 5
LOST_S = 30.0
PAUSE_S = 0.5
"""Before the second attempt; doubled for each further one."""
LONGEST_PAUSE_S = 60.0


class OpenStore(Protocol):
    """What a worker needs of a store (store.JobStore)."""

    database: JobDatabase
    media: MediaStore
    kinds: Kinds


class ClaimLost(KinemaError):
    """Another worker has the job, or it was deleted."""


@dataclass(frozen=True)
class Kept:
    """A kept state: the hash of each of its files by name, and facts of the process that it depends on."""

    files: dict[str, str]
    facts: dict[str, Any]


@dataclass(frozen=True)
class JobWorker:
    """A worker: id, host, process id, what it told about itself, and seconds since its last heartbeat."""

    id: str
    host: str
    pid: int
    facts: dict[str, Any]
    silent_s: float


@dataclass(frozen=True)
class Claim:
    """The attempt of a worker at a job. All methods raise ClaimLost if the worker has lost it."""

    store: OpenStore
    job: Job
    token: str
    kept: Kept | None

    def report(self, progress: dict[str, Any] | None, events: list[tuple[str, dict[str, Any]]]) -> str:
        """Store the progress and append events; return what is asked of the worker: "cancel", "pause" or ""."""
        if progress is None and not events:
            with self.store.database.look() as do:
                return _asked(self._row(do))
        with self.store.database.work() as do:
            row = self._held(do)
            if progress is not None:
                do("UPDATE kinema_jobs SET progress = :progress WHERE id = :id",
                   id=self.job.id, progress=json.dumps(progress))  # fmt: skip
                events = [*events, ("progress", progress)]
            records.add_events(self.store.database, do, self.job.id, events)
            for kind, data in events:
                if is_media(data.get("media")):
                    records.refer(do, self.job.id, kind, [data["media"]])
            return _asked(row)

    def keep(self, kept: Kept) -> None:
        """Replace the kept state, and count the attempt as one that went on."""
        with self.store.database.work() as do:
            self._held(do)
            replaced = records.refer(do, self.job.id, "kept", kept.files.values(), only=True)
            text = json.dumps({"files": kept.files, "facts": kept.facts})
            do("UPDATE kinema_jobs SET kept = :kept, stuck = 0 WHERE id = :id", id=self.job.id, kept=text)
        if replaced:
            self.store.media.drop_unused(replaced)

    def succeed(self, result: dict[str, Any], media: list[str]) -> None:
        """End the job. media: all that the result refers to. NoSuchMedia if some of it was deleted meanwhile."""
        with self.store.database.work() as do:
            kept = self._held(do)["kept"]
            self.store.media.use(do, media)
            records.refer(do, self.job.id, "result", media)
            records.end(self.store.database, do, self.job.id, "succeeded", result=result)
        if kept is not None:
            self.store.media.drop_unused([*json.loads(kept)["files"].values()])

    def fail(self, error: KinemaError) -> None:
        """End the job as failed, or as canceled if that was asked for."""
        with self.store.database.work() as do:
            state = "canceled" if self._held(do)["state"] == "canceling" else "failed"
            records.end(self.store.database, do, self.job.id, state, str(error), error=error.to_dict())

    def cancel(self) -> None:
        """End the job as canceled, with the reason given by who asked."""
        with self.store.database.work() as do:
            row = self._held(do)
            records.end(self.store.database, do, self.job.id, "canceled", row["reason"])

    def again(self, reason: str) -> None:
        """End this attempt; the job returns to the queue, or fails if its attempts are used up."""
        with self.store.database.work() as do:
            _release(self.store, do, self._held(do), reason)

    def later(self, reason: str, pause_s: float, facts: dict[str, Any]) -> None:
        """End this attempt, which failed; the job returns to the queue and starts no earlier than after pause_s. The
        attempt does not count for MAX_STUCK. facts: stored with the reason in the job's failures, where the next
        attempt finds them; an equal failure in a row is counted in "times"."""
        database = self.store.database
        with database.work() as do:
            row = self._held(do)
            if row["state"] == "canceling":
                records.end(database, do, row["id"], "canceled", row["reason"])
                return
            now, failures = database.now(do), json.loads(row["failures"])
            failure = {"reason": reason[: records.MAX_REASON_CHARS], **facts}
            if failures and {**failures[-1], **failure} == failures[-1]:
                failures[-1]["times"] = failures[-1].get("times", 1) + 1
            else:
                failures.append({"at": now, **failure})
            records.set_state(
                database, do, row["id"], "queued", reason=reason, claim=None, progress=None, due_at=now + pause_s,
                stuck=max(0, int(row["stuck"]) - 1), failures=json.dumps(failures),
            )  # fmt: skip

    def give_back(self) -> None:
        """Return the job to the queue as if this attempt had not begun: it was paused, or the worker stops."""
        with self.store.database.work() as do:
            _release(self.store, do, self._held(do), "")

    def _row(self, do: Do, locking: str = "") -> Row:
        rows = do(f"SELECT * FROM kinema_jobs WHERE id = :id AND claim = :claim{locking}",
                  id=self.job.id, claim=self.token)  # fmt: skip
        if not rows:
            raise ClaimLost(f"The job {self.job.id} is no longer this worker's.")
        return rows[0]

    def _held(self, do: Do) -> Row:
        """The job's row, locked."""
        return self._row(do, self.store.database.locking)


class Claims:
    """The jobs that one worker takes. worker: its id, the same after a restart."""

    def __init__(self, store: OpenStore, worker: str, *, lost_s: float = LOST_S) -> None:
        self.store, self.worker, self.lost_s = store, worker, lost_s

    def begin(self, facts: dict[str, Any]) -> None:
        """Register the worker, and requeue what an earlier process with its id left."""
        release_worker(self.store, self.worker, f"The worker {self.worker} stopped while it ran the job.")
        self.beat(facts)

    def beat(self, facts: dict[str, Any]) -> None:
        """Send a heartbeat. facts: shown to people."""
        with self.store.database.work() as do:
            do(
                "INSERT INTO kinema_job_workers (id, host, pid, facts, started_at, seen_at) "
                "VALUES (:id, :host, :pid, :facts, :now, :now) ON CONFLICT (id) DO UPDATE SET host = excluded.host, "
                "pid = excluded.pid, facts = excluded.facts, seen_at = excluded.seen_at",
                id=self.worker, host=socket.gethostname(), pid=os.getpid(), facts=json.dumps(facts),
                now=self.store.database.now(do),
            )  # fmt: skip

    def leave(self) -> None:
        """Unregister the worker."""
        with self.store.database.work() as do:
            do("DELETE FROM kinema_job_workers WHERE id = :id", id=self.worker)

    def take(self) -> Claim | None:
        """Claim the first job of the queue, of the kinds of this store; None if there is none."""
        database = self.store.database
        kinds = {f"kind{number}": name for number, name in enumerate(self.store.kinds)}
        ready = "SELECT id FROM kinema_jobs WHERE state = 'queued' AND paused = 0 AND due_at <= :now AND kind IN " \
                f"({', '.join(f':{name}' for name in kinds)}) AND kind NOT IN (SELECT kind FROM kinema_paused_kinds) " \
                "ORDER BY priority DESC, place, id LIMIT 1"  # fmt: skip
        with database.look() as do:
            if not do(ready, now=database.now(do), **kinds):
                return None
        with database.work() as do:
            now = database.now(do)
            rows = do(ready + database.skipping, now=now, **kinds)
            if not rows:
                return None
            id, token = rows[0]["id"], secrets.token_hex(8)
            kept = do(
                "UPDATE kinema_jobs SET attempts = attempts + 1, stuck = stuck + 1 WHERE id = :id RETURNING kept", id=id
            )[0]["kept"]
            records.set_state(
                database, do, id, "running", claim=token, worker=self.worker, started_at=now, progress=None
            )  # fmt: skip
            job = records.fetch(do, id)
        return Claim(self.store, job, token, None if kept is None else Kept(**json.loads(kept)))

    def look_after(self) -> list[str]:
        """Expire jobs that waited too long, and requeue those of silent workers; return the ids of these workers."""
        database = self.store.database
        with database.look() as do:
            now = database.now(do)
            late = do("SELECT id FROM kinema_jobs WHERE state = 'queued' AND expires_at < :now", now=now)
            lost = do("SELECT id FROM kinema_job_workers WHERE seen_at < :then AND id <> :own",
                      then=now - self.lost_s, own=self.worker)  # fmt: skip
        for row in late:
            with database.work() as do:
                job = records.held_for_change(database, do, row["id"])
                if job.state == "queued":
                    records.end(database, do, job.id, "expired", "It did not start in time.")
        for row in lost:
            release_worker(self.store, row["id"], f"The worker {row['id']} sends no heartbeats.", gone_s=self.lost_s)
        return [row["id"] for row in lost]


def release_worker(store: OpenStore, worker: str, reason: str, *, gone_s: float | None = None) -> int:
    """Requeue the jobs of a worker that has ended, and unregister it; return their number. gone_s: only if it sent no
    heartbeat for so long."""
    database = store.database
    with database.work() as do:
        if gone_s is not None and not do(
            "SELECT id FROM kinema_job_workers WHERE id = :id AND seen_at < :then" + database.locking,
            id=worker, then=database.now(do) - gone_s,
        ):  # fmt: skip
            return 0
        rows = do("SELECT * FROM kinema_jobs WHERE worker = :worker AND state IN ('running', 'canceling')"
                  + database.locking, worker=worker)  # fmt: skip
        for row in rows:
            _release(store, do, row, reason)
        do("DELETE FROM kinema_job_workers WHERE id = :id", id=worker)
    return len(rows)


def workers(store: OpenStore) -> list[JobWorker]:
    """All registered workers."""
    with store.database.look() as do:
        now = store.database.now(do)
        rows = do("SELECT * FROM kinema_job_workers ORDER BY id")
    return [
        JobWorker(row["id"], row["host"], int(row["pid"]), json.loads(row["facts"]), now - row["seen_at"])
        for row in rows
    ]


def _release(store: OpenStore, do: Do, row: Row, reason: str) -> None:
    """Return a job to the queue after an attempt that ended for a reason, or ("") that does not count. It is canceled
    if that was asked for, and fails if its attempts are used up."""
    assert row["state"] in HELD
    database, stuck = store.database, int(row["stuck"])
    if row["state"] == "canceling":
        records.end(database, do, row["id"], "canceled", row["reason"])
        return
    if not reason:
        records.set_state(database, do, row["id"], "queued", claim=None, progress=None, stuck=max(0, stuck - 1))
        return
    now = database.now(do)
    failures = [*json.loads(row["failures"]), {"at": now, "reason": reason[: records.MAX_REASON_CHARS]}]
    do("UPDATE kinema_jobs SET failures = :failures WHERE id = :id", id=row["id"], failures=json.dumps(failures))
    if stuck >= MAX_STUCK:
        records.end(database, do, row["id"], "failed", f"{reason} No attempt of {stuck} went further.")
        return
    due_at = now + min(PAUSE_S * 2 ** (stuck - 1), LONGEST_PAUSE_S) if stuck > 1 else now
    records.set_state(database, do, row["id"], "queued", reason=reason, claim=None, progress=None, due_at=due_at)


def _asked(row: Row) -> str:
    return "cancel" if row["state"] == "canceling" else "pause" if row["paused"] else ""
