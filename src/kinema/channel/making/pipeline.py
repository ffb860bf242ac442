"""The steps of a shot in order, and the next one, from its jobs so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.renamed import upscale_of
from ...jobs.job import Job

GENERATE, PUBLISH = "generate", "publish"
STEPS = (GENERATE, "upscale", "interpolate", PUBLISH)


@dataclass(frozen=True)
class Next:
    """What follows. step, body: the job to submit; "" if one is still to be awaited. failed: why the shot fails.
    done: whether all steps have ended well."""

    step: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    failed: str = ""
    done: bool = False


def next_step(order: dict[str, Any], jobs: Mapping[str, Job]) -> Next:
    """What follows for a shot. order: the body of its first job (planning.job_of). jobs: those so far, by step.

    An upscale or interpolation that fails is left out: the clip without it is better than none."""
    if (made := jobs.get(GENERATE)) is None:
        return Next(GENERATE, order)
    if (found := _after(GENERATE, made)) is not None:
        return found
    clip, left_out = _clip(made), dict[str, str]()
    for step in _optional(order):
        if (job := jobs.get(step)) is None:
            return Next(step, {**order, "tail": "", "clip": clip})
        if not job.ended:
            return Next()
        if job.state == "succeeded":
            clip = _clip(job)
        else:
            left_out[step] = (job.reason or job.state)[:500]
    if (job := jobs.get(PUBLISH)) is None:
        how = {name: made.result[name] for name in ("goes_on", "why_cut") if made.result and name in made.result}
        return Next(PUBLISH, {**order, "tail": "", "clip": clip, "how": how | {"left_out": left_out}})
    return _after(PUBLISH, job) or Next(done=True)


def _after(step: str, job: Job) -> Next | None:
    """What follows a job without which there is no clip; None if it succeeded."""
    if not job.ended:
        return Next()
    return None if job.state == "succeeded" else Next(failed=f"{step}: {job.reason or job.state}"[:2000])


def _optional(order: dict[str, Any]) -> list[str]:
    """The steps that improve the clip of this shot; a draft has none."""
    making = order["making"]
    wanted = {"upscale": upscale_of(making) != "none", "interpolate": making["interpolate"] != "none"}
    return [step for step, is_wanted in wanted.items() if is_wanted and order["quality"] == "full"]


def _clip(job: Job) -> str:
    assert job.result is not None
    return str(job.result["media"])
