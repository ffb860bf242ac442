"""Free paths of objects: lines, waves, circles, pauses and curves, for models that follow drawn paths.

A path is points at equal steps of time over a scene's duration, in fractions of the frame, x right, y down.
"""

from __future__ import annotations

import math
import random

Path = tuple[tuple[float, float], ...]
FORMS = ("line", "wave", "circle", "pause", "curve")
NUM_POINTS = 17


def free_path(rng: random.Random, room: float, form: str = "") -> Path:
    """Draw a path of NUM_POINTS points (one of FORMS, by default random) within `room` of the centre of the frame,
    in x and in y."""
    turns = [k / (NUM_POINTS - 1) for k in range(NUM_POINTS)]
    points = _FORMS[form or rng.choice(FORMS)](rng, turns)
    limit = max(max(abs(x), abs(y)) for x, y in points)
    scale = room * min(1.0, 1.0 / limit)
    return tuple((round(0.5 + scale * x, 4), round(0.5 + scale * y, 4)) for x, y in points)


def at(path: Path, turn: float) -> tuple[float, float]:
    """Return the position at a share of the duration, between neighbouring points in proportion; the ends are held."""
    place = min(max(turn, 0.0), 1.0) * (len(path) - 1)
    k = min(int(place), len(path) - 2)
    (x0, y0), (x1, y1), part = path[k], path[k + 1], place - k
    return x0 + part * (x1 - x0), y0 + part * (y1 - y0)


def _ends(rng: random.Random, least: float = 0.7) -> tuple[float, float, float, float]:
    """Two random points of the square [-1, 1] that are at least so far apart."""
    while True:
        x0, y0, x1, y1 = (rng.uniform(-1, 1) for _ in range(4))
        if math.hypot(x1 - x0, y1 - y0) >= least:
            return x0, y0, x1, y1


def _line(rng: random.Random, turns: list[float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = _ends(rng)
    return [(x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in turns]


def _wave(rng: random.Random, turns: list[float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = _ends(rng, least=1.2)
    length = math.hypot(x1 - x0, y1 - y0)
    aside = rng.uniform(0.15, 0.5) * rng.choice((-1, 1)) / length
    waves = rng.uniform(0.75, 2.0)
    found = []
    for t in turns:
        off = aside * math.sin(2 * math.pi * waves * t)
        found.append((x0 + t * (x1 - x0) - off * (y1 - y0), y0 + t * (y1 - y0) + off * (x1 - x0)))
    return found


def _circle(rng: random.Random, turns: list[float]) -> list[tuple[float, float]]:
    wide, tall, start = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.9), rng.random()
    x, y = rng.uniform(-1, 1) * (1 - wide), rng.uniform(-1, 1) * (1 - tall)
    rounds = rng.uniform(0.5, 1.5) * rng.choice((-1, 1))
    angles = [2 * math.pi * (start + rounds * t) for t in turns]
    return [(x + wide * math.cos(angle), y + tall * math.sin(angle)) for angle in angles]


def _pause(rng: random.Random, turns: list[float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = _ends(rng)
    begin, end = sorted((rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85)))
    moving = 1 - (end - begin)
    found = []
    for t in turns:
        gone = (min(t, begin) + max(0.0, t - end)) / moving
        found.append((x0 + gone * (x1 - x0), y0 + gone * (y1 - y0)))
    return found


def _curve(rng: random.Random, turns: list[float]) -> list[tuple[float, float]]:
    """A Catmull-Rom spline through four random points."""
    knots = [(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(4)]
    knots = [knots[0], *knots, knots[-1]]
    found = []
    for t in turns:
        k = min(int(3 * t), 2)
        part = 3 * t - k
        weights = (
            (-part + 2 * part**2 - part**3) / 2,
            (2 - 5 * part**2 + 3 * part**3) / 2,
            (part + 4 * part**2 - 3 * part**3) / 2,
            (-(part**2) + part**3) / 2,
        )
        x, y = (sum(w * knot[axis] for w, knot in zip(weights, knots[k : k + 4], strict=True)) for axis in (0, 1))
        found.append((x, y))
    return found


_FORMS = {"line": _line, "wave": _wave, "circle": _circle, "pause": _pause, "curve": _curve}
