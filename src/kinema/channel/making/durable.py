"""Shots as durable workflows (DBOS): which steps are done is in a database; a process that dies goes on where it was.

A shot is two workflows. `shot` waits in a queue that only the channel's own process reads, and ends in the library. It
asks for `draw`, which waits in a queue for any process that draws: the channel's own, or a worker on another machine.
Tries, with pauses that double, are steps too: a shot that fails, or kills whoever makes it, is set aside after so many,
with the reason.

DBOS takes up only work of its own application version, and by default makes one of the source code; here it is named.
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
from .steps import Channel, Desk

VERSION = "kinema-channel-2"  # changes when the order of steps below does
QUEUE = "kinema-draw"
MAX_DEATHS = 8  # of processes that made one shot
LONGEST_AWAY_PAUSE_S = 60.0  # between looks for one who is away
POLL_S = 1.0  # between looks at a queue
_OVER = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
log = logging.getLogger("kinema.channel")


@dataclass
class ProcessRole:
    """What this process is: where it draws, and, at the channel, what it publishes to."""

    desk: Desk
    channel: Channel | None = None

    @property
    def own_queue(self) -> str | None:
        return f"kinema-channel-{self.channel.ledger.token}" if self.channel is not None else None


_place: ProcessRole | None = None
_draw: Callable[..., Any] | None = None
_shot: Callable[..., Any] | None = None


def check() -> None:
    """ModelError where the library for durable steps is not installed."""
    if importlib.util.find_spec("dbos") is None:
        raise ModelError(f"A channel needs dbos: {install_command('channel')}")


def launch(url: str, executor: str, place: ProcessRole, *, draws: bool) -> None:
    """Begin to work in this process, until it ends: unfinished shots of this executor go on. draws: also take shots of
    the queue. KinemaError where the database cannot be used."""
    global _place
    from dbos import DBOS, DBOSPortableJSONSerializer

    _place = place
    _registered()
    DBOS(
        config={
            "name": "kinema", "system_database_url": url, "application_version": VERSION, "executor_id": executor,
            "serializer": DBOSPortableJSONSerializer(), "log_level": "ERROR", "enable_otlp": False,
            "run_migrations": True, "notification_listener_polling_interval_sec": POLL_S,
        }
    )  # fmt: skip
    own = place.own_queue
    DBOS.listen_queues([*([QUEUE] if draws else []), *([own] if own else [])])
    try:
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=1, polling_interval_sec=POLL_S, on_conflict="always_update")
        if own:
            DBOS.register_queue(own, polling_interval_sec=POLL_S, on_conflict="always_update")
    except Exception as error:
        raise KinemaError(f"The database of the steps cannot be used: {error}") from error


def start(job: dict[str, Any]) -> None:
    """Begin a shot; where it was begun already, nothing happens."""
    from dbos import DBOS, SetWorkflowID

    own = _here().own_queue
    assert _shot is not None and own is not None
    with SetWorkflowID(job["id"]):
        DBOS.enqueue_workflow(own, _shot, job)


def states(ids: list[str]) -> dict[str, tuple[str, str]]:
    """What became of shots: id -> (state in DBOS's words, version that it was begun by)."""
    from dbos import DBOS

    found = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False) if ids else []
    return {each.workflow_id: (str(each.status), str(each.app_version)) for each in found}


def is_over(state: str) -> bool:
    return state in _OVER


def forget(id: str) -> None:
    """A shot that is to be begun anew."""
    from dbos import DBOS

    DBOS.cancel_workflow(id)
    DBOS.delete_workflows([id], delete_children=True)


def sweep(token: str, older_s: float = 86_400.0) -> int:
    """Forget a channel's shots that were over so long ago; gives how many. The ledger and the library know of them."""
    from dbos import DBOS

    before = datetime.fromtimestamp(time.time() - older_s, UTC).isoformat()
    found = DBOS.list_workflows(
        workflow_id_prefix=f"{token}-", status=list(_OVER), name="shot", completed_before=before, limit=500,
        load_input=False, load_output=False,
    )  # fmt: skip
    if found:
        DBOS.delete_workflows([each.workflow_id for each in found], delete_children=True)
    return len(found)


def hand_on(executor: str) -> int:
    """Give the shots that a dead process was drawing back to the queue; gives how many."""
    from dbos import DBOS

    return len(DBOS._recover_pending_workflows([executor]))  # no public way; pinned with dbos in pyproject.toml


def _registered() -> None:
    global _draw, _shot
    if _draw is None:
        from dbos import DBOS

        _draw = DBOS.workflow(name="draw", max_recovery_attempts=MAX_DEATHS)(_draw_shot)
        _shot = DBOS.workflow(name="shot", max_recovery_attempts=20 * MAX_DEATHS)(_make_shot)


def _draw_shot(job: dict[str, Any]) -> dict[str, Any]:
    """Where the clip is, as {"step": ...}, with what is to be noted of how it was made (left_out: the steps that failed
    and why); {"failed": ..., "step": ...} where it cannot be made."""
    desk, left_out = _here().desk, {}
    found = drawn = _tried(job, "generate", steps.generate, desk, job)
    if job["keeps"] and "failed" not in found:
        kept = _tried(job, "tail", steps.tail, desk, job, found["step"])
        if "failed" in kept:  # the next shot will be a cut
            log.warning("%s: its last frames are not kept: %s", job["planned"], kept["failed"])
    for wanted, name, work in (
        (upscale_of(job["making"]) != "none" and job["quality"] == "full", "upscale", steps.upscaled),
        (job["making"]["interpolate"] != "none" and job["quality"] == "full", "interpolate", steps.between),
    ):
        if wanted and "failed" not in found:
            more = _tried(job, name, work, desk, job, found["step"])
            if "failed" in more:  # the clip as the model made it is better than none
                log.warning("%s, %s is left out: %s", job["planned"], name, more["failed"])
                left_out[name] = str(more["failed"])[:500]
            else:
                found = more
    return {**drawn, **found, **({"left_out": left_out} if left_out else {})}


def _make_shot(job: dict[str, Any]) -> dict[str, Any]:
    from dbos import DBOS

    place, draw = _here(), _draw
    channel, desk = place.channel, place.desk
    assert channel is not None and draw is not None
    try:
        found = DBOS.enqueue_workflow(QUEUE, draw, job).get_result()
    except Exception as error:
        found = {"failed": f"{_told(error)}", "at": "generate"}
    music: dict[str, Any] = {}
    made: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    if "failed" not in found:
        drawn, music = found, _tried(job, "score", steps.score, channel, job)
        if "failed" in music:  # a clip without a bed of its own is better than none
            log.warning("%s has no bed of music: %s", job["planned"], music["failed"])
            music = {"music": ""}
        found = made = _tried(job, "conform", steps.conformed, channel, desk, job, drawn)
    if "failed" not in found:
        found = _tried(job, "publish", steps.publish, channel, desk, job, made, music, drawn)
    if "failed" in found:
        reason = f"{found.get('at', '')}: {found['failed']}"
        return dict(DBOS.run_step({"name": "set aside"}, steps.set_aside, channel, desk, job, reason))
    return found


def _tried(job: dict[str, Any], name: str, work: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """The result of a step; tried again, after a pause, as often as the job says. Each try is a step of its own. While
    whoever should do it is away, no try of the shot's is used up, as long as the pauses are no more than slowest_s."""
    from dbos import DBOS

    making = job["making"]
    found: dict[str, Any] = {}
    number = used = 0
    waited_s = 0.0
    while used < making["tries"]:
        if number:
            pause_s = min(making["pause_s"] * 2 ** min(number - 1, 20), 3600.0)
            pause_s = min(max(pause_s, 1.0), LONGEST_AWAY_PAUSE_S) if found.get("down") else pause_s
            DBOS.sleep(pause_s)
            waited_s += pause_s
        found = DBOS.run_step({"name": name}, steps.caught, work, *given)
        if "failed" not in found:
            return found
        number += 1
        used += not (found.get("down") and waited_s < making["slowest_s"])
        log.warning("%s, %s: %s (try %d of %d)", job["planned"], name, found["failed"], number, making["tries"])
        if not found["again"]:
            break
    return {**found, "at": name}


def _told(error: Exception) -> str:
    if type(error).__name__ == "DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded":
        return f"{MAX_DEATHS} processes that made it died"
    return f"{type(error).__name__}: {error}"


def _here() -> ProcessRole:
    assert _place is not None, "launch() comes first"
    return _place
