"""The director: an endless sequence of episodes and shots from a theme and a style bible.

Episodes are written lazily. With the grammar writer an episode depends only on theme, bible, seed and number, so a
channel can resume at any episode (`start`). Every episode is moderated; a refused one is rewritten by the grammar.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...core.errors import RequestError
from ...http.chat import Chat, Endpoint
from .breaker import Breaker, SteadyWriter
from .moderation import Moderation
from .prompt import prompt_of
from .shots import Brief, Episode, Shot, StyleBible, Theme
from .writer import Writer
from .writer_grammar import GrammarWriter
from .writer_llm import LanguageModelWriter

DRAWS = 20  # attempts at an episode without blocked words
TITLES_KEPT = 20


class Take(NamedTuple):
    """A shot to generate: its episode, its number there, and its prompt."""

    episode: Episode
    number: int
    shot: Shot
    prompt: str


class Director:
    """theme: a Theme, or text, which is moderated as the owner's. writer: defaults to the offline writer."""

    def __init__(
        self,
        theme: Theme | str,
        bible: StyleBible | None = None,
        writer: Writer | None = None,
        *,
        seed: int = 0,
        shots: int = 8,
        moderation: Moderation | None = None,
    ) -> None:
        self.moderation = moderation if moderation is not None else Moderation()
        text, source = (theme, "owner") if isinstance(theme, str) else (theme.text, theme.source)
        self.theme = self.moderation.theme(text, source)
        self.bible = bible if bible is not None else StyleBible()
        self.writer: Writer = writer if writer is not None else GrammarWriter()
        self.seed, self.num_shots = seed, shots

    def episodes(self, start: int = 0) -> Iterator[Episode]:
        """Yield episodes from number `start` on, endlessly. RequestError if none passes moderation."""
        titles: list[str] = []
        while True:
            episode = self._episode(start, tuple(titles))
            titles = [*titles, episode.title][-TITLES_KEPT:]
            yield episode
            start += 1

    def takes(self, start: int = 0) -> Iterator[Take]:
        """Yield the shots of `episodes`."""
        for episode in self.episodes(start):
            for number, shot in enumerate(episode.shots):
                yield Take(episode, number, shot, prompt_of(shot, episode.cast, self.bible))

    def _episode(self, number: int, titles: tuple[str, ...]) -> Episode:
        brief = Brief(
            theme=self.theme, bible=self.bible, number=number, shots=self.num_shots, seed=self.seed, titles=titles
        )
        try:
            return self.moderation.episode(self.writer.episode(brief), self.bible)
        except RequestError as refusal:
            why = refusal
        again = GrammarWriter() if not isinstance(self.writer, GrammarWriter) else self.writer
        for draw in range(1, DRAWS):
            try:
                other = brief.model_copy(update={"draw": draw})
                return self.moderation.episode(again.episode(other), self.bible)
            except RequestError as refusal:
                why = refusal
        raise why


def writer_for(
    endpoint: Endpoint | None,
    moderation: Moderation,
    grammar: GrammarWriter | None = None,
    *,
    breaker: Breaker | None = None,
) -> Writer:
    """The offline writer; with an endpoint, a language model with the offline writer as fallback. ModelError: no key,
    or no HTTP library."""
    grammar = grammar if grammar is not None else GrammarWriter()
    if endpoint is None:
        return grammar
    chat = Chat(endpoint)
    chat.check()
    return SteadyWriter(LanguageModelWriter(chat, moderation.episode), grammar, breaker)
