"""A film of a given duration, distributed over its shots.

Title cards and joins have a fixed duration; the rest is distributed in proportion to the shots' own durations. A model
supports some lengths only (Wan: 4n + 1 frames), so each shot gets the legal length that brings the sum so far nearest
to its target: the rounding errors do not add up, and the film is off by one shot's rounding at most.
"""

from __future__ import annotations

from ..core.errors import RequestError
from ..core.plan import Plan
from .film import plan_film
from .film_plan import FilmPlan, FilmShot

LEAST_S = 0.5
"""Minimum duration of a shot, on average."""
ROUNDS = 3
"""Crossfades are shorter between short shots, so their duration is calculated again."""


def to_length(film: FilmPlan, seconds: float) -> tuple[FilmPlan, float]:
    """Return the film with shots of the given total duration, and its planned duration. Shots with `frames` get seconds
    instead. Raises RequestError if it is too short or too long for the number of shots."""
    best: tuple[FilmPlan, float] | None = None
    planned = plan_film(film)
    own = [plan.seconds for plan in planned.plans]
    most_s = [_longest(plan) for plan in planned.plans]
    for _ in range(ROUNDS):
        others = planned.cut.seconds - sum(plan.seconds for plan in planned.plans)
        _check(film, own, seconds, others, most_s)
        film = _shared(film, own, seconds - others, most_s)
        planned = plan_film(film)
        found = film, planned.cut.seconds
        if best is None or abs(found[1] - seconds) < abs(best[1] - seconds):
            best = found
    assert best is not None
    return best


def _longest(plan: Plan) -> float:
    """Return the maximum duration of the model of a shot."""
    from ..weights import store

    frames = store.find(plan.model).frames
    return frames.nearest(frames.maximum) / plan.fps


def _check(film: FilmPlan, own: list[float], seconds: float, others: float, most_s: list[float]) -> None:
    count = len(film.shots)
    least = count * LEAST_S + others
    most = sum(own) * min(limit / each for limit, each in zip(most_s, own, strict=True)) + others
    if not least - 1e-6 <= seconds <= most + 1e-6:
        nearest = least if seconds < least else most
        raise RequestError(
            f"seconds = {seconds:g}: without cards and joins, each of {count} shot{'s' if count > 1 else ''} would "
            f"last {(seconds - others) / count:.2g} s.",
            field="seconds", value=seconds, legal=f"{least:.4g} to {most:.4g}, or another number of shots",
            nearest=f"{nearest:.4g}",
        )  # fmt: skip


def _shared(film: FilmPlan, own: list[float], seconds: float, most_s: list[float]) -> FilmPlan:
    """Return the film with the seconds of its shots, in proportion to `own` and rounded so that the sum is kept."""
    from ..engine.plan import plan as make_plan

    shots: list[FilmShot] = []
    due = total = 0.0
    for shot, each, limit in zip(film.shots, own, most_s, strict=True):
        due += seconds * each / sum(own)
        asked = min(max(LEAST_S / 2, due - total), limit)
        request = shot.request.changed(seconds=round(asked, 3), frames=None, fit="nearest")
        made = make_plan(request, None, "cpu").seconds
        total += made
        request = request.changed(seconds=round(made, 6))
        shots.append(shot.model_copy(update={"request": request}))
    return film.model_copy(update={"shots": tuple(shots)})
