"""From episodes to a film plan: one film of all their shots, which `kinema make-film` makes."""

from __future__ import annotations

from collections.abc import Sequence

from ...workflow.film_length import to_length
from ...workflow.film_plan import FilmPlan, FilmShot, Join
from .prompt import request_of
from .shots import Continuity, Episode, StyleBible

ENDING = "The end"
JOINS: dict[Continuity, Join] = {"cut": "cut", "match": "crossfade", "continue": "continue"}
"""A shot that matches the one before shares its place and seed, so the two dissolve into each other."""


def film_of(episodes: Sequence[Episode], bible: StyleBible, seed: int = 0) -> FilmPlan:
    """The shots of these episodes in order. Of one episode, the film has its title, with the theme under it; of
    several, the theme is the title and each episode's title a card before its first shot. The music is about the theme.
    """
    theme = episodes[0].theme.text
    shots = [
        FilmShot(
            request=request_of(shot, episode.cast, bible), join=JOINS[shot.continuity],
            title=episode.title if number == 0 and index > 0 else "",
        )
        for index, episode in enumerate(episodes)
        for number, shot in enumerate(episode.shots)
    ]  # fmt: skip
    one = len(episodes) == 1
    title, subtitle = (episodes[0].title, theme) if one else (theme, episodes[0].title)
    return FilmPlan(title=title, subtitle=subtitle, ending=ENDING, music=theme, seed=seed, shots=tuple(shots))


def of_length(episodes: Sequence[Episode], bible: StyleBible, seed: int, seconds: float) -> tuple[list[Episode], float]:
    """The episodes with shots that make a film of this length together, and how long that is by its plan. RequestError:
    see `to_length`."""
    film, length_s = to_length(film_of(episodes, bible, seed), seconds)
    given = iter(film.shots)
    found = [
        episode.model_copy(
            update={
                "shots": tuple(
                    shot.model_copy(update={"seconds": next(given).request.seconds}) for shot in episode.shots
                )
            }
        )
        for episode in episodes
    ]
    return found, length_s
