"""The values of a job, its events and its media. Plain data: no torch, no database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..core.by_hash import PREFIX, is_sha256
from ..core.errors import KinemaError, RequestError

STATES = ("queued", "running", "canceling", "succeeded", "canceled", "failed", "expired")
ENDED = ("succeeded", "canceled", "failed", "expired")
HELD = ("running", "canceling")
"""The states in which a worker holds the job."""


class NoSuchJob(KinemaError):
    """No job has this id."""


class NoSuchMedia(KinemaError):
    """The store has no media with this hash."""


class KeyReused(KinemaError):
    """An idempotency key was used before, for another kind or body."""


class WrongState(KinemaError):
    """The job's state does not allow this change."""


@dataclass(frozen=True)
class Job:
    """A job as stored. Times are seconds since the epoch.

    priority: higher first. position: 0-based place in the queue, None unless queued. attempts: starts so far.
    failures: [{"at", "reason"}] of earlier attempts. reason: why it failed, was canceled or expired. progress: a
    ProgressState of core/overall.py as JSON: {"fraction", "stage", "step", "steps", "seconds_left", ...}. result:
    {"media", "bytes", "media_type", "name"} and what its kind adds. worker: the id of the worker that holds or last
    held it."""

    id: str
    kind: str
    body: Any
    name: str = ""
    state: str = "queued"
    paused: bool = False
    priority: int = 0
    position: int | None = None
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    attempts: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    progress: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    worker: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class JobEvent:
    """An event of a job, numbered 1, 2, ... without gaps. at: seconds since the epoch.

    kind and data: "state": {"state", "paused", "attempts", "reason"?, "result"?, "error"? (KinemaError.to_dict)};
    "progress": Job.progress; "preview": {"media", "media_type", "step", "steps", "span"}; "note": {"text"}; "resumed":
    {"step"}; "moved": {"position"}; kinds of jobs may add others."""

    job: str
    number: int
    at: float
    kind: str
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Media:
    """A file of the media store: its SHA-256 in hexadecimal, its size and its type (MIME)."""

    sha256: str
    bytes: int
    media_type: str

    def __str__(self) -> str:
        return PREFIX + self.sha256


def sha_of(media: str) -> str:
    """The 64 hexadecimal digits of "sha256:<hex>", or of the digits alone. RequestError for anything else."""
    sha = media.removeprefix(PREFIX) if isinstance(media, str) else ""
    if not is_sha256(sha):
        raise RequestError(f"{str(media)[:100]!r} names no media.", field="media", value=str(media)[:100],
                           legal="sha256: and 64 hexadecimal digits")  # fmt: skip
    return sha


def check_states(states: Iterable[str]) -> tuple[str, ...]:
    """Return the states. RequestError for an unknown one."""
    found = tuple(states)
    for state in found:
        if state not in STATES:
            raise RequestError(f"No state {state[:50]!r}.", field="state", value=state[:50], legal=", ".join(STATES))
    return found
