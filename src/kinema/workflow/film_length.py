"""A film of a wished length: what its shots are given of it.

Cards and joins take what they take; the rest is shared among the shots in proportion to what each asked for. A model
makes some lengths only (Wan: 4n + 1 frames), so each shot gets the legal one that brings the sum so far nearest to its
share: the differences do not add up, and the film is as near to the wish as one shot can be.
"""

from __future__ import annotations

from ..core.errors import RequestError
from ..core.plan import Plan
from .film import plan_film
from .film_plan import FilmPlan, FilmShot

LEAST_S = 0.5
"""Of a shot, on average."""
ROUNDS = 3
"""Crossfades are shorter between short shots: what they take is looked at again."""


def to_length(film: FilmPlan, seconds: float) -> tuple[FilmPlan, float]:
    """The film with shots that together make it so long, and how long it is by its plan. Shots with `frames` get
    seconds instead. Raises RequestError for what is too short or too long for so many shots."""
    best: tuple[FilmPlan, float] | None = None
    planned = plan_film(film)
    wished = [plan.seconds for plan in planned.plans]
    most_s = [_longest(plan) for plan in planned.plans]
    for _ in range(ROUNDS):
        others = planned.cut.seconds - sum(plan.seconds for plan in planned.plans)
        _check(film, wished, seconds, others, most_s)
        film = _shared(film, wished, seconds - others, most_s)
        planned = plan_film(film)
        found = film, planned.cut.seconds
        if best is None or abs(found[1] - seconds) < abs(best[1] - seconds):
            best = found
    assert best is not None
    return best


def _longest(plan: Plan) -> float:
    """Seconds that the model of a shot makes at most."""
    from ..weights import store

    frames = store.find(plan.model).frames
    return frames.nearest(frames.maximum) / plan.fps


def _check(film: FilmPlan, wished: list[float], seconds: float, others: float, most_s: list[float]) -> None:
    count = len(film.shots)
    least = count * LEAST_S + others
    most = sum(wished) * min(limit / wish for limit, wish in zip(most_s, wished, strict=True)) + others
    if not least - 1e-6 <= seconds <= most + 1e-6:
        nearest = least if seconds < least else most
        raise RequestError(
            f"seconds = {seconds:g}: of {count} shot{'s' if count > 1 else ''}, cards and joins taken into account, "
            f"each would last {(seconds - others) / count:.2g} s.",
            field="seconds", value=seconds, legal=f"{least:.4g} to {most:.4g}, or another number of shots",
            nearest=f"{nearest:.4g}",
        )  # fmt: skip


def _shared(film: FilmPlan, wished: list[float], seconds: float, most_s: list[float]) -> FilmPlan:
    """The film with its shots' seconds: shares in proportion to `wished`, each rounded so that the sum is kept."""
    from ..engine.plan import plan as make_plan

    shots: list[FilmShot] = []
    due = given = 0.0
    for shot, wish, limit in zip(film.shots, wished, most_s, strict=True):
        due += seconds * wish / sum(wished)
        asked = min(max(LEAST_S / 2, due - given), limit)
        request = shot.request.changed(seconds=round(asked, 3), frames=None, fit="nearest")
        made = make_plan(request, None, "cpu").seconds
        given += made
        request = request.changed(seconds=round(made, 6))
        shots.append(shot.model_copy(update={"request": request}))
    return film.model_copy(update={"shots": tuple(shots)})
