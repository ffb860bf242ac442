"""The music bed: endless playback of the files of a folder, with equal-power crossfades of four seconds.

Files are decoded on demand. An unreadable file is skipped and retried on the next round; without files, the bed is
silent. The folder is listed at each change of file, so files can be added and removed at any time.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ...core.chunk import AUDIO_RATE_HZ
from ...core.errors import MediaError
from ...media.audio import decode_audio, stereo
from ...media.open import open_container
from ...music.crossfade import curves

log = logging.getLogger("kinema.channel")
SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".mp4", ".webm")
FADE_S = 4.0
SHORTEST_S = 2 * FADE_S


class BedSound(Protocol):
    def take(self, num_samples: int) -> np.ndarray: ...

    @property
    def playing(self) -> str: ...


def music_in(folder: Path) -> Callable[[], Sequence[Path]]:
    """A function that lists the audio files of a folder; an unreadable folder has none."""

    def files() -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        return []

    return files


class Bed:
    """`take` returns the next samples, float32 (samples, 2) at 48 kHz, always the requested number. The order of files
    is drawn from `seed`: each once per round, and never one twice in a row if there are two or more."""

    def __init__(self, files: Callable[[], Sequence[Path]], seed: int = 0) -> None:
        self.files, self._random = files, random.Random(seed)
        self._round: list[Path] = []
        self._now: _Piece | None = None
        self._silence_left = 0
        self._mixed = np.zeros((0, 2), np.float32)

    @property
    def playing(self) -> str:
        return self._now.path.name if self._now is not None else ""

    def take(self, num_samples: int) -> np.ndarray:
        parts, missing = [], num_samples
        while missing:
            part = self._some(missing)
            parts.append(part)
            missing -= len(part)
        return np.concatenate(parts)

    def _some(self, most: int) -> np.ndarray:
        if len(self._mixed):
            part, self._mixed = self._mixed[:most], self._mixed[most:]
            return part
        fade = round(FADE_S * AUDIO_RATE_HZ)
        if self._now is None:
            if not self._silence_left:
                self._now = self._next()
                self._silence_left = 0 if self._now else AUDIO_RATE_HZ  # then look again
            if self._now is None:
                count = min(most, self._silence_left)
                self._silence_left -= count
                return np.zeros((count, 2), np.float32)
        have = self._now.fill(fade + most)
        if have > fade:
            return self._now.read(min(most, have - fade))
        going, coming = self._now.read(have), self._next()  # the end of this piece
        self._now = coming
        if have:
            down_N, up_N = curves(have)
            self._mixed = going * down_N[:, None]
            if coming is not None:
                self._mixed += coming.read(have) * up_N[:, None]
        return self._mixed[:0]

    def _next(self) -> _Piece | None:
        last = self._now.path if self._now is not None else None
        listed = list(self.files())
        for _ in range(len(listed) + 1):
            self._round = [path for path in self._round if path in listed]
            if not self._round:
                self._round = self._random.sample(listed, len(listed))
                if len(listed) > 1 and self._round[0] == last:
                    self._round.append(self._round.pop(0))
            if not self._round:
                return None
            path = self._round.pop(0)
            piece = _Piece(path, _decoded(path))
            if piece.fill(round(SHORTEST_S * AUDIO_RATE_HZ)) >= round(SHORTEST_S * AUDIO_RATE_HZ):
                return piece
            log.warning("music: %s is skipped: unreadable, or shorter than %g s", path.name, SHORTEST_S)
        return None


class _Piece:
    """One file, decoded on demand."""

    def __init__(self, path: Path, parts: Iterator[np.ndarray]) -> None:
        self.path, self._parts = path, parts
        self._held: list[np.ndarray] = []
        self._count = 0

    def fill(self, num_samples: int) -> int:
        """Decode until this many samples are buffered or the file ends; return the number buffered."""
        while self._count < num_samples:
            try:
                part = next(self._parts, None)
            except (MediaError, OSError, ValueError) as error:
                log.warning("music: decoding %s failed (%s)", self.path.name, error)
                part = None
            if part is None:
                self._parts = iter(())
                break
            self._held.append(stereo(part))
            self._count += len(part)
        return self._count

    def read(self, num_samples: int) -> np.ndarray:
        joined = np.concatenate(self._held) if self._held else np.zeros((0, 2), np.float32)
        self._held = [joined[num_samples:]]
        self._count = len(self._held[0])
        return joined[:num_samples]


def _decoded(path: Path) -> Iterator[np.ndarray]:
    with open_container(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: no audio track.")
        yield from decode_audio(container)


class AheadBed:
    """A bed that is read ahead in a separate thread. A slow disk causes silence but never blocks `take`."""

    def __init__(self, bed: Bed, ahead_s: float = 8.0) -> None:
        self._bed, self._blocks = bed, queue.Queue[np.ndarray](maxsize=max(1, round(ahead_s)))
        self._rest = np.zeros((0, 2), np.float32)
        self.missed = 0
        self._end = threading.Event()
        threading.Thread(target=self._read, name="kinema-bed", daemon=True).start()

    @property
    def playing(self) -> str:
        return self._bed.playing

    def take(self, num_samples: int) -> np.ndarray:
        while len(self._rest) < num_samples:
            try:
                self._rest = np.concatenate([self._rest, self._blocks.get_nowait()])
            except queue.Empty:
                self.missed += 1
                self._rest = np.concatenate([self._rest, np.zeros((num_samples, 2), np.float32)])
        taken, self._rest = self._rest[:num_samples], self._rest[num_samples:]
        return taken

    def close(self) -> None:
        self._end.set()
        with contextlib.suppress(queue.Empty):
            self._blocks.get_nowait()

    def _read(self) -> None:
        while not self._end.is_set():
            try:
                block = self._bed.take(AUDIO_RATE_HZ)
            except Exception:
                log.exception("music: failed; inserting one second of silence")
                block = np.zeros((AUDIO_RATE_HZ, 2), np.float32)
            while not self._end.is_set():
                try:
                    self._blocks.put(block, timeout=0.5)
                    break
                except queue.Full:
                    continue
