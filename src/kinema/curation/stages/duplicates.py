"""Copies of a clip that was there before: perceptual hashes over time.

Legend: F frames, H W height and width, K hashes of a clip.

A hash is the signs of the 63 lowest frequencies (without the constant) of a frame's cosine transform at 32 x 32 px
around the median (the "pHash" family, after Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010): recompression, scaling and brightness hardly change it, small crops a little. Eight frames a second
of the first twelve seconds are hashed; frames too flat to tell apart have no hash.

Two clips are copies if, at some offset in time, the median distance of their frames is at most MOST_BITS and the
overlap covers SHARE of the shorter one, and if their mean colours (chroma of 4 x 4 cells: the hashes see only
brightness) are near. `across` compares each clip, in order of names, with those before it that are
no copies themselves, and finds candidates by equal quarters of hashes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

REQUEST = FrameRequest(most=96, side_px=64, fps=8.0)
GRID, LOW = 32, 8
FLAT = 2.5
"""Frames whose gray levels deviate by less than this from their mean have no hash."""
MOST_BITS = 10
CELLS, MOST_CHROMA = 4, 9.0
"""Mean difference of the chroma of all cells, of 255, up to which clips have the same colours."""
SHARE = 0.6
BANDS = 4
LARGEST_BUCKET = 64
"""Clips that one quarter of a hash can lead to; further ones are found by their other quarters."""


class Duplicates:
    """`frame_hashes`: 64-bit hashes in hexadecimal, "-" for a flat frame. `mean_colours`: Cr and Cb of 4 x 4 cells, in
    hexadecimal. `duplicate_of`: the id of the first clip of
    which this one is a copy; `duplicate_bits`: the median number of bits in which their frames differ, of 63."""

    name, version = "duplicates", 1
    columns: tuple[Column, ...] = (
        Column("frame_hashes", "text", "hashes of frames"),
        Column("mean_colours", "text", "chroma of 4 x 4 cells"),
        Column("duplicate_of", "text", "copy of"),
        Column("duplicate_bits", "float", "distance to the original", "bits"),
    )
    fills = ("duplicate_of", "duplicate_bits")
    reads = (REQUEST,)

    def __init__(self, settings: CurationSettings) -> None:
        del settings

    def open(self) -> None:
        pass

    def measure(self, clip: CutClip) -> dict[str, Any]:
        fps = min(REQUEST.fps or clip.fps, clip.fps)
        head = replace(clip, stop=min(clip.stop, clip.start + max(1, int(REQUEST.most / fps * clip.fps))))
        frames_FHWC = head.frames(most=REQUEST.most, side_px=REQUEST.side_px, fps=REQUEST.fps)
        return {
            "frame_hashes": " ".join(hashed(frame_HWC) for frame_HWC in frames_FHWC),
            "mean_colours": mean_colours(frames_FHWC).tobytes().hex(),
        }

    def across(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        index = KnownClips()
        for row in sorted(rows, key=lambda row: str(row["id"])):
            hashes_K = parsed_hashes(row.get("frame_hashes"))
            colours_N = np.frombuffer(bytes.fromhex(str(row.get("mean_colours") or "")), np.uint8)
            found = index.nearest(hashes_K, colours_N)
            if found is None:
                index.add(str(row["id"]), hashes_K, colours_N)
            else:
                yield str(row["id"]), {"duplicate_of": found[0], "duplicate_bits": found[1]}


def hashed(frame_HWC: np.ndarray) -> str:
    """The hash of a uint8 RGB frame as 16 hexadecimal digits, or "-" if the frame is flat."""
    import cv2

    gray_HW = cv2.cvtColor(np.ascontiguousarray(frame_HWC), cv2.COLOR_RGB2GRAY)
    small_HW = cv2.resize(gray_HW, (GRID, GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small_HW.std() < FLAT:
        return "-"
    low_N = cv2.dct(small_HW)[:LOW, :LOW].reshape(-1)[1:]
    return np.packbits(np.concatenate([[False], low_N > np.median(low_N)])).tobytes().hex()


def mean_colours(frames_FHWC: np.ndarray) -> np.ndarray:
    """Cr and Cb of CELLS x CELLS cells, mean over the frames, uint8 (2 * CELLS^2,)."""
    import cv2

    small = [cv2.resize(one, (CELLS, CELLS), interpolation=cv2.INTER_AREA) for one in frames_FHWC]
    mean_HWC = np.mean(small, 0).round().astype(np.uint8)
    return cv2.cvtColor(mean_HWC, cv2.COLOR_RGB2YCrCb)[..., 1:].reshape(-1)


def parsed_hashes(text: Any) -> list[int | None]:
    """The hashes of a clip; None for flat frames."""
    return [None if part == "-" else int(part, 16) for part in str(text or "").split()]


def distance(one_K: list[int | None], other_K: list[int | None]) -> float | None:
    """The least median distance in bits over all offsets in time, None if none has enough overlap. A frame without a
    hash is far from one with a hash and says nothing about another one without."""
    shorter = min(len(one_K), len(other_K))
    if not shorter:
        return None
    least = max(1, int(np.ceil(SHARE * shorter)))
    best: float | None = None
    for offset in range(least - len(other_K), len(one_K) - least + 1):
        pairs = list(zip(one_K[max(0, offset) :], other_K[max(0, -offset) :], strict=False))
        bits = [_bits(a, b) for a, b in pairs if a is not None or b is not None]
        if 2 * len(bits) < len(pairs) or not bits:
            continue
        middle = float(np.median(bits))
        best = middle if best is None else min(best, middle)
    return best


def _bits(one: int | None, other: int | None) -> int:
    return 32 if one is None or other is None else (one ^ other).bit_count()


class KnownClips:
    """The clips that are no copies, by the quarters of their hashes."""

    def __init__(self) -> None:
        self._known: list[tuple[str, list[int | None], np.ndarray]] = []
        self._places: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def add(self, name: str, hashes_K: list[int | None], colours_N: np.ndarray) -> None:
        number = len(self._known)
        self._known.append((name, hashes_K, colours_N))
        for key in _quarters(hashes_K):
            if len(self._places[key]) < LARGEST_BUCKET:
                self._places[key].append(number)

    def nearest(self, hashes_K: list[int | None], colours_N: np.ndarray) -> tuple[str, float] | None:
        """The nearest known clip and its distance, the first of equals; None if none is a copy."""
        candidates = sorted({number for key in _quarters(hashes_K) for number in self._places.get(key, ())})
        best: tuple[float, int] | None = None
        for number in candidates:
            _, known_K, known_N = self._known[number]
            if np.abs(known_N.astype(np.int16) - colours_N).mean() > MOST_CHROMA:
                continue
            found = distance(known_K, hashes_K)
            if found is not None and found <= MOST_BITS and (best is None or found < best[0]):
                best = (found, number)
        return None if best is None else (self._known[best[1]][0], best[0])


def _quarters(hashes_K: list[int | None]) -> set[tuple[int, int]]:
    return {
        (band, (value >> (64 // BANDS) * band) & (1 << 64 // BANDS) - 1)
        for value in hashes_K
        if value is not None
        for band in range(BANDS)
    }
