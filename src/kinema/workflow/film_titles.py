"""Title cards: white text over a dark, blurred frame of the film, drawn with Pillow's own font.

An opening card fades in from black and out to the next frame; a closing one fades in from the frame before it and out
to black. Legend: F frames, H W height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

FADE_S = 0.5
DARK = 0.34
"""Brightness of the frame under the text."""
_WIDE, _TALL = 0.86, 0.62
"""Maximum fraction of the frame's width and height for the text."""
_LEAST_PX = 7


@dataclass(frozen=True)
class TitleCard:
    """The text of a card. title: large; subtitle: small under it, empty for none."""

    title: str
    subtitle: str = ""


def draw_card(
    card: TitleCard, frame_HWC: np.ndarray, num_frames: int, fps: float, place: Literal["opening", "closing"]
) -> np.ndarray:
    """Return `num_frames` frames (uint8 FHWC) of a card over a frame of the film."""
    from PIL import Image, ImageFilter

    sharp_HWC = frame_HWC.astype(np.float32)
    height, width = frame_HWC.shape[:2]
    blurred = Image.fromarray(frame_HWC).filter(ImageFilter.GaussianBlur(max(1.0, min(height, width) / 14)))
    dark_HWC = np.asarray(blurred).astype(np.float32) * DARK
    text_HW1 = _text(card, height, width)[..., None]
    shade_HW1 = _shade(text_HW1[..., 0], height)[..., None]
    fade = max(1, min(num_frames // 3, round(FADE_S * fps)))
    frames_FHWC = np.empty((num_frames, height, width, 3), np.uint8)
    for index in range(num_frames):
        begins, ends = _ramp(index, fade), _ramp(num_frames - 1 - index, fade)
        if place == "opening":
            ground_HWC = (sharp_HWC + (dark_HWC - sharp_HWC) * ends) * begins
        else:
            ground_HWC = (sharp_HWC + (dark_HWC - sharp_HWC) * begins) * ends
        shown = begins * ends
        ground_HWC = ground_HWC * (1 - 0.6 * shown * shade_HW1)
        cover_HW1 = text_HW1 * shown
        frames_FHWC[index] = np.rint(ground_HWC * (1 - cover_HW1) + 255.0 * cover_HW1)
    return frames_FHWC


def _ramp(index: int, fade: int) -> float:
    """Return a smooth ramp from 0, to 1 at frame `fade` and after."""
    at = min(1.0, (index + 1) / (fade + 1))
    return at * at * (3 - 2 * at)


def _shade(text_HW: np.ndarray, height: int) -> np.ndarray:
    """Return a soft shadow around the text, for contrast over bright regions."""
    from PIL import Image, ImageFilter

    picture = Image.fromarray(np.rint(text_HW * 255).astype(np.uint8))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(max(1.0, height / 60)))).astype(np.float32)
    return np.clip(soft * (2.0 / 255), 0, 1)


def _text(card: TitleCard, height: int, width: int) -> np.ndarray:
    """Return the coverage of each pixel by the text, float32 (H, W), 0 to 1."""
    from PIL import Image, ImageDraw

    share = 0.7 if card.subtitle else 1.0
    big = _fitted(card.title, width * _WIDE, height * _TALL * share, height / 6)
    small = (
        _fitted(card.subtitle, width * _WIDE, height * _TALL * (1 - share), big.size_px * 0.55)
        if card.subtitle
        else None
    )
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    gap_px = big.line_px * 0.45 if small is not None else 0.0
    y = (height - big.height_px - gap_px - (small.height_px if small is not None else 0)) / 2
    for block in (big, small):
        if block is None:
            continue
        for line in block.lines:
            draw.text(((width - block.measure(line)) / 2, y), line, fill=255, font=block.font)
            y += block.line_px
        y += gap_px
    return np.asarray(canvas).astype(np.float32) / 255


@dataclass(frozen=True)
class _Block:
    lines: tuple[str, ...]
    font: Any
    size_px: float
    line_px: float
    measure: Callable[[str], float]

    @property
    def height_px(self) -> float:
        return self.line_px * len(self.lines)


def _fitted(text: str, width_px: float, height_px: float, largest_px: float) -> _Block:
    """Return the text in the largest font size (7 px to `largest_px`) at which its lines fit; if none fits, it is
    truncated with dots."""
    from PIL import ImageFont

    size = max(float(_LEAST_PX), largest_px)
    while True:
        font = ImageFont.load_default(size=round(size))
        measure, line_px = font.getlength, size * 1.22
        lines = _wrapped(text, measure, width_px)
        room = max(1, int(height_px / line_px))
        if len(lines) <= room and all(measure(line) <= width_px for line in lines):
            break
        if size <= _LEAST_PX:
            lines = [_cut(line, measure, width_px, line_no == room - 1 and len(lines) > room)
                     for line_no, line in enumerate(lines[:room])]  # fmt: skip
            break
        size = max(float(_LEAST_PX), size * 0.92)
    return _Block(tuple(lines), font, size, line_px, measure)


def _wrapped(text: str, measure: Callable[[str], float], width_px: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and measure(f"{lines[-1]} {word}") <= width_px:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _cut(line: str, measure: Callable[[str], float], width_px: float, more: bool) -> str:
    if not more and measure(line) <= width_px:
        return line
    while line and measure(line + "...") > width_px:
        line = line[:-1]
    return line.rstrip() + "..."
