"""The objects of Toyland as signed-distance functions.

Every shape has its own coordinates: x to the right, y down, inside a circle of radius `BOUNDS[kind]` around (0, 0). A
shape is a list of `ShapePart`s, painted in order; distances are negative inside and in units of the object's radius.
All functions are elementwise on tensors of any one shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Maximum distance of any part from the centre.
BOUNDS = {
    "ball": 1.0, "square": 1.15, "triangle": 1.21, "star": 1.07, "heart": 1.08, "ring": 1.0,
    "car": 1.13, "boat": 1.12, "fish": 1.18, "bird": 1.18, "balloon": 1.15, "rocket": 1.15,
}  # fmt: skip
BLACK = (0.13, 0.12, 0.18)
WHITE = (0.97, 0.97, 0.95)
GLASS = (0.72, 0.88, 0.97)


class ShapePart(NamedTuple):
    """distance: signed distance. tone: a fixed RGB in [0, 1], or a number that makes the object's own colour lighter
    (towards white, 0 to 1) or darker (towards black, -1 to 0). inner: does it lie entirely inside the parts before
    it?"""

    distance: Tensor
    tone: float | tuple[float, float, float]
    inner: bool = False


def disc(x: Tensor, y: Tensor, cx: float, cy: float, radius: float) -> Tensor:
    dx, dy = x - cx, y - cy
    return (dx * dx + dy * dy).sqrt() - radius


def ellipse(x: Tensor, y: Tensor, cx: float, cy: float, rx: float, ry: float) -> Tensor:
    """First-order approximation of the distance to an ellipse: the level over the length of its gradient."""
    dx, dy = (x - cx) / rx, (y - cy) / ry
    level = (dx * dx + dy * dy).sqrt()
    slope = ((dx / rx) * (dx / rx) + (dy / ry) * (dy / ry)).sqrt()
    return level * (level - 1.0) / (slope + 1e-6)


def box(x: Tensor, y: Tensor, cx: float, cy: float, half_x: float, half_y: float, rounding: float = 0.0) -> Tensor:
    dx, dy = (x - cx).abs() - (half_x - rounding), (y - cy).abs() - (half_y - rounding)
    outside = (dx.clamp(min=0.0).square() + dy.clamp(min=0.0).square()).sqrt()
    return outside + torch.maximum(dx, dy).clamp(max=0.0) - rounding


def convex(x: Tensor, y: Tensor, *corners: tuple[float, float], rounding: float = 0.0) -> Tensor:
    """Distance to a convex polygon with corners in clockwise order (y down); exact inside, mitred outside."""
    result: Tensor | None = None
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.hypot(bx - ax, by - ay)
        nx, ny = (by - ay) / length, -(bx - ax) / length
        side = x * nx + y * ny - (ax * nx + ay * ny)
        result = side if result is None else torch.maximum(result, side)
    assert result is not None
    return result - rounding


def bar(x: Tensor, y: Tensor, ax: float, ay: float, bx: float, by: float, half: float) -> Tensor:
    """Distance to a straight stroke with round ends, from a to b."""
    ex, ey = bx - ax, by - ay
    along = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0)
    dx, dy = x - ax - along * ex, y - ay - along * ey
    return (dx * dx + dy * dy).sqrt() - half


def _ball(x: Tensor, y: Tensor) -> list[ShapePart]:
    body = disc(x, y, 0, 0, 1.0)
    band = torch.maximum(body, y.abs() - 0.26)
    return [ShapePart(body, 0.0), ShapePart(band, 0.5, inner=True)]


def _square(x: Tensor, y: Tensor) -> list[ShapePart]:
    return [
        ShapePart(box(x, y, 0, 0, 0.82, 0.82, 0.08), 0.0),
        ShapePart(box(x, y, 0, 0, 0.42, 0.42, 0.06), 0.28, inner=True),
    ]


def _triangle(x: Tensor, y: Tensor) -> list[ShapePart]:
    big = convex(x, y, (0.0, -0.88), (0.86, 0.64), (-0.86, 0.64), rounding=0.07)
    return [ShapePart(big, 0.0), ShapePart(convex(x, y, (0.0, -0.22), (0.38, 0.42), (-0.38, 0.42)), 0.28, inner=True)]


def _star(x: Tensor, y: Tensor) -> list[ShapePart]:
    return [
        ShapePart(_star_distance(x, y, 1.06, 0.5), 0.0),
        ShapePart(_star_distance(x, y, 0.5, 0.25), 0.35, inner=True),
    ]


def _star_distance(x: Tensor, y: Tensor, tip: float, notch: float) -> Tensor:
    """Distance to a star with five tips, one upwards. Folds the plane onto the tenth between a tip and the next notch
    (angles from up)."""
    fx, fy = x.abs(), -y
    for degrees in (108.0, 36.0):
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        over = (fx * cos - fy * sin).clamp(min=0.0) * 2.0
        fx, fy = fx - over * cos, fy + over * sin
    fx = fx.abs()
    ex, ey = notch * math.sin(math.pi / 5), notch * math.cos(math.pi / 5) - tip
    length = math.hypot(ex, ey)
    return (fx * -ey + (fy - tip) * ex) / length


def _heart(x: Tensor, y: Tensor) -> list[ShapePart]:
    cx, cy, radius, low = 0.46, -0.3, 0.53, 0.95
    far = math.hypot(cx, low - cy)
    # The straight side is tangent to the circle.
    lean = math.atan2(cx, low - cy) + math.asin(radius / far)
    reach = math.sqrt(far * far - radius * radius)
    touch = (reach * math.sin(lean), low - reach * math.cos(lean))
    half = x.abs()
    body = torch.minimum(
        disc(half, y, cx, cy, radius), convex(half, y, (-0.4, cy - 0.15), touch, (0.0, low), (-0.4, low))
    )
    return [ShapePart(body, 0.0), ShapePart(disc(x, y, -0.48, -0.38, 0.2), 0.45, inner=True)]


def _ring(x: Tensor, y: Tensor) -> list[ShapePart]:
    around = (x * x + y * y).sqrt()
    band = (around - 0.7).abs() - 0.28
    return [ShapePart(band, 0.0), ShapePart(torch.maximum(band, x.abs() - 0.2), 0.45, inner=True)]


def _car(x: Tensor, y: Tensor) -> list[ShapePart]:
    body = box(x, y, 0, 0.2, 1.06, 0.3, 0.16)
    cabin = convex(x, y, (-0.4, -0.5), (0.3, -0.5), (0.62, 0.1), (-0.68, 0.1), rounding=0.05)
    window = convex(x, y, (-0.32, -0.36), (0.24, -0.36), (0.42, -0.02), (-0.46, -0.02))
    post = box(x, y, -0.03, -0.2, 0.05, 0.2)
    wheels = disc(x.abs(), y, 0.56, 0.5, 0.3)
    hubs = disc(x.abs(), y, 0.56, 0.5, 0.12)
    lamp = disc(x, y, 0.93, 0.12, 0.1)
    return [
        ShapePart(torch.minimum(body, cabin), 0.0),
        ShapePart(window, GLASS, inner=True),
        ShapePart(post, 0.0, inner=True),
        ShapePart(lamp, (1.0, 0.93, 0.6), inner=True),
        ShapePart(wheels, BLACK),
        ShapePart(hubs, (0.8, 0.8, 0.82), inner=True),
    ]


def _boat(x: Tensor, y: Tensor) -> list[ShapePart]:
    hull = convex(x, y, (-1.0, 0.26), (1.0, 0.26), (0.62, 0.84), (-0.66, 0.84), rounding=0.04)
    stripe = torch.maximum(hull, (y - 0.4).abs() - 0.07)
    mast = box(x, y, -0.04, -0.3, 0.05, 0.7)
    sail = convex(x, y, (0.06, -0.88), (0.76, 0.12), (0.06, 0.12))
    jib = convex(x, y, (-0.14, -0.66), (-0.14, 0.12), (-0.68, 0.12))
    return [
        ShapePart(mast, (0.5, 0.36, 0.26)),
        ShapePart(sail, WHITE),
        ShapePart(jib, 0.3),
        ShapePart(hull, 0.0),
        ShapePart(stripe, 0.55, inner=True),
    ]


def _fish(x: Tensor, y: Tensor) -> list[ShapePart]:
    body = ellipse(x, y, 0.2, 0.0, 0.84, 0.58)
    half = y.abs()
    tail = convex(x, half, (-0.98, -0.1), (-0.4, -0.1), (-0.4, 0.06), (-1.0, 0.58), (-1.04, 0.5), rounding=0.02)
    fin = convex(x, y, (-0.24, -0.4), (-0.3, -0.8), (0.3, -0.62), (0.14, -0.44), rounding=0.03)
    side = ellipse(x, y, 0.0, 0.14, 0.22, 0.13)
    eye = disc(x, y, 0.62, -0.14, 0.17)
    pupil = disc(x, y, 0.66, -0.13, 0.085)
    return [
        ShapePart(torch.minimum(tail, fin), -0.16),
        ShapePart(body, 0.0),
        ShapePart(side, -0.2, inner=True),
        ShapePart(eye, WHITE, inner=True),
        ShapePart(pupil, BLACK, inner=True),
    ]


def _bird(x: Tensor, y: Tensor) -> list[ShapePart]:
    body = ellipse(x, y, -0.08, 0.18, 0.74, 0.5)
    head = disc(x, y, 0.52, -0.3, 0.4)
    tail = convex(x, y, (-0.98, -0.18), (-0.5, 0.04), (-0.5, 0.4), (-1.06, 0.16), rounding=0.03)
    beak = convex(x, y, (0.84, -0.44), (1.12, -0.24), (0.82, -0.12))
    wing = ellipse(x, y, -0.2, 0.12, 0.42, 0.26)
    eye = disc(x, y, 0.6, -0.38, 0.13)
    pupil = disc(x, y, 0.63, -0.38, 0.075)
    feet = torch.minimum(bar(x, y, -0.14, 0.6, -0.14, 0.86, 0.06), bar(x, y, 0.12, 0.6, 0.12, 0.86, 0.06))
    return [
        ShapePart(torch.minimum(beak, feet), (0.98, 0.66, 0.2)),
        ShapePart(tail, -0.16),
        ShapePart(torch.minimum(body, head), 0.0),
        ShapePart(wing, -0.22, inner=True),
        ShapePart(eye, WHITE, inner=True),
        ShapePart(pupil, BLACK, inner=True),
    ]


def _balloon(x: Tensor, y: Tensor) -> list[ShapePart]:
    head = ellipse(x, y, 0.0, -0.34, 0.68, 0.78)
    knot = convex(x, y, (0.0, 0.4), (0.13, 0.58), (-0.13, 0.58), rounding=0.02)
    bend = x - 0.07 * torch.sin(y * 7.0)
    string = box(bend, y, 0.0, 0.82, 0.045, 0.3)
    shine = ellipse(x, y, -0.26, -0.6, 0.17, 0.24)
    return [
        ShapePart(string, (0.45, 0.4, 0.42)),
        ShapePart(knot, -0.2),
        ShapePart(head, 0.0),
        ShapePart(shine, 0.55, inner=True),
    ]


def _rocket(x: Tensor, y: Tensor) -> list[ShapePart]:
    half = x.abs()
    body = torch.maximum(disc(half, y, -0.62, 0.06, 1.02), y - 0.62)
    nose = torch.maximum(body, y + 0.36)
    fins = convex(half, y, (0.24, 0.14), (0.66, 0.56), (0.66, 0.84), (0.24, 0.6), rounding=0.02)
    flame = ellipse(x, y, 0.0, 0.7, 0.27, 0.42)
    spark = ellipse(x, y, 0.0, 0.68, 0.14, 0.26)
    window = disc(x, y, 0.0, -0.08, 0.21)
    glass = disc(x, y, 0.0, -0.08, 0.14)
    return [
        ShapePart(flame, (1.0, 0.56, 0.16)),
        ShapePart(spark, (1.0, 0.9, 0.42), inner=True),
        ShapePart(fins, -0.24),
        ShapePart(body, 0.0),
        ShapePart(nose, 0.45, inner=True),
        ShapePart(window, WHITE, inner=True),
        ShapePart(glass, (0.4, 0.66, 0.9), inner=True),
    ]


SHAPES: dict[str, Callable[[Tensor, Tensor], list[ShapePart]]] = {
    "ball": _ball,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "ring": _ring,
    "car": _car,
    "boat": _boat,
    "fish": _fish,
    "bird": _bird,
    "balloon": _balloon,
    "rocket": _rocket,
}
