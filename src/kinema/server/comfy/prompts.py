"""Workflows as ComfyUI's clients list them: jobs of the kind `workflow` with the id, the number and the client of the
prompt. Lists never read the bodies of jobs."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.errors import KinemaError
from ...core.outside import read_json
from ...jobs import records
from ...jobs.database import Do
from ...jobs.job import HELD
from ...jobs.store import JobStore

KIND = "workflow"
STATUSES: Mapping[str, tuple[str, ...]] = {
    "pending": ("queued",), "in_progress": HELD, "completed": ("succeeded",), "failed": ("failed", "expired"),
    "cancelled": ("canceled",),
}  # fmt: skip
"""ComfyUI's word for the states of a job."""
ENDED_STATUSES = ("completed", "failed", "cancelled")
SORTS = {"created_at": "j.id", "execution_duration": "j.ended_at - j.started_at"}
_COLUMNS = (
    "p.id AS prompt, p.client, p.number, p.workflow, j.id AS job, j.state, j.created_at, j.started_at, j.ended_at, "
    "j.reason, j.result, j.last_event, j.attempts"
)
_FROM = "FROM kinema_prompts p JOIN kinema_jobs j ON j.id = p.job"


@dataclass(frozen=True)
class PromptRecord:
    """A workflow's job without its body. id: of the prompt. number: its place in ComfyUI's counting. Times are seconds
    since the epoch."""

    id: str
    job: str
    client: str
    number: int
    workflow: str
    state: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    reason: str
    result: dict[str, Any]
    last_event: int
    attempts: int

    @property
    def status(self) -> str:
        return next(status for status, states in STATUSES.items() if self.state in states)

    @property
    def ended(self) -> bool:
        return self.status in ENDED_STATUSES


def prompt_id(text: Any) -> str | None:
    """The id of a prompt in its usual form; None for a text that is no id (a UUID)."""
    try:
        return str(uuid.UUID(text)) if isinstance(text, str) and len(text) <= 64 else None
    except ValueError:
        return None


class Prompts:
    """The workflows of a store."""

    def __init__(self, store: JobStore) -> None:
        self.store = store

    def add(self, do: Do, job: str, id: str, client: str, workflow: str, number: float | None, front: bool) -> None:
        """Record a new job as a prompt, within the transaction that stores it, and put it at its place in the queue.
        number: the client's; a queued prompt with a higher one comes later. front: before all others."""
        highest = int(do("SELECT coalesce(max(abs(number)), 0) AS highest FROM kinema_prompts")[0]["highest"]) + 1
        own = int(max(-(2**53), min(2**53, number))) if number is not None else -highest if front else highest
        if number is not None and number >= 2**53:  # no later prompt would have a higher one
            own = highest
        do("INSERT INTO kinema_prompts (id, job, client, number, workflow) VALUES (:id, :job, :client, :number, "
           ":workflow)", id=id, job=job, client=client, number=own, workflow=workflow)  # fmt: skip
        if number is None and not front:
            return
        after = do(
            f"SELECT min(j.place) AS place {_FROM} WHERE j.state = 'queued' AND j.priority = 0 AND p.number > :number "
            "AND j.id <> :job", number=own, job=job,
        )[0]["place"]  # fmt: skip
        if after is not None:
            before = do("SELECT max(place) AS place FROM kinema_jobs WHERE state = 'queued' AND place < :after",
                        after=after)[0]["place"]  # fmt: skip
            place = after - 1 if before is None else (before + after) / 2
            do("UPDATE kinema_jobs SET place = :place WHERE id = :job", place=place, job=job)

    def find(self, id: str) -> PromptRecord | None:
        """The workflow of a prompt's id."""
        with self.store.database.look() as do:
            rows = do(f"SELECT {_COLUMNS} {_FROM} WHERE p.id = :id", id=id)
        return _record(rows[0]) if rows else None

    def of_job(self, job: str) -> PromptRecord | None:
        """The workflow of a job."""
        with self.store.database.look() as do:
            rows = do(f"SELECT {_COLUMNS} {_FROM} WHERE p.job = :job", job=job)
        return _record(rows[0]) if rows else None

    def before(self, job: str | None, limit: int, labels: Mapping[str, str]) -> list[PromptRecord]:
        """Workflows with all these labels that are older than a job, the newest first. job: None is all."""
        where, values = ["1 = 1"], dict[str, Any]()
        if job is not None:
            where.append("job < :before")
            values["before"] = job
        for number, (label, value) in enumerate(labels.items()):
            where.append(f"job IN (SELECT job FROM kinema_job_labels WHERE label = :label{number} "
                         f"AND value = :value{number})")  # fmt: skip
            values |= {f"label{number}": label, f"value{number}": value}
        ids = f"SELECT job FROM kinema_prompts WHERE {' AND '.join(where)} ORDER BY job DESC LIMIT :most"
        with self.store.database.look() as do:  # rows of jobs hold bodies: only those of the page are read
            rows = do(f"SELECT {_COLUMNS} {_FROM} WHERE p.job IN (SELECT job FROM ({ids}) page)", most=limit, **values)
        return sorted((_record(row) for row in rows), key=lambda each: each.job, reverse=True)

    def page(
        self, statuses: Collection[str] = (), *, limit: int, offset: int = 0, workflow: str = "",
        sort: str = "created_at", newest_first: bool = True,
    ) -> tuple[list[PromptRecord], int]:  # fmt: skip
        """Workflows in these statuses (default: all) from the one at `offset`, and the number of all of them."""
        where, values = _where(statuses, workflow)
        order = "DESC" if newest_first else "ASC"
        joined = "JOIN kinema_prompts p ON p.job = j.id" if workflow else ""
        ids = (
            f"SELECT j.id FROM kinema_jobs j {joined} WHERE {where} ORDER BY {SORTS[sort]} {order}, j.id {order} "
            "LIMIT :most OFFSET :offset"
        )
        with self.store.database.look() as do:
            total = int(do(f"SELECT count(*) AS total FROM kinema_jobs j {joined} WHERE {where}", **values)[0]["total"])
            found = [row["id"] for row in do(ids, most=limit, offset=offset, **values)]
            names = {f"id{number}": id for number, id in enumerate(found)}
            rows = do(f"SELECT {_COLUMNS} {_FROM} WHERE j.id IN ({', '.join(f':{name}' for name in names)})",
                      **names) if names else []  # fmt: skip
        by_id = {row["job"]: _record(row) for row in rows}
        return [by_id[id] for id in found if id in by_id], total

    def queue(self) -> tuple[list[PromptRecord], list[PromptRecord]]:
        """The workflows that run, and those that wait, in their order."""
        with self.store.database.look() as do:
            rows = do(f"SELECT {_COLUMNS} {_FROM} WHERE j.state IN ('queued', 'running', 'canceling') "
                      "ORDER BY j.priority DESC, j.place, j.id")  # fmt: skip
        found = [_record(row) for row in rows]
        return [each for each in found if each.state != "queued"], [each for each in found if each.state == "queued"]

    def remaining(self) -> int:
        """The number of workflows that wait or run."""
        with self.store.database.look() as do:
            return int(do("SELECT count(*) AS num FROM kinema_jobs WHERE state IN ('queued', 'running', 'canceling') "
                          "AND kind = :kind", kind=KIND)[0]["num"])  # fmt: skip

    def moving(self, since: float) -> tuple[list[PromptRecord], int]:
        """The workflows that run or ended after a time, in order of their ends, and the number of those that wait or
        run, at one moment."""
        with self.store.database.look() as do:
            rows = do(f"SELECT {_COLUMNS} {_FROM} WHERE j.state IN ('running', 'canceling')")
            rows += do(f"SELECT {_COLUMNS} {_FROM} WHERE j.ended_at > :since AND j.state NOT IN ('queued', 'running', "
                       "'canceling') ORDER BY j.ended_at", since=since)  # fmt: skip
            num = int(do("SELECT count(*) AS num FROM kinema_jobs WHERE state IN ('queued', 'running', 'canceling') "
                         "AND kind = :kind", kind=KIND)[0]["num"])  # fmt: skip
        found = [_record(row) for row in rows]
        return sorted(found, key=lambda each: (each.ended_at is None, each.ended_at or 0.0)), num

    def bodies(self, jobs: Collection[str]) -> dict[str, dict[str, Any]]:
        """The bodies of jobs, by id."""
        names = {f"job{number}": job for number, job in enumerate(jobs)}
        if not names:
            return {}
        with self.store.database.look() as do:
            rows = do(f"SELECT id, body FROM kinema_jobs WHERE id IN ({', '.join(f':{name}' for name in names)})",
                      **names)  # fmt: skip
        return {row["id"]: json.loads(row["body"]) for row in rows}

    def whole_body(self, job: str) -> dict[str, Any]:
        """The body of a job with the saved page in it, as the client sent them; {} if the job is gone."""
        body = self.bodies([job]).get(job, {})
        if body.get("workflow"):
            with contextlib.suppress(KinemaError, OSError):  # deleted in this moment
                page = read_json(self.store.media.path(body["workflow"]), dict)
                body["extra"] = {**body["extra"], "extra_pnginfo": {"workflow": page}}
        return body

    def events(self, job: str, after: int = 0, kinds: Collection[str] = (), limit: int = 1000) -> list[Any]:
        """The events of a job with a number above `after`, of these kinds (default: all); none if it is gone."""
        names = {f"kind{number}": kind for number, kind in enumerate(kinds)}
        of = f" AND kind IN ({', '.join(f':{name}' for name in names)})" if names else ""
        with self.store.database.look() as do:
            rows = do(f"SELECT * FROM kinema_job_events WHERE job = :job AND number > :after{of} ORDER BY number "
                      "LIMIT :most", job=job, after=after, most=limit, **names)  # fmt: skip
        return [records.event_of(row) for row in rows]


def _where(statuses: Collection[str], workflow: str) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {"kind": KIND}
    where = "j.kind = :kind"
    if statuses:
        names = {f"s{n}": state for n, state in enumerate(state for each in statuses for state in STATUSES[each])}
        where += f" AND j.state IN ({', '.join(f':{name}' for name in names)})"
        values |= names
    if workflow:
        where += " AND p.workflow = :workflow"
        values["workflow"] = workflow
    return where, values


def _record(row: dict[str, Any]) -> PromptRecord:
    return PromptRecord(
        row["prompt"], row["job"], row["client"], int(row["number"]), row["workflow"], row["state"], row["created_at"],
        row["started_at"], row["ended_at"], row["reason"], json.loads(row["result"] or "{}"), int(row["last_event"]),
        int(row["attempts"]),
    )  # fmt: skip
