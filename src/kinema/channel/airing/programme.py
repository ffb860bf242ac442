"""Choose the next clip: from the owner's queue, then new clips, then repeats, then filler.

Repeats exclude the last `apart` clips; the choice is random (seeded) among the least recently aired third of the rest.
At each step, clips of the scheduled theme come first. A single clip alternates with filler.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..library import LibraryClip
from .library_view import LibraryView

Kind = Literal["fresh", "repeat", "queued", "filler"]


@dataclass(frozen=True)
class Policy:
    """apart: the number of other clips between two airings of a clip, if there are enough. ident_every_s: filler airs
    at least this often (0: only if there is no clip)."""

    apart: int = 20
    seed: int = 0
    ident_every_s: float = 0.0


@dataclass(frozen=True)
class Choice:
    """A chosen clip; None is filler."""

    clip: LibraryClip | None
    kind: Kind


class Programme:
    """The selection of clips. theme_at: the schedule, from seconds since 1970 to a theme or None."""

    def __init__(
        self, view: LibraryView, policy: Policy | None = None, theme_at: Callable[[float], str | None] | None = None
    ) -> None:
        self.view, self.policy = view, policy or Policy()
        self.theme_at = theme_at or (lambda now: None)
        self._random = random.Random(self.policy.seed)
        self._recent: deque[str] = deque(reversed(view.snapshot.recent), maxlen=max(200, self.policy.apart))
        self._seen: dict[str, float] = {}
        self._last: str | None = None
        self._ident_at: float | None = None

    def next(self, now: float) -> Choice:
        """Choose the next clip, which then counts as aired. now: its airing time by the wall clock."""
        choice = self._choose(now)
        if choice.clip is None:
            self._last, self._ident_at = None, now
        else:
            self._last = choice.clip.id
            self._recent.append(choice.clip.id)
            self._seen[choice.clip.id] = now
        return choice

    def _choose(self, now: float) -> Choice:
        ready = self.view.snapshot.ready
        if self._ident_at is None:
            self._ident_at = now
        every = self.policy.ident_every_s
        if every and now - self._ident_at >= every:
            return Choice(None, "filler")
        queued = self.view.take_queued()
        if queued is not None:
            return Choice(queued, "queued")
        theme = self._theme(now)
        unseen = [clip for clip in ready.values() if not clip.aired and clip.id not in self._seen]
        if unseen:
            return Choice(self._of_theme(unseen, theme)[0], "fresh")
        apart = min(self.policy.apart, len(ready) - 1)
        held = set(list(self._recent)[-apart:]) if apart > 0 else set()
        free = [clip for clip in ready.values() if clip.id not in held and clip.id != self._last]
        if not free:
            return Choice(None, "filler")
        free = sorted(self._of_theme(free, theme), key=lambda clip: (self._seen_at(clip), clip.id))
        return Choice(self._random.choice(free[: max(1, len(free) // 3)]), "repeat")

    def _theme(self, now: float) -> str | None:
        try:
            return self.theme_at(now)
        except Exception:  # a failing schedule must not take the channel off air
            return None

    @staticmethod
    def _of_theme(clips: list[LibraryClip], theme: str | None) -> list[LibraryClip]:
        of_theme = [clip for clip in clips if theme and clip.theme == theme]
        return of_theme or clips

    def _seen_at(self, clip: LibraryClip) -> float:
        return max(self._seen.get(clip.id, 0.0), clip.last_aired or 0.0)
