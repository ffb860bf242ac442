"""Finished shots to one stream of frames: runs of joined shots, with cuts and title cards between them.

A run is a sequence of shots joined by crossfades or continuations. Frames are interpolated (for a higher frame rate)
inside runs only, so nothing is blended across a cut or a card.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.chunk import AUDIO_RATE_HZ, Chunk
from ..core.closing import closed_after
from ..core.events import OnEvent, ignore
from ..core.windows import fade
from ..media.timeline import exact_rate
from .film_plan import Join
from .film_titles import TitleCard, draw_card

if TYPE_CHECKING:
    import numpy as np

CHUNK_FRAMES = 16


@dataclass(frozen=True)
class Piece:
    """A finished shot. lead: frames at its beginning that repeat the shot before. card: the title card before it."""

    path: Path
    frames: int
    fps: float
    join: Join = "cut"
    lead: int = 0
    card: TitleCard | None = None

    @property
    def shown(self) -> int:
        return self.frames - self.lead


@dataclass(frozen=True)
class JoinedShots:
    """A run of joined shots. overlaps[k]: frames that shot k and shot k + 1 share in a crossfade."""

    pieces: tuple[Piece, ...]
    overlaps: tuple[int, ...]

    @property
    def frames(self) -> int:
        """Number of frames at the shots' own frame rate."""
        return sum(piece.shown for piece in self.pieces) - sum(self.overlaps)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the frames of the run, from 0 on, without sound."""
        from ..media.read import read_chunks

        at = 0
        before = 0
        for number, piece in enumerate(self.pieces):
            after = self.overlaps[number] if number < len(self.overlaps) else 0
            start, stop = piece.lead + before, piece.frames - after
            if start < stop:
                for chunk in read_chunks(piece.path, start=start, stop=stop, chunk_frames=CHUNK_FRAMES, audio=False):
                    yield Chunk(chunk.frames, at, piece.fps)
                    at += len(chunk.frames)
            if after:
                following = self.pieces[number + 1]
                one = _frames(piece.path, stop, piece.frames)
                two = _frames(following.path, following.lead, following.lead + after)
                yield Chunk(mixed(one, two), at, piece.fps)
                at += after
            before = after


@dataclass(frozen=True)
class Cut:
    """The cut of a film. fps: of the result; target: the frame rate to interpolate to, or None."""

    runs: tuple[JoinedShots, ...]
    fps: Fraction
    target: float | None
    card_frames: int
    ending: TitleCard | None

    @property
    def frames(self) -> int:
        cards = sum(run.pieces[0].card is not None for run in self.runs) + (self.ending is not None)
        return sum(self.run_frames(run) for run in self.runs) + cards * self.card_frames

    @property
    def seconds(self) -> float:
        return float(self.frames / self.fps)

    def run_frames(self, run: JoinedShots) -> int:
        """Number of frames of a run at the film's frame rate."""
        if self.target is None:
            return run.frames
        from ..post.interpolate import num_frames

        return num_frames(run.frames, exact_rate(run.pieces[0].fps), self.fps)

    def chunks(self, on_event: OnEvent = ignore) -> Iterator[Chunk]:
        """Yield all frames of the film, title cards included, without sound."""
        at, last_HWC = 0, None
        for run in self.runs:
            for chunk in self._with_card(run, on_event):
                last_HWC = chunk.frames[-1]
                yield Chunk(chunk.frames, at, float(self.fps))
                at += len(chunk.frames)
        if self.ending is not None and last_HWC is not None:
            frames_FHWC = draw_card(self.ending, last_HWC, self.card_frames, float(self.fps), "closing")
            yield Chunk(frames_FHWC, at, float(self.fps))

    def _with_card(self, run: JoinedShots, on_event: OnEvent) -> Iterator[Chunk]:
        chunks = run.chunks()
        if self.target is not None:
            from ..post.interpolate import interpolate

            chunks = interpolate(chunks, self.target, total=run.frames, on_event=on_event)
        card = run.pieces[0].card
        with closed_after(chunks):
            for number, chunk in enumerate(chunks):
                if number == 0 and card is not None:
                    frames_FHWC = draw_card(card, chunk.frames[0], self.card_frames, float(self.fps), "opening")
                    yield replace(chunk, frames=frames_FHWC, start=0)
                yield chunk


def cut(pieces: Sequence[Piece], crossfade_s: float, card_s: float, ending: TitleCard | None, fps: float | None) -> Cut:
    """Return the cut of a film. fps: frame rate of the result; None: that of the shots."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        if runs and piece.join != "cut" and piece.card is None:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    rate = exact_rate(pieces[0].fps if fps is None else fps)
    target = float(rate) if any(exact_rate(piece.fps) != rate for piece in pieces) else None
    found = tuple(JoinedShots(tuple(run), _overlaps(run, crossfade_s)) for run in runs)
    return Cut(found, rate, target, max(1, round(card_s * rate)), ending)


def _overlaps(run: Sequence[Piece], crossfade_s: float) -> tuple[int, ...]:
    """Return the frames of each crossfade: at most half of either shot, so that two never overlap."""
    return tuple(
        min(max(1, round(crossfade_s * two.fps)), one.shown // 2, two.shown // 2) if two.join == "crossfade" else 0
        for one, two in itertools.pairwise(run)
    )


def mixed(one_FHWC: np.ndarray, two_FHWC: np.ndarray) -> np.ndarray:
    """Crossfade two runs of frames of one length: frame k of n has (k + 1) / (n + 1) of the second."""
    import numpy as np

    share_F111 = np.array(fade(len(one_FHWC)), np.float32)[:, None, None, None]
    return np.rint(one_FHWC * (1 - share_F111) + two_FHWC * share_F111).astype(np.uint8)


def with_music(chunks: Iterator[Chunk], samples_SC: np.ndarray, fps: Fraction) -> Iterator[Chunk]:
    """Yield the chunks with the samples of their frames."""
    for chunk in chunks:
        first, last = round(chunk.start * AUDIO_RATE_HZ / fps), round(chunk.stop * AUDIO_RATE_HZ / fps)
        yield replace(chunk, audio=samples_SC[first:last])


def _frames(path: Path, start: int, stop: int) -> np.ndarray:
    import numpy as np

    from ..media.read import read_chunks

    chunks = read_chunks(path, start=start, stop=stop, chunk_frames=max(1, stop - start), audio=False)
    return np.concatenate([chunk.frames for chunk in chunks])
