"""Which ended jobs and media are kept: by age and by bytes. What a job refers to stays as long as the job."""

from __future__ import annotations

from dataclasses import dataclass

from .job import ENDED
from .store import JobStore, remove

UPLOAD_S = 3600.0
"""How long media that no job refers to are kept: an upload whose job is still to come."""
_IS_ENDED = f"state IN ({', '.join(repr(state) for state in ENDED)})"
MOST = 500


@dataclass(frozen=True)
class Retention:
    """Limits of the store. max_age_s: since the end of a job; max_bytes: of all media."""

    max_age_s: float = 90 * 86_400.0
    max_bytes: int = 50 * 10**9


def clean(store: JobStore, limits: Retention, upload_s: float = UPLOAD_S) -> int:
    """Delete ended jobs above the limits, the oldest first, then media that no job refers to; return the number of
    jobs. Jobs that have not ended stay, whatever their size."""
    database = store.database
    with database.look() as do:
        now = database.now(do)
        old = do(f"SELECT id FROM kinema_jobs WHERE {_IS_ENDED} AND ended_at < :old ORDER BY ended_at LIMIT :most",
                 old=now - limits.max_age_s, most=MOST)  # fmt: skip
    count = sum(_delete(store, row["id"]) for row in old)
    store.media.collect(now, upload_s)
    while store.media.total_bytes() > limits.max_bytes:
        with database.look() as do:
            rows = do(f"SELECT id FROM kinema_jobs WHERE {_IS_ENDED} ORDER BY ended_at LIMIT 1")
            if not rows:
                break
            id = rows[0]["id"]
            made = do("SELECT DISTINCT sha FROM kinema_job_media WHERE job = :id AND role <> 'input'", id=id)
        count += _delete(store, id)
        store.media.drop_unused([row["sha"] for row in made])  # however new: else the next job would go for its bytes
        store.media.collect(now, upload_s)
    store.media.sweep()
    return count


def _delete(store: JobStore, id: str) -> int:
    """Delete a job if it has still ended."""
    with store.database.work() as do:
        if not do(f"SELECT id FROM kinema_jobs WHERE id = :id AND {_IS_ENDED}{store.database.locking}", id=id):
            return 0
        remove(do, id)
    return 1
