"""Plan what to generate next: the theme that needs clips, and its next episode."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...core.errors import RequestError
from ..day import upcoming
from ..writing.director import Director, writer_for
from ..writing.moderation import Moderation
from ..writing.prompt import prompt_of
from ..writing.shots import Episode, Theme
from ..writing.writer import Writer
from ..writing.writer_grammar import GrammarWriter
from .continuity import Link
from .ledger import Ledger

if TYPE_CHECKING:
    from ..config import ChannelConfig


@dataclass(frozen=True)
class Need:
    """A theme that needs clips. quality: "draft" if there are very few, else "full"."""

    theme: str
    quality: str


def need(config: ChannelConfig, when: datetime, stock: Callable[[str], tuple[int, int]]) -> Need | None:
    """The theme that needs a clip, or None: the current theme first, then the next one. stock: maps a theme to (clips
    ready and never aired, clips in progress)."""
    for theme in upcoming(config.part, config.theme, when, config.clock.at)[:2]:
        fresh, making = stock(theme)
        if fresh + making < config.stock.enough:
            return Need(theme, "draft" if fresh < config.stock.low else "full")
    return None


class Planner:
    """Writes episodes to the ledger, one at a time."""

    def __init__(self, config: ChannelConfig, ledger: Ledger) -> None:
        self.config, self.ledger = config, ledger
        self.moderation = Moderation(config.blocklist)
        self.writer: Writer = writer_for(config.director.endpoint, self.moderation, GrammarWriter())
        for theme in config.themes:
            self.moderation.theme(theme)

    @property
    def trouble(self) -> str:
        """Why the language model did not write the last episode; empty if it did."""
        return str(getattr(self.writer, "error", ""))

    def write(self, theme: str) -> list[str]:
        """Write the next episode of a theme, or of a viewer's suggestion; return the ids of its shots."""
        config = self.config
        suggestion = self._suggestion()
        about = Theme(text=suggestion[1], source="viewer") if suggestion else self.moderation.theme(theme)
        seed = config.director.seed
        try:
            episode = self._episode(about, self.ledger.next_number(theme), seed)
        except RequestError:
            if suggestion is None:
                raise
            self.ledger.suggestion_done(suggestion[0])  # no episode about it passes moderation
            return self.write(theme)
        shots = [
            (prompt_of(shot, episode.cast, config.bible), json.loads(shot.model_dump_json())) for shot in episode.shots
        ]
        ids = self.ledger.plan(theme, episode.number, episode.title, about.text, episode.writer, shots)
        if suggestion is not None:
            self.ledger.suggestion_done(suggestion[0])
        return ids

    def _episode(self, about: Theme, number: int, seed: int) -> Episode:
        num, bible = self.config.director.shots, self.config.bible
        director = Director(about, bible, self.writer, seed=seed, shots=num, moderation=self.moderation)
        return next(director.episodes(number))

    def _suggestion(self) -> tuple[int, str] | None:
        viewers = self.config.viewers
        if not viewers.take or (self.ledger.num_episodes() + 1) % viewers.every:
            return None
        return self.ledger.suggested()


def job_of(
    config: ChannelConfig, token: str, planned: Any, link: Link | None = None, tail: str = ""
) -> dict[str, Any]:  # fmt: skip
    """The body of a planned shot's jobs: plain JSON with everything its generation needs. link: its relation to the
    adjacent shots; defaults to a cut. tail: the hash of the last frames of the shot before it."""
    link = link or Link()
    shot, making = planned.shot, config.making
    draft = planned.quality == "draft"
    return {
        "id": f"{token}-{planned.id}", "planned": planned.id, "title": planned.title, "theme": planned.theme,
        "prompt": planned.prompt, "negative_prompt": config.bible.negative_prompt, "seconds": shot["seconds"],
        "seed": shot["seed"], "profile": making.draft_profile if draft else making.profile, "model": making.model,
        "quality": planned.quality, "shot": shot, "width": config.picture.width, "height": config.picture.height,
        "fps": config.picture.fps,
        "making": {
            "upscale": making.upscale, "strength": making.strength,
            "interpolate": making.interpolate, "fit": making.fit, "tries": making.tries, "pause_s": making.pause_s,
            "slowest_s": making.slowest_s,
        },
        "space": config.space.model_dump(mode="json"),
        "before": link.before, "tail": tail, "why_cut": link.why_cut, "keeps": link.keeps,
    }  # fmt: skip
