"""Read pictures as clips with Pillow: still pictures, animated GIF, WebP and PNG, and folders of pictures."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MediaError
from ..core.outside import of_kind
from .manifest import FOLDER_NOTE, folder_note, picture_note
from .open import open_picture
from .timeline import MAX_FPS, MIN_FPS, Timeline, exact_rate, held

if TYPE_CHECKING:
    import numpy as np

_STILL_FPS = Fraction(24)
MAX_HELD = 36_000
"""Limit of the frames of an animation with few pictures and long delays (25 minutes at 24 fps)."""
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
_RATES = [Fraction(n) for n in range(1, 61)] + [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60)]
_TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}


class PictureClip:
    """An open animation, picture or folder, with the interface of VideoClip but never with sound."""

    has_audio = False
    transfer, primaries = "SDR", ""

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        lines: Timeline,
        codec: str,
        bit_depth: int,
        rotation: int,
        source: Callable[[int], np.ndarray],
    ) -> None:
        self.path, (self.width, self.height), self.timeline = path, size, lines
        self.codec, self.bit_depth, self.rotation, self._source = codec, bit_depth, rotation, source

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield frames `start` to `stop` of the timeline, uint8 RGB (H, W, 3)."""
        sources = self.timeline.sources or range(self.timeline.num_frames)
        for k in range(start, stop):
            if k == start or sources[k] != sources[k - 1]:
                picture_HWC = self._source(sources[k])
                if picture_HWC.shape[:2] != (self.height, self.width):
                    raise MediaError(f"{self.path}: the size of frame {k} differs from the first frame's.")
            yield picture_HWC

    def audio_track(self, stack: contextlib.ExitStack, first_sample: int) -> Any:
        raise MediaError(f"{self.path}: pictures have no sound.")


@contextlib.contextmanager
def open_clip(path: Path, *, is_folder: bool) -> Iterator[PictureClip]:
    """Open a picture file or folder as a clip, and close it at the end."""
    if is_folder:
        yield _folder_clip(path)
        return
    with open_picture(path) as image:
        lines = _times(image)
        rotation = _TURNS.get(image.getexif().get(0x0112, 1), 0)

        def show(index: int) -> np.ndarray:
            image.seek(index)
            return picture_of(image)

        first_HWC = show(0)
        bits = 16 if image.mode.startswith(("I", "F")) else 8
        size = (first_HWC.shape[1], first_HWC.shape[0])
        yield PictureClip(path, size, lines, (image.format or "").lower(), bits, rotation, show)


def read_picture(path: Path) -> np.ndarray:
    """Read one picture file as upright uint8 RGB (H, W, 3)."""
    with open_picture(path) as image:
        return picture_of(image)


def picture_of(image: Any) -> np.ndarray:
    """Convert a loaded Pillow image to upright uint8 RGB (H, W, 3), composited over white."""
    import numpy as np
    from PIL import ImageOps

    from .alpha import over_white

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits of gray
        gray = np.clip(np.asarray(upright).astype(np.int64), 0, 65535)
        clear = upright.info.get("transparency")
        gray = np.where(gray == clear, 65535, gray) if isinstance(clear, int) else gray
        return np.repeat(((gray + 128) // 257).astype(np.uint8)[..., None], 3, axis=-1)
    if upright.mode == "F":  # floats from 0 to 1, or from 0 to 255
        gray = np.nan_to_num(np.asarray(upright))
        gray = np.clip(np.rint(gray * (255 if gray.max() <= 1 else 1)), 0, 255)
        return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=-1)
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        return over_white(np.asarray(upright.convert("RGBA")))
    return np.array(upright.convert("RGB"))


def _times(image: Any) -> Timeline:
    """The timeline of an animation. Its frame rate is the one in its note, else the lowest common rate at which all
    (rounded) delays are whole frames, else the average rate."""
    num = getattr(image, "n_frames", 1)
    noted = _noted(image)
    if image.format == "WEBP":
        image.load()  # only then does Pillow know a frame's delay
    if num == 1 and not image.info.get("duration"):
        return Timeline(noted[0] if noted and noted[1] == 1 else _STILL_FPS, 1)
    if not getattr(image, "is_animated", False) and num > 1:
        return Timeline(_STILL_FPS, 1)  # pages, not frames in time
    delays = []
    for index in range(num):
        image.seek(index)
        if image.format == "WEBP":
            image.load()  # only then does Pillow know this frame's delay
        delay = float(image.info.get("duration") or 0) / 1000
        delays.append(delay if delay > 0 else 0.1)  # the delay that browsers use for 0
    image.seek(0)
    ends = list(itertools.accumulate(delays))
    times = [0.0, *ends[:-1]]
    tick = 0.0102 if image.format == "GIF" else 0.00102
    most = max(num, MAX_HELD)
    if noted and noted[1] <= most and abs(ends[-1] - noted[1] / noted[0]) < 0.5 / noted[0]:
        return held(times, *noted)
    for rate in _RATES:
        stops = [round(end * rate) for end in ends]
        near = stops[-1] <= most and all(abs(end - stop / rate) <= tick / 2 for end, stop in zip(ends, stops))
        if near and all(a < b for a, b in itertools.pairwise([0, *stops])):
            return held(times, rate, stops[-1])
    average = exact_rate(num / ends[-1])
    if not MIN_FPS <= average <= MAX_FPS:
        raise MediaError(f"{num} pictures in {ends[-1]:g} s; the frame rate must be {MIN_FPS:g} to {MAX_FPS:g} fps")
    return held(times, average, num)


def _noted(image: Any) -> tuple[Fraction, int] | None:
    """The fps and number of frames in the file's note, or None if missing or not legal."""
    note = picture_note(image)
    fps, count = note.get("fps"), note.get("num_frames")
    if isinstance(fps, bool) or isinstance(count, bool):
        return None
    if isinstance(fps, int | float) and MIN_FPS <= fps <= MAX_FPS and isinstance(count, int) and count > 0:
        return exact_rate(fps), count
    return None


def _folder_clip(folder: Path) -> PictureClip:
    files = sorted((f for f in folder.iterdir() if f.suffix.lower() in _SUFFIXES and f.is_file()), key=_order)
    if not files:
        raise MediaError(f"{folder}: the folder contains no pictures.")
    noted: float = of_kind(
        folder_note(folder).get("fps", 24), f"{folder / FOLDER_NOTE}: fps", (int, float), error=MediaError
    )
    if not MIN_FPS <= noted <= MAX_FPS:
        raise MediaError(f"{folder / FOLDER_NOTE}: fps must be {MIN_FPS:g} to {MAX_FPS:g}, got {noted!r:.40}.")
    fps = exact_rate(noted)
    first_HWC = read_picture(files[0])
    size = (first_HWC.shape[1], first_HWC.shape[0])
    lines = Timeline(fps, len(files))
    return PictureClip(folder, size, lines, "pictures", 8, 0, lambda index: read_picture(files[index]))


def _order(file: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts frame2 before frame10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", file.name)]
