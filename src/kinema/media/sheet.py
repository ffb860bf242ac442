"""Contact sheets: the frames of a clip, or of many clips, side by side on one picture.

Legend: F pixel frames, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import RequestError
from .resize import Resample, resize_frames

if TYPE_CHECKING:
    from PIL import Image

_PAPER, _INK = (250, 250, 248), (40, 40, 44)
_GAP = 4  # pixels between frames and around the sheet
_MIN_WIDTH = 120  # room for a caption
# Without a scale, narrower frames are upscaled by the smallest whole number that reaches this width.
_SMALL = 160


def chosen(num_frames: int, count: int) -> list[int]:
    """Up to `count` distinct, evenly spaced frame indices, including the first and the last."""
    if num_frames <= count:
        return list(range(num_frames))
    if count == 1:
        return [0]
    return [round(k * (num_frames - 1) / (count - 1)) for k in range(count)]


def sheet(
    frames_FHWC: np.ndarray,
    columns: int = 6,
    labels: Sequence[str] | None = None,
    scale: float | None = None,
    rows: int = 1,
    how: Resample = "nearest",
) -> Image.Image:
    """Draw up to `rows` x `columns` evenly spaced frames of a clip, including the first and the last.

    labels: one caption per row. scale: scale of the frames on the sheet; None leaves frames of 160 columns or more
    unscaled and upscales smaller ones by a whole number. how: "nearest" shows exact pixels, "lanczos" is smooth;
    downscaling is always smooth. RequestError if there are no frames, rows or columns."""
    if len(frames_FHWC) == 0 or columns < 1 or rows < 1:
        raise RequestError("A contact sheet needs at least one frame, one row and one column.", field="columns")
    picked = frames_FHWC[chosen(len(frames_FHWC), rows * columns)]
    lines = [picked[k : k + columns] for k in range(0, len(picked), columns)]
    captions = [*(labels or ()), *[""] * len(lines)][: len(lines)]
    return _drawn(list(zip(captions, lines)), scale, how)


def sheet_of_clips(
    clips: Sequence[tuple[str, np.ndarray]],
    frames_per_row: int = 6,
    scale: float | None = None,
    how: Resample = "nearest",
) -> Image.Image:
    """Draw many clips (caption, uint8 frames FHWC), one per row, with the options of `sheet`. Clips may differ in size
    and duration; all are shown at the height of the first. RequestError if there is no clip, or one without frames."""
    if not clips or frames_per_row < 1 or any(len(frames_FHWC) == 0 for _, frames_FHWC in clips):
        raise RequestError("A contact sheet needs clips with at least one frame each.", field="clips")
    lines = [(name, frames_FHWC[chosen(len(frames_FHWC), frames_per_row)]) for name, frames_FHWC in clips]
    return _drawn(lines, scale, how)


def _drawn(lines: Sequence[tuple[str, np.ndarray]], scale: float | None, how: Resample) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    height, width = lines[0][1].shape[1:3]
    if scale is None:
        scale = max(1, -(-_SMALL // width))
    tall = max(1, round(height * scale))
    shown = [_at_height(frames_FHWC, tall, how) for _, frames_FHWC in lines]
    row_px = [len(frames_FHWC) * (frames_FHWC.shape[2] + _GAP) + _GAP for frames_FHWC in shown]
    sheet_width = max(*row_px, _MIN_WIDTH)
    font_px = max(11, min(20, round(tall / 9)))
    font = ImageFont.load_default(size=font_px)
    captions = [wrapped(text, font, sheet_width - 2 * _GAP) for text, _ in lines]
    line_px = round(font_px * 1.3)
    caption_px = [len(rows) * line_px + (_GAP if rows else 0) for rows in captions]
    canvas = Image.new("RGB", (sheet_width, sum(caption_px) + len(lines) * (tall + _GAP) + _GAP), _PAPER)
    draw, y = ImageDraw.Draw(canvas), _GAP
    for frames_FHWC, rows, px in zip(shown, captions, caption_px):
        for k, row in enumerate(rows):
            draw.text((_GAP + 1, y + k * line_px), row, fill=_INK, font=font)
        y += px
        for k, frame_HWC in enumerate(frames_FHWC):
            canvas.paste(Image.fromarray(frame_HWC), (_GAP + k * (frames_FHWC.shape[2] + _GAP), y))
        y += tall + _GAP
    return canvas


def _at_height(frames_FHWC: np.ndarray, tall: int, how: Resample) -> np.ndarray:
    height, width = frames_FHWC.shape[1:3]
    wide = max(1, round(width * tall / height))
    return resize_frames(frames_FHWC, tall, wide, "stretch", how if tall >= height else "lanczos")


def wrapped(text: str, font: object, width_px: int, most: int | None = None) -> list[str]:
    """Wrap a caption into lines of at most `width_px`, at most `most` of them. Words that do not fit, and a last line
    with text after it, end in dots."""
    rows: list[str] = []
    for word in text.split():
        if rows and font.getlength(f"{rows[-1]} {word}") <= width_px:  # type: ignore[attr-defined]
            rows[-1] += f" {word}"
        else:
            while len(word) > 1 and font.getlength(word) > width_px:  # type: ignore[attr-defined]
                word = word.rstrip(".")[:-1] + "..." if len(word.rstrip(".")) > 1 else word[:1]
            rows.append(word)
        if most is not None and len(rows) > most:
            rows = [*rows[: most - 1], _dotted(rows[most - 1], font, width_px)]
            break
    return rows


def _dotted(text: str, font: object, width_px: int) -> str:
    while len(text) > 1 and font.getlength(f"{text}...") > width_px:  # type: ignore[attr-defined]
        text = text[:-1].rstrip()
    return f"{text}..."
