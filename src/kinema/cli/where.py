"""Points and boxes on a frame, as typed: `x,y` and `x,y,w,h`.

Numbers are pixels if any of them is above 1, else fractions of the frame: 1,1 is the lower right corner.
"""

from __future__ import annotations

from ..core.errors import RequestError
from ..core.numerals import decimal

DECIMALS = 9
"""Sums of typed fractions are rounded to these."""


def parse_click(text: str, width: int, height: int, option: str = "click") -> tuple[float, float]:
    """Return the point `x,y` in fractions of a frame of this size; a pixel stands for its centre. option: its name, for
    messages. Raises RequestError for anything but two numbers, and for a point outside the frame."""
    x, y = _numbers(text, 2, option, "x,y as 320,180 (pixels) or 0.5,0.5 (fractions of the frame)")
    if max(x, y) > 1:
        if not (0 <= x < width and 0 <= y < height):
            raise _outside(text, option, f"x from 0 to {width - 1}, y from 0 to {height - 1}",
                           f"{min(max(x, 0), width - 1):g},{min(max(y, 0), height - 1):g}")  # fmt: skip
        return min(1.0, (x + 0.5) / width), min(1.0, (y + 0.5) / height)
    if min(x, y) < 0:
        raise _outside(text, option, "0 to 1, or pixels", f"{max(x, 0):g},{max(y, 0):g}")
    return x, y


def parse_box(text: str, width: int, height: int) -> tuple[float, float, float, float]:
    """Return the box `x,y,w,h` (upper left corner, width, height) as (left, top, right, bottom) in fractions of a frame
    of this size. Raises RequestError for anything but four numbers, an empty box, and one that leaves the frame."""
    legal = "x,y,w,h as 300,200,120,100 (pixels) or 0.4,0.4,0.2,0.2 (fractions of the frame)"
    x, y, wide, tall = _numbers(text, 4, "box", legal)
    if wide <= 0 or tall <= 0:
        legal = f"w and h above 0: {legal}"
        raise RequestError(f"--box {text}: the box is empty.", field="box", value=text, legal=legal)
    across, down = (width, height) if max(x, y, wide, tall) > 1 else (1, 1)
    slack = 1e-6
    if x < 0 or y < 0 or x + wide > across + slack or y + tall > down + slack:
        left, top = min(max(x, 0), across), min(max(y, 0), down)
        near = (left, top, min(x + wide, across) - left, min(y + tall, down) - top)
        nearest = ",".join(f"{part:g}" for part in near) if near[2] > 0 and near[3] > 0 else None
        legal = f"inside {across} x {down}, as x,y,w,h: width and height, not the other corner"
        raise _outside(text, "box", legal, nearest)
    right, bottom = (round(edge, DECIMALS) for edge in (x + wide, y + tall))  # 0.4 + 0.2 is 0.6000000000000001
    return x / across, y / down, min(1.0, right / across), min(1.0, bottom / down)


def parse_corners(text: str) -> tuple[float, float, float, float]:
    """Return the box `x0,y0,x1,y1` of `--mask`, in fractions of the frame: two corners, as in a request. Raises
    RequestError for anything else; the nearest legal value reads the text as `x,y,w,h`, the form of `--box`."""
    legal = (
        "x0,y0,x1,y1 (the upper left and the lower right corner), each from 0 to 1, x0 < x1, y0 < y1; only the --box "
        "of other commands is x,y,w,h"
    )
    left, top, right, bottom = _numbers(text, 4, "mask", legal)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        wide, tall = right, bottom
        corners = (left, top, left + wide, top + tall)
        possible = min(left, top) >= 0 and min(wide, tall) > 0 and max(corners) <= 1 + 1e-6
        nearest = ",".join(f"{min(each, 1):g}" for each in corners) if possible else None
        raise RequestError(f"--mask {text}: not a box.", field="mask", value=text, legal=legal, nearest=nearest)
    return left, top, right, bottom


def _numbers(text: str, count: int, field: str, legal: str) -> list[float]:
    try:
        found = [decimal(part.strip()) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise RequestError(f"--{field} {text!r} is not {count} numbers.", field=field, value=text, legal=legal)
    return found


def _outside(text: str, field: str, legal: str, nearest: str | None) -> RequestError:
    message = f"--{field} {text}: outside the frame."
    return RequestError(message, field=field, value=text, legal=legal, nearest=nearest)
