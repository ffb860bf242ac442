"""Changes of several jobs of one kind at once, each in one transaction: no job starts or ends in between."""

from __future__ import annotations

from collections.abc import Iterable

from . import records
from .job import ENDED
from .store import JobStore, remove

MOST_REMOVED = 500
"""Jobs that are deleted in one transaction."""


def cancel_running(store: JobStore, kind: str, reason: str = "") -> str | None:
    """Ask the job of a kind that has run longest to stop; return its id, None if none runs at this moment. A job that
    starts later is not touched."""
    with store.database.work() as do:
        rows = do(
            "SELECT id FROM kinema_jobs WHERE state = 'running' AND kind = :kind ORDER BY started_at, id LIMIT 1"
            + store.database.locking, kind=kind,
        )  # fmt: skip
        for row in rows:
            records.set_state(store.database, do, row["id"], "canceling", reason=reason)
    return rows[0]["id"] if rows else None


def cancel_queued(store: JobStore, kind: str, ids: Iterable[str] | None = None, reason: str = "") -> list[str]:
    """Cancel those of the jobs of a kind that are queued; return their ids in the order of the queue. ids: None is all
    jobs. A job that runs is not touched."""
    wanted = None if ids is None else set(ids)
    with store.database.work() as do:
        rows = do(
            "SELECT id FROM kinema_jobs WHERE state = 'queued' AND kind = :kind ORDER BY priority DESC, place, id"
            + store.database.locking, kind=kind,
        )  # fmt: skip
        found = [row["id"] for row in rows if wanted is None or row["id"] in wanted]
        for id in found:
            records.end(store.database, do, id, "canceled", reason)
    return found


def remove_ended(store: JobStore, kind: str, ids: Iterable[str] | None = None) -> int:
    """Delete those of the jobs of a kind that have ended; return their number. ids: None is all jobs."""
    ended, count = ", ".join(repr(state) for state in ENDED), 0
    wanted = None if ids is None else set(ids)
    with store.database.look() as do:
        rows = do(f"SELECT id FROM kinema_jobs WHERE kind = :kind AND state IN ({ended})", kind=kind)
    found = [row["id"] for row in rows if wanted is None or row["id"] in wanted]
    for start in range(0, len(found), MOST_REMOVED):
        with store.database.work() as do:
            for id in found[start : start + MOST_REMOVED]:
                if do(f"SELECT id FROM kinema_jobs WHERE id = :id AND state IN ({ended}){store.database.locking}",
                      id=id):  # fmt: skip
                    remove(do, id)
                    count += 1
    return count


def pause_kind(store: JobStore, kind: str, paused: bool) -> None:
    """Keep the jobs of a kind from starting, those submitted later too, or let them start again. A job that runs goes
    on."""
    with store.database.work() as do:
        if paused:
            do("INSERT INTO kinema_paused_kinds (kind) VALUES (:kind) ON CONFLICT DO NOTHING", kind=kind)
        else:
            do("DELETE FROM kinema_paused_kinds WHERE kind = :kind", kind=kind)


def is_paused(store: JobStore, kind: str) -> bool:
    """Whether the jobs of a kind are kept from starting."""
    with store.database.look() as do:
        return bool(do("SELECT kind FROM kinema_paused_kinds WHERE kind = :kind", kind=kind))
