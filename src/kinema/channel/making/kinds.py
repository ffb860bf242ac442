"""The kinds of jobs of a channel that any worker runs: generate, upscale, interpolate, compose.

The body of a shot's jobs is that of `planning.job_of`, with the media it needs by hash: `tail` to generate, `clip`
for the later steps. Makers stay loaded as long as the kinds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...core.errors import Cancelled, KinemaError, ModelError, RequestError
from ...jobs.attempts import is_broken
from ...jobs.built_in import BUILT_IN
from ...jobs.context import Context, GivenUp, Returned, TryLater
from ...jobs.kinds import JobKind
from ...jobs.pool import is_out_of_memory
from . import steps
from .job import ClipTimeout, Unavailable
from .makers import Makers

VERSION = 1
"""Part of the names of the kinds: workers of a version with other bodies do not take each other's jobs."""
LONGEST_PAUSE_S, LONGEST_AWAY_PAUSE_S = 3600.0, 60.0
"""Between two attempts; between those to reach a service that is unavailable."""
Run = Callable[[Context, Any], dict[str, Any]]


def name_of(step: str) -> str:
    """The name of the kind of a step."""
    return f"shot-{step}-{VERSION}"


def channel_kinds() -> list[JobKind]:
    """The kinds of a channel, with their own makers."""
    makers = Makers()
    return [
        shot_kind("generate", functools.partial(steps.generate, makers)), shot_kind("upscale", steps.upscaled),
        shot_kind("interpolate", steps.interpolated),
        JobKind(name_of("compose"), lambda body, _: _fields(body), lambda body: set(), steps.composed),
    ]  # fmt: skip


def worker_kinds() -> list[JobKind]:
    """All kinds of a worker that serves channels and everybody else."""
    return [*BUILT_IN, *channel_kinds()]


def shot_kind(step: str, run: Run) -> JobKind:
    """The kind of a step of shots, with their attempts."""
    return JobKind(name_of(step), lambda body, _: _fields(body), _media, functools.partial(_attempt, run))


def _fields(body: Any) -> None:
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        raise RequestError("The body is not that of a channel's job.", field="body", legal="what a channel submits")


def _media(body: Any) -> set[str]:
    _fields(body)
    return {media for name in ("tail", "clip") if (media := body.get(name))}


def _attempt(run: Run, context: Context, body: Any) -> dict[str, Any]:
    """An attempt at a step. A shot has `making.tries` of them, with pauses that double. While a service is
    unavailable, none is counted until `making.slowest_s` have passed. A timeout is not retried: another attempt would
    take as long."""
    context.has_previews = False
    try:
        return run(context, body)
    except (Returned, Cancelled, RequestError, ModelError):
        raise
    except ClipTimeout as error:
        raise GivenUp(str(error)) from None
    except Exception as error:
        if is_out_of_memory(error) or is_broken(error):
            raise
        raise _another(context, body["making"], error) from error


def _another(context: Context, making: dict[str, Any], error: Exception) -> KinemaError:
    """What follows an attempt that failed: TryLater or GivenUp."""
    reason = str(error) if isinstance(error, KinemaError) else f"{type(error).__name__}: {error}"
    earlier = [failure for failure in context.job.failures if "counted" in failure]
    times = sum(failure.get("times", 1) for failure in earlier)
    pause_s = min(making["pause_s"] * 2 ** min(times, 20), LONGEST_PAUSE_S)
    counted = True
    if isinstance(error, Unavailable):
        pause_s = min(max(pause_s, 1.0), LONGEST_AWAY_PAUSE_S)
        now_s = context.job.started_at or 0.0
        since_s = float(earlier[0]["at"]) if earlier else now_s
        counted = now_s - since_s + pause_s > making["slowest_s"]
    used = counted + sum(failure.get("times", 1) for failure in earlier if failure["counted"])
    return GivenUp(reason) if counted and used >= making["tries"] else TryLater(reason, pause_s, counted=counted)
