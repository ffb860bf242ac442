"""Join pieces with equal-power crossfades, on bar lines if the first has bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import RequestError
from .track import Track

SECONDS = 4.0


def crossfade(one_SC: np.ndarray, two_SC: np.ndarray, seconds: float = SECONDS) -> np.ndarray:
    """Crossfade the end of one piece into the start of another with a cosine and a sine, whose squares add up to one:
    uncorrelated sounds keep their power. Length: both minus the overlap. RequestError if a piece is shorter."""
    num = round(seconds * AUDIO_RATE_HZ)
    shorter = min(len(one_SC), len(two_SC))
    if not 0 < num <= shorter:
        raise RequestError(
            f"The crossfade of {seconds:g} s is out of range.", field="seconds", value=seconds,
            legal=f"above 0, at most the shorter piece ({shorter / AUDIO_RATE_HZ:g} s)",
            nearest=min(SECONDS, shorter / AUDIO_RATE_HZ),
        )  # fmt: skip
    down_N, up_N = curves(num)
    both_NC = one_SC[len(one_SC) - num :] * down_N[:, None] + two_SC[:num] * up_N[:, None]
    return np.concatenate([one_SC[: len(one_SC) - num], both_NC, two_SC[num:]]).astype(np.float32)


def curves(num: int) -> tuple[np.ndarray, np.ndarray]:
    """The gains of the first and the second piece; down^2 + up^2 = 1 everywhere."""
    angle_N = (np.arange(num, dtype=np.float32) + 0.5) / num * (np.pi / 2)
    return np.cos(angle_N), np.sin(angle_N)


def falling(num: int) -> np.ndarray:
    """The gains of a fade-out: half a cosine from just below 1 to exactly 0, float32."""
    return (0.5 + 0.5 * np.cos(np.pi * np.arange(1, num + 1) / num)).astype(np.float32)


def join(one: Track, two: Track, seconds: float = SECONDS) -> Track:
    """Join two tracks. If the first has a tempo, the second starts on its last bar line that leaves room for the
    crossfade; the rest of the first after the crossfade is dropped."""
    if one.bar_s is None:
        samples_SC = crossfade(one.samples, two.samples, seconds)
        starts = len(one.samples) / AUDIO_RATE_HZ - seconds
    else:
        bars = int((one.seconds - seconds) / one.bar_s + 1e-6)
        starts = bars * one.bar_s
        samples_SC = crossfade(one.samples[: round((starts + seconds) * AUDIO_RATE_HZ)], two.samples, seconds)
    details = {"joined": [one.details, two.details], "second_starts_s": round(starts, 6), "crossfade_s": seconds}
    return Track(samples_SC, one.procedural and two.procedural, details, bpm=one.bpm, bar_s=None, level=None)


def join_all(tracks: Sequence[Track], seconds: float = SECONDS) -> Track:
    """Join tracks in sequence. Each except the last is cut on its own bar line."""
    if not tracks:
        raise RequestError("No pieces to join.", field="tracks", value=0, legal="one or more")
    whole = tracks[-1]
    for track in reversed(tracks[:-1]):
        whole = join(track, whole, seconds)
    return whole
