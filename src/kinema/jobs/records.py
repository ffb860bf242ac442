"""Rows of the tables as values, and the changes that the store and the claims of workers share. Every function works
within its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..core.outside import for_terminal
from .database import Do, JobDatabase, Row
from .job import Job, JobEvent, NoSuchJob, sha_of

MAX_REASON_CHARS = 2000
_POSITIONS = (
    "(SELECT id, row_number() OVER (ORDER BY priority DESC, place, id) - 1 AS position FROM kinema_jobs "
    "WHERE state = 'queued')"
)
SELECT = f"SELECT j.*, q.position FROM kinema_jobs j LEFT JOIN {_POSITIONS} q ON q.id = j.id"


def job_of(row: Row) -> Job:
    return Job(
        id=row["id"], kind=row["kind"], body=json.loads(row["body"]), name=row["name"], state=row["state"],
        paused=bool(row["paused"]), priority=int(row["priority"]),
        position=None if row["position"] is None else int(row["position"]), created_at=row["created_at"],
        started_at=row["started_at"], ended_at=row["ended_at"], attempts=int(row["attempts"]),
        failures=json.loads(row["failures"]), reason=row["reason"], progress=_json(row["progress"]),
        result=_json(row["result"]), worker=row["worker"],
    )  # fmt: skip


def event_of(row: Row) -> JobEvent:
    return JobEvent(row["job"], int(row["number"]), row["at"], row["kind"], json.loads(row["data"]))


def fetch(do: Do, id: str) -> Job:
    """The job. NoSuchJob."""
    rows = do(f"{SELECT} WHERE j.id = :id", id=id)
    if not rows:
        raise NoSuchJob(f"No job {for_terminal(str(id), 60)}.")
    return job_of(rows[0])


def held_for_change(database: JobDatabase, do: Do, id: str) -> Job:
    """The job, locked until the transaction ends. NoSuchJob."""
    do(f"SELECT id FROM kinema_jobs WHERE id = :id{database.locking}", id=id)
    return fetch(do, id)


def add_event(database: JobDatabase, do: Do, id: str, kind: str, data: dict[str, Any]) -> int:
    """Append an event to a job; return its number."""
    return add_events(database, do, id, [(kind, data)])


def add_events(database: JobDatabase, do: Do, id: str, events: list[tuple[str, dict[str, Any]]]) -> int:
    """Append events to a job; return the number of the last. Its row, which holds the body, is written once."""
    last = int(
        do("UPDATE kinema_jobs SET last_event = last_event + :count WHERE id = :id RETURNING last_event",
           id=id, count=len(events))[0]["last_event"]
    )  # fmt: skip
    for number, (kind, data) in enumerate(events, last - len(events) + 1):
        do(
            "INSERT INTO kinema_job_events (job, number, at, kind, data) VALUES (:job, :number, :at, :kind, :data)",
            job=id, number=number, at=database.now(do), kind=kind, data=json.dumps(data),
        )  # fmt: skip
    return last


def set_state(
    database: JobDatabase, do: Do, id: str, state: str, *, reason: str = "", result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None, **columns: Any,
) -> None:  # fmt: skip
    """Change the state of a job, set other columns, and append the event, which also has the error (its to_dict)."""
    columns |= {"state": state, "reason": reason[:MAX_REASON_CHARS]}
    if result is not None:
        columns["result"] = json.dumps(result)
    sets = ", ".join(f"{name} = :{name}" for name in columns)
    row = do(f"UPDATE kinema_jobs SET {sets} WHERE id = :id RETURNING paused, attempts", id=id, **columns)[0]
    data: dict[str, Any] = {"state": state, "paused": bool(row["paused"]), "attempts": int(row["attempts"])}
    if reason:
        data["reason"] = reason[:MAX_REASON_CHARS]
    if result is not None:
        data["result"] = result
    if error is not None:
        data["error"] = error
    add_event(database, do, id, "state", data)


def end(
    database: JobDatabase, do: Do, id: str, state: str, reason: str = "", *, result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """End a job. Its previews are dropped, its result stays, and so does the kept state of one that may be retried."""
    for role in ("preview", "kept") if state == "succeeded" else ("preview",):
        do("DELETE FROM kinema_job_media WHERE job = :id AND role = :role", id=id, role=role)
    columns: dict[str, Any] = {"ended_at": database.now(do), "claim": None, "paused": 0}
    if state == "succeeded":
        columns["kept"] = None
    set_state(database, do, id, state, reason=reason, result=result, error=error, **columns)


def refer(do: Do, id: str, role: str, media: Iterable[str], *, only: bool = False) -> list[str]:
    """Record that a job refers to media. only: instead of what it referred to in this role, which is returned."""
    shas = sorted({sha_of(each) for each in media})
    replaced = []
    if only:
        rows = do("SELECT sha FROM kinema_job_media WHERE job = :id AND role = :role", id=id, role=role)
        replaced = [row["sha"] for row in rows if row["sha"] not in shas]
        for sha in replaced:
            do(
                "DELETE FROM kinema_job_media WHERE job = :id AND role = :role AND sha = :sha",
                id=id,
                role=role,
                sha=sha,
            )
    for sha in shas:
        do("INSERT INTO kinema_job_media (job, sha, role) VALUES (:id, :sha, :role) ON CONFLICT DO NOTHING",
           id=id, sha=sha, role=role)  # fmt: skip
    return replaced


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
