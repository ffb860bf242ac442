"""A film of a wished length: the shots share it, each by a length that its model makes, and the sum is kept."""

from __future__ import annotations

import pytest

from kinema.core.errors import RequestError
from kinema.core.request import Request
from kinema.workflow.film import plan_film
from kinema.workflow.film_length import to_length
from kinema.workflow.film_plan import FilmPlan, FilmShot, Join

STEP_S = 0.5
"""The miniature makes 4n + 1 frames, at 8 a second."""


def film(*seconds: float, join: Join = "cut", **fields: object) -> FilmPlan:
    shots = tuple(
        FilmShot(request=Request(prompt="a red ball rolls left", seconds=each, seed=1, fit="nearest"),
                 join=join if index else "cut")
        for index, each in enumerate(seconds)
    )  # fmt: skip
    return FilmPlan(shots=shots, **fields)


@pytest.mark.parametrize("join", ["cut", "crossfade", "continue"])
@pytest.mark.parametrize(("count", "seconds"), [(1, 3.0), (4, 9.0), (5, 20.0), (12, 31.0)])
def test_the_film_is_as_long_as_was_wished(count: int, seconds: float, join: Join) -> None:
    asked = film(*[2.0] * count, join=join, title="A", ending="B", card_s=1.0)
    found, length_s = to_length(asked, seconds)
    assert length_s == pytest.approx(plan_film(found).cut.seconds)
    assert abs(length_s - seconds) <= STEP_S / 2 + 1 / 8, "however many shots there are"
    lengths = [shot.request.seconds for shot in found.shots]
    assert max(lengths) - min(lengths) <= STEP_S
    assert [shot.model_copy(update={"request": None}) for shot in found.shots] == [
        shot.model_copy(update={"request": None}) for shot in asked.shots
    ]


def test_who_asked_for_more_gets_more() -> None:
    found, _ = to_length(film(1.0, 2.0, 3.0), 18.0)
    first, second, third = (float(shot.request.seconds or 0) for shot in found.shots)
    assert (first, second, third) == (pytest.approx(3, abs=0.4), pytest.approx(6, abs=0.4), pytest.approx(9, abs=0.4))


@pytest.mark.parametrize("seconds", [-1.0, 0.5, 4.9, 1e6])
def test_what_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(RequestError, match=r"each of 6 shots would last") as refused:
        to_length(film(*[2.0] * 6, title="A", ending="B", card_s=1.0), seconds)
    near = float(str(refused.value.nearest))
    found, length_s = to_length(film(*[2.0] * 6, title="A", ending="B", card_s=1.0), near)
    assert length_s == pytest.approx(near, abs=0.5) and len(found.shots) == 6
