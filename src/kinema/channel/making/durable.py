"""Shots as durable workflows (DBOS): a database records the finished steps, and a restarted process resumes there.

A shot is two workflows. `shot` is queued for the channel's own process and ends in the library. It enqueues `draw` for
any process that generates clips: the channel's own, or a worker on another machine. Each attempt, with pauses that
double, is a step: a shot that keeps failing, or crashing its process, is set aside with the reason.

DBOS resumes only workflows of the same application version, by default a hash of the source; here it is explicit.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...core.errors import KinemaError, ModelError
from ...core.extras import install_command
from ...core.renamed import upscale_of
from . import steps
from .steps import Channel, Workspace

VERSION = "kinema-channel-2"  # changes when the order of steps below does
QUEUE = "kinema-draw"
MAX_DEATHS = 8  # process crashes per shot
LONGEST_AWAY_PAUSE_S = 60.0  # between attempts to reach an unavailable service
POLL_S = 1.0  # polling interval of the queues
_OVER = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
log = logging.getLogger("kinema.channel")


@dataclass
class ProcessRole:
    """The role of this process: its workspace for generation and, in the channel's process, the channel."""

    workspace: Workspace
    channel: Channel | None = None

    @property
    def own_queue(self) -> str | None:
        return f"kinema-channel-{self.channel.ledger.token}" if self.channel is not None else None


_role: ProcessRole | None = None
_draw: Callable[..., Any] | None = None
_shot: Callable[..., Any] | None = None


def is_installed() -> bool:
    return importlib.util.find_spec("dbos") is not None


def check() -> None:
    """Raise ModelError if dbos is not installed."""
    if not is_installed():
        raise ModelError(f"A channel requires dbos: {install_command('channel')}")


def launch(url: str, executor: str, role: ProcessRole, *, draws: bool) -> None:
    """Run workflows in this process until it exits, starting with unfinished ones of this executor. draws: also take
    shots from the queue. KinemaError if the database cannot be used."""
    global _role
    from dbos import DBOS, DBOSPortableJSONSerializer

    _role = role
    _registered()
    DBOS(
        config={
            "name": "kinema", "system_database_url": url, "application_version": VERSION, "executor_id": executor,
            "serializer": DBOSPortableJSONSerializer(), "log_level": "ERROR", "enable_otlp": False,
            "run_migrations": True, "notification_listener_polling_interval_sec": POLL_S,
        }
    )  # fmt: skip
    own = role.own_queue
    DBOS.listen_queues([*([QUEUE] if draws else []), *([own] if own else [])])
    try:
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLL_S, on_conflict="always_update")
        if own:
            DBOS.register_queue(own, polling_interval_sec=POLL_S, on_conflict="always_update")
    except Exception as error:
        raise KinemaError(f"The workflow database cannot be used: {error}") from error


def start(job: dict[str, Any]) -> None:
    """Start the workflow of a shot; does nothing if it was started before."""
    from dbos import DBOS, SetWorkflowID

    own = _current_role().own_queue
    assert _shot is not None and own is not None
    with SetWorkflowID(job["id"]):
        DBOS.enqueue_workflow(own, _shot, job)


def states(ids: list[str]) -> dict[str, tuple[str, str]]:
    """The states of shots: id -> (DBOS status, application version)."""
    from dbos import DBOS

    workflows = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False) if ids else []
    return {each.workflow_id: (str(each.status), str(each.app_version)) for each in workflows}


def is_over(state: str) -> bool:
    return state in _OVER


def forget(id: str) -> None:
    """Delete the workflow of a shot, so that it can be started again."""
    from dbos import DBOS

    DBOS.cancel_workflow(id)
    DBOS.delete_workflows([id], delete_children=True)


def sweep(token: str, older_s: float = 86_400.0) -> int:
    """Delete a channel's workflows that ended more than `older_s` ago; return their number. The ledger keeps the
    shots."""
    from dbos import DBOS

    before = datetime.fromtimestamp(time.time() - older_s, UTC).isoformat()
    ended = DBOS.list_workflows(
        workflow_id_prefix=f"{token}-", status=list(_OVER), name="shot", completed_before=before, limit=500,
        load_input=False, load_output=False,
    )  # fmt: skip
    if ended:
        DBOS.delete_workflows([each.workflow_id for each in ended], delete_children=True)
    return len(ended)


def requeue(executor: str) -> int:
    """Requeue the shots that a dead process was generating; return their number."""
    from dbos import DBOS

    return len(DBOS._recover_pending_workflows([executor]))  # no public API; dbos is pinned in pyproject.toml


def _registered() -> None:
    global _draw, _shot
    if _draw is None:
        from dbos import DBOS

        _draw = DBOS.workflow(name="draw", max_recovery_attempts=MAX_DEATHS)(_draw_shot)
        _shot = DBOS.workflow(name="shot", max_recovery_attempts=20 * MAX_DEATHS)(_make_shot)


def _draw_shot(job: dict[str, Any]) -> dict[str, Any]:
    """Generate the clip of a job: {"step": its last step}, with details for the record (left_out: optional steps that
    failed, and why); {"failed": why, "at": step} on failure."""
    workspace, left_out = _current_role().workspace, {}
    result = drawn = _with_retries(job, "generate", steps.generate, workspace, job)
    if job["keeps"] and "failed" not in result:
        kept = _with_retries(job, "tail", steps.tail, workspace, job, result["step"])
        if "failed" in kept:  # the next shot will be a cut
            log.warning("%s: its last frames are not stored: %s", job["planned"], kept["failed"])
    for wanted, name, work in (
        (upscale_of(job["making"]) != "none" and job["quality"] == "full", "upscale", steps.upscaled),
        (job["making"]["interpolate"] != "none" and job["quality"] == "full", "interpolate", steps.interpolated),
    ):
        if wanted and "failed" not in result:
            more = _with_retries(job, name, work, workspace, job, result["step"])
            if "failed" in more:  # the unprocessed clip is better than none
                log.warning("%s: %s is skipped: %s", job["planned"], name, more["failed"])
                left_out[name] = str(more["failed"])[:500]
            else:
                result = more
    return {**drawn, **result, **({"left_out": left_out} if left_out else {})}


def _make_shot(job: dict[str, Any]) -> dict[str, Any]:
    from dbos import DBOS

    role, draw = _current_role(), _draw
    channel, workspace = role.channel, role.workspace
    assert channel is not None and draw is not None
    try:
        result = DBOS.enqueue_workflow(QUEUE, draw, job).get_result()
    except Exception as error:
        result = {"failed": f"{_explain(error)}", "at": "generate"}
    music: dict[str, Any] = {}
    conformed: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    if "failed" not in result:
        drawn, music = result, _with_retries(job, "score", steps.score, channel, job)
        if "failed" in music:  # a clip without its own bed is better than none
            log.warning("%s has no music bed: %s", job["planned"], music["failed"])
            music = {"music": ""}
        result = conformed = _with_retries(job, "conform", steps.conformed, channel, workspace, job, drawn)
    if "failed" not in result:
        result = _with_retries(job, "publish", steps.publish, channel, workspace, job, conformed, music, drawn)
    if "failed" in result:
        reason = f"{result.get('at', '')}: {result['failed']}"
        return dict(DBOS.run_step({"name": "set aside"}, steps.set_aside, channel, workspace, job, reason))
    return result


def _with_retries(
    job: dict[str, Any], name: str, work: Callable[..., dict[str, Any]], *arguments: Any
) -> dict[str, Any]:
    """The result of a step, retried after a pause up to the job's number of attempts. Each attempt is a DBOS step.
    While a service is unavailable, no attempt is counted until the pauses add up to slowest_s."""
    from dbos import DBOS

    making = job["making"]
    result: dict[str, Any] = {}
    number = used = 0
    waited_s = 0.0
    while used < making["tries"]:
        if number:
            pause_s = min(making["pause_s"] * 2 ** min(number - 1, 20), 3600.0)
            pause_s = min(max(pause_s, 1.0), LONGEST_AWAY_PAUSE_S) if result.get("down") else pause_s
            DBOS.sleep(pause_s)
            waited_s += pause_s
        result = DBOS.run_step({"name": name}, steps.caught, work, *arguments)
        if "failed" not in result:
            return result
        number += 1
        used += not (result.get("down") and waited_s < making["slowest_s"])
        log.warning("%s, %s: %s (attempt %d of %d)", job["planned"], name, result["failed"], number, making["tries"])
        if not result["again"]:
            break
    return {**result, "at": name}


def _explain(error: Exception) -> str:
    if type(error).__name__ == "DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded":
        return f"the process generating it crashed {MAX_DEATHS} times"
    return f"{type(error).__name__}: {error}"


def _current_role() -> ProcessRole:
    assert _role is not None, "call launch() first"
    return _role
