"""`kinema jobs`: the jobs of a server."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import KinemaError, RequestError
from ..jobs.job import ENDED
from . import connect, output
from .exits import guarded
from .followed import FollowedJob, queued
from .names import unused
from .options import OUTPUT, AsJson, option
from .progress import reporter
from .say import answer, note, say
from .submit import Server, TokenEnv

if TYPE_CHECKING:
    from ..http.jobs_client import JobsServer

app = typer.Typer(help="List, follow and change the jobs of a server.", no_args_is_help=False)
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Jobs, by their ids.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="A job, by its id.", show_default=False)]
MAX_WORDS = 60
WHICH = "Which jobs"


States = Annotated[
    list[str] | None,
    option("--state", metavar="STATE", panel=WHICH, help="Only jobs in this state: queued, running, "
           "canceling, succeeded, canceled, failed or expired. Repeatable."),
]  # fmt: skip
Limit = Annotated[int, typer.Option("--limit", metavar="N", help="At most this many.", min=1, max=500,
                                      rich_help_panel=WHICH)]  # fmt: skip


@app.callback(invoke_without_command=True)
def _default(
    context: typer.Context, state: States = None, limit: Limit = 20, server: Server = None, token_env: TokenEnv = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    if context.invoked_subcommand is not None:
        for name in context.params:
            if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
                context.fail(f"Options come after the verb: kinema jobs {context.invoked_subcommand} ...")
    else:
        list_(state=state, limit=limit, server=server, token_env=token_env, as_json=as_json)


@app.command("list")
@guarded
def list_(
    state: States = None, limit: Limit = 20, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False
) -> None:
    """List the jobs of a server, the newest first. The default of `kinema jobs`."""
    found = connect.required(server, token_env).jobs(list(state or ()), limit)
    if as_json:
        answer({"jobs": found}, True, "")
    elif found:
        say(*(_line(job) for job in found))
    else:
        say("No jobs.")


@app.command()
@guarded
def show(id: Id, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Show a job: its state, its attempts and its result."""
    job = connect.required(server, token_env).job(id)
    answer(job, as_json, "\n".join(_lines(job)))


@app.command()
@guarded
def wait(ids: Ids, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Wait for the ends of jobs, with their progress. Ctrl-C ends the waiting, not the job."""
    jobs_of = connect.required(server, token_env)
    ended = []
    for id in ids:
        job = jobs_of.job(id)
        if job.get("state") == "succeeded":
            ended.append(job)  # its past progress is not shown again
            continue
        with reporter(as_json) as on_event:
            queued(job, on_event)
            _followed(jobs_of, id, server).result(on_event)
        ended.append(jobs_of.job(id))
    answer({"jobs": ended}, as_json, "\n".join(map(_line, ended)))


@app.command()
@guarded
def get(
    id: Id,
    output_: Annotated[
        str | None,
        option(
            "--output", "-o", metavar="FILE", panel=OUTPUT, help="The file. Default: a new one with the job's name."
        ),
    ] = None,
    server: Server = None,
    token_env: TokenEnv = None,
    as_json: AsJson = False,
) -> None:
    """Save the clip of a finished job, with its manifest."""
    jobs_of = connect.required(server, token_env)
    job = jobs_of.job(id)
    result = job.get("result")
    if job.get("state") != "succeeded" or not isinstance(result, dict):
        raise KinemaError(f"The job {id} is {job.get('state')} and has no clip. {job.get('reason') or ''}".strip())
    suffix = Path(str(result.get("name") or "clip.mp4")).suffix.lower()
    target = Path(output_) if output_ is not None else unused(Path(_file_name(job, suffix)))
    if target.suffix.lower() != suffix:
        raise RequestError(f"{target}: the clip is a {suffix} file.", field="output", value=str(target),
                           legal=f"a name that ends with {suffix}")  # fmt: skip
    output.check_clip(str(target))
    with reporter(as_json) as on_event:
        _followed(jobs_of, id, server).fetch(target, result, on_event)
    answer({"path": str(target), "bytes": output.size_of(target), "job": id}, as_json, str(target))


@app.command()
@guarded
def cancel(ids: Ids, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Cancel jobs: queued ones at once, running ones between two steps."""
    _act("cancel", ids, server, token_env, as_json)


@app.command()
@guarded
def retry(ids: Ids, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Queue failed, canceled or expired jobs again; they continue from their last kept state."""
    _act("retry", ids, server, token_env, as_json)


@app.command()
@guarded
def pause(ids: Ids, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Keep jobs from running until `resume`. A running one stops between two steps and is kept."""
    _act("pause", ids, server, token_env, as_json)


@app.command()
@guarded
def resume(ids: Ids, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Let paused jobs run."""
    _act("resume", ids, server, token_env, as_json)


@app.command()
@guarded
def reorder(
    id: Id,
    before: Annotated[
        str | None, option("--before", metavar="ID", help="Directly before this queued job.", panel="Options")
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="To the front of the queue.")] = False,
    last: Annotated[bool, typer.Option("--last", help="To the back of the queue.")] = False,
    server: Server = None,
    token_env: TokenEnv = None,
    as_json: AsJson = False,
) -> None:
    """Move a queued job in the queue."""
    if (before is not None) + first + last != 1:
        raise RequestError("Where the job moves is required.", field="before", legal="--before ID, --first or --last")
    place = {"before": before} if before is not None else {"to": "front" if first else "back"}
    job = connect.required(server, token_env).act(id, "move", place)
    answer(job, as_json, _line(job))


@app.command()
@guarded
def delete(ids: Ids, server: Server = None, token_env: TokenEnv = None, as_json: AsJson = False) -> None:
    """Delete ended jobs. Their clips are deleted with the next cleaning of the store."""
    jobs_of = connect.required(server, token_env)
    for id in ids:
        jobs_of.delete(id)
    answer({"deleted": ids}, as_json, "\n".join(f"{id}  deleted" for id in ids))


def _act(action: str, ids: list[str], server: str | None, token_env: str | None, as_json: bool) -> None:
    """Do something with each job, and print all. Those before one that is refused are done, and stay so."""
    jobs_of = connect.required(server, token_env)
    done: list[dict[str, Any]] = []
    try:
        for id in ids:
            done.append(jobs_of.act(id, action))  # noqa: PERF401 - each counts, even if the next one is refused
    except KinemaError:
        if done and not as_json:
            note("\n".join(map(_line, done)))
        raise
    answer({"jobs": done}, as_json, "\n".join(map(_line, done)))


def _followed(jobs_of: JobsServer, id: str, asked: str | None) -> FollowedJob:
    by_name = asked not in (None, connect.AUTO)
    return FollowedJob(jobs_of, lambda: connect.again(jobs_of, by_name=by_name), "The server", id)


def _line(job: dict[str, Any]) -> str:
    """Return a job as one line: id, state, time, what it is."""
    return "  ".join([str(job.get("id")), f"{_state(job):<12}", _time(job.get("created_at")), _words(job)])


def _state(job: dict[str, Any]) -> str:
    state, progress = str(job.get("state")), job.get("progress")
    if job.get("paused") and state not in ENDED:
        return "paused"
    if state == "running" and isinstance(progress, dict) and isinstance(progress.get("fraction"), float):
        return f"{100 * progress['fraction']:.0f} %"
    position = job.get("position")
    return f"queued, {position + 1}." if state == "queued" and isinstance(position, int) else state


def _words(job: dict[str, Any]) -> str:
    """Return what a job makes: its name, and the beginning of its prompt; its kind if it has neither."""
    return ": ".join(each for each in (str(job.get("name") or ""), _prompt(job)) if each) or str(job.get("kind"))


def _prompt(job: dict[str, Any]) -> str:
    """Return the beginning of the prompt of a job, or an empty string."""
    body = job.get("body")
    prompt = " ".join(str(body.get("prompt", "")).split()) if isinstance(body, dict) else ""
    return prompt if len(prompt) <= MAX_WORDS else f"{prompt[: MAX_WORDS - 3]}..."


def _lines(job: dict[str, Any]) -> list[str]:
    """Return a job as text."""
    result = job.get("result") if isinstance(job.get("result"), dict) else None
    facts = {
        "id": job.get("id"), "state": _state(job), "kind": job.get("kind"), "name": job.get("name"),
        "prompt": _prompt(job), "priority": job.get("priority") or None,
        "submitted": _time(job.get("created_at")), "started": _time(job.get("started_at")),
        "ended": _time(job.get("ended_at")), "attempts": job.get("attempts"), "reason": job.get("reason"),
        "worker": job.get("worker"),
        "clip": f"{result.get('name')}, {result.get('width')}x{result.get('height')}, {result.get('frames')} frames"
        if result else None,
    }  # fmt: skip
    lines = [f"{name:<10}  {value}" for name, value in facts.items() if value not in (None, "")]
    return [*lines, *(f"{'failed':<10}  {each.get('reason')}" for each in job.get("failures") or ())]


def _time(seconds: Any) -> str:
    """Return a time in the local time zone."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _file_name(job: dict[str, Any], suffix: str) -> str:
    """Return a default name for the clip of a job: that of the job if it is one, else clip."""
    stem = Path(str(job.get("name") or "")).name.removesuffix(suffix)
    if stem.startswith(".") or not stem.isprintable() or not stem:
        stem = "clip"
    return f"{stem}{suffix}"
