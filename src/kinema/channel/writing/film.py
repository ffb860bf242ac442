"""Convert episodes to the film plan of `kinema make-film`."""

from __future__ import annotations

from collections.abc import Sequence

from ...workflow.film_length import to_length
from ...workflow.film_plan import FilmPlan, FilmShot, Join
from .prompt import request_of
from .shots import Continuity, Episode, StyleBible

ENDING = "The end"
JOINS: dict[Continuity, Join] = {"cut": "cut", "match": "crossfade", "continue": "continue"}
"""A matching shot has the place and seed of the previous one, so a crossfade suits them."""


def film_of(episodes: Sequence[Episode], bible: StyleBible, seed: int = 0) -> FilmPlan:
    """A film of the episodes' shots, in order. For one episode, the title is the episode's and the subtitle the theme;
    for several, the title is the theme, and each episode's title precedes its first shot. The theme sets the music."""
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
    """The episodes with shot durations adjusted to a film of this duration, and its planned duration. RequestError: see
    `to_length`."""
    film, length_s = to_length(film_of(episodes, bible, seed), seconds)
    film_shots = iter(film.shots)
    adjusted = [
        episode.model_copy(
            update={
                "shots": tuple(
                    shot.model_copy(update={"seconds": next(film_shots).request.seconds}) for shot in episode.shots
                )
            }
        )
        for episode in episodes
    ]
    return adjusted, length_s
