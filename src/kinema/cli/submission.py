"""What `kinema submit` does with the request of a verb, in place of generating its clip."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import RequestError
from . import connect, show
from .followed import FollowedJob
from .handover import LOCAL, planned_there, shown, uploaded
from .options import SingleClipOptions
from .say import answer, note, say_aside
from .sent import NotSendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.plan import Plan
    from ..core.request import Request


@dataclass(frozen=True)
class Submission:
    """Where the requests of verbs go. server, token_env: as typed. key: the idempotency key; None: a new one."""

    server: str | None = None
    token_env: str | None = None
    priority: int = 0
    name: str | None = None
    key: str | None = None


_current: ContextVar[Submission | None] = ContextVar("submission", default=None)


def current() -> Submission | None:
    """The submission within which a verb runs; None: it generates."""
    return _current.get()


@contextmanager
def submitting(submission: Submission) -> Iterator[None]:
    token = _current.set(submission)
    try:
        yield
    finally:
        _current.reset(token)


def refuse_local(name: str) -> None:
    """Raise RequestError within `kinema submit`, for work that no server does."""
    if current() is not None:
        raise RequestError(f"{name} cannot be submitted.", field="submit", legal="the same command without `submit`")


def submit_clip(
    options: SingleClipOptions, request: Request, submission: Submission, check_domain: Callable[[list[Plan]], None]
) -> None:
    """Submit a job for a request, and print its id. check_domain: refuses plans outside the model's domain."""
    for name in LOCAL:
        if (value := getattr(options, name)) is not None:
            raise RequestError(
                f"--{name.replace('_', '-')} cannot be submitted.", field=name, value=str(value),
                legal="without it; `kinema jobs get ID -o FILE` saves the clip",
            )  # fmt: skip
    server = connect.required(submission.server or options.server, submission.token_env)
    try:
        sent = uploaded(request, server, options.as_json)
    except NotSendable as error:
        raise RequestError(f"This cannot be submitted: {error}.", field="submit",
                           legal="the same command without `submit`") from None  # fmt: skip
    plan = planned_there(sent, server)
    check_domain([plan])
    if not options.as_json:
        show.remarks(plan)
    target = Path(options.output_ or (f"clip{'.png' if plan.frames == 1 else '.mp4'}"))
    if not target.suffix:
        raise RequestError(f"{options.output_}: a folder of frames cannot be submitted.", field="output",
                           value=options.output_, legal="a file")  # fmt: skip
    name = submission.name if submission.name is not None else shown(target) if options.output_ else ""
    body, key = sent.job | {"file": f"clip{target.suffix.lower()}"}, submission.key or secrets.token_hex(16)

    def submit(limit_s: float | None = None) -> Any:
        return server.submit("clip", body, key=key, priority=submission.priority, name=name, limit_s=limit_s)

    try:
        job = submit()
    except Exception:
        raise
    except BaseException:
        if submission.key is None:  # else it may be an earlier job, and the same command finds it again
            note(FollowedJob(server, lambda: None, "The server").cancel(submit))
        raise
    answer(job, options.as_json, str(job["id"]))
    if not options.as_json and sys.stdout.isatty():
        say_aside(f"`kinema jobs wait {job['id']}` shows its progress, `kinema jobs get {job['id']}` saves the clip.")
