"""Paths from files: Tora's text files, JSON, and SVG drawings. One file may hold the paths of several objects.

Units are never guessed: a text file is on Tora's 256x256 canvas; a JSON file holds fractions of the frame, or pixels of
the "size" that it names; an SVG drawing has a canvas of its own. Each canvas covers the whole frame, whatever its
aspect. Times are fractions of the clip, or seconds of the "duration" that a JSON file names.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..core.conditions import Trajectory
from ..core.errors import KinemaError, MediaError
from ..core.fields import refused
from ..core.near import nearest
from ..core.numerals import decimal, integer
from ..core.outside import MAX_JSON_BYTES, parse_json, read_bytes
from ..core.text_file import decode
from . import svg
from .trajectory import MAX_FILE_BYTES, OUTSIDE, length_times, parse_points, too_short

MAX_PATHS = 64
SHARED = ("size", "duration", "spacing")
OWN = ("points", "times", "object", "color")
SPACINGS = ("time", "length")


def read_paths(path: str | Path) -> tuple[Trajectory, ...]:
    """Read the paths in a file, one per object: `.json`, `.svg`, text files of any other name; a name without one of
    these two suffixes is judged by its first character ({ or [: JSON, <: SVG).

    Raises MediaError, which names the file, the path, the value and the legal ones.
    """
    path = Path(path)
    try:
        data = read_bytes(path, error=MediaError, max_bytes=MAX_FILE_BYTES)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file.") from None
    try:
        text = decode(data, str(path), error=MediaError).text
    except MediaError:
        raise MediaError(f"{path}: not a text file. Legal: one point x,y per line, JSON, or SVG.") from None
    kind = path.suffix.lower()
    begin = text.lstrip()[:1]
    if kind == ".json" or (kind != ".svg" and begin in ("{", "[")):
        found = _of_json(text, str(path))
    elif kind == ".svg" or begin == "<":
        found = _of_svg(text, str(path))
    else:
        found = [_trajectory({"points": parse_points(text.splitlines(), str(path))}, str(path))]
    if len(found) > MAX_PATHS:
        raise MediaError(f"{path}: {len(found):,} paths. Legal: up to {MAX_PATHS}, one per object.")
    return tuple(found)


def _of_svg(text: str, what: str) -> list[Trajectory]:
    """A path of straight lines is a list of points, evenly spaced in time as in a text file; one with curves is
    followed at constant speed. `data-spacing`, `data-times`, `data-object` and `data-color` say otherwise."""
    found = []
    drawn = svg.parse(text, what)
    for each in drawn[: MAX_PATHS + 1]:
        _check_near(each.points_N2, each.points_N2, "the drawing's canvas (in fractions of it)", each.where)
        given: dict[str, Any] = {"points": each.points_N2.tolist(), "spacing": "length" if each.curved else "time"}
        if unknown := [name for name in each.data if name in ("points", *SHARED[:2])]:
            raise MediaError(f"{each.where}: data-{unknown[0]} is not read.")
        given |= {name: each.data[name] for name in ("spacing", "object") if name in each.data}
        for name in ("times", "color"):
            if name in each.data:
                given[name] = _list(each.data[name], f"{each.where}, data-{name}")
        found.append(_path(given, {}, each.where, each.aspect))
    return found


def _of_json(text: str, what: str) -> list[Trajectory]:
    value: Any = parse_json(text, what, (dict, list), error=MediaError, max_bytes=MAX_JSON_BYTES)
    shared: dict[str, Any] = {}
    if isinstance(value, dict) and "paths" in value:
        _known(value, ("paths", *SHARED, "tracked"), what)
        shared = {name: value[name] for name in SHARED if name in value}
        value = value["paths"]
        if not isinstance(value, list):
            raise MediaError(f"{what}: paths is a list, with a path for each object.")
        several = True
    else:
        several = isinstance(value, list) and bool(value) and _is_path(value[0])
    paths = value if several else [value]
    if not paths or paths == [[]]:
        raise MediaError(f"{what}: no points. Legal: two or more, as [[0.1, 0.5], [0.9, 0.5]].")
    if len(paths) > MAX_PATHS:
        raise MediaError(f"{what}: {len(paths):,} paths. Legal: up to {MAX_PATHS}, one per object.")
    found = []
    for number, each in enumerate(paths, start=1):
        where = f"{what}, path {number}" if several else what
        fields = {"points": each} if isinstance(each, list) else each
        if not isinstance(fields, dict):
            raise MediaError(f'{where}: a path is a list of points, or an object with "points".')
        _known(fields, (*OWN, *SHARED, "kind", "tracked"), where)
        found.append(_path(fields, shared, where))
    return found


def _is_path(value: Any) -> bool:
    """Whether the first of a list's values is a path (then the list holds several), and not a point."""
    if isinstance(value, dict):
        return "points" in value
    return isinstance(value, list) and bool(value) and isinstance(value[0], list | dict)


def _path(fields: dict[str, Any], shared: dict[str, Any], where: str, aspect: float | None = None) -> Trajectory:
    """One path. aspect: of the canvas, for constant speed; None: that of `size`, else of a square."""
    fields = shared | fields
    if fields.get("kind", "trajectory") != "trajectory":
        raise MediaError(f"{where}: kind = {_shown(fields['kind'])}. Legal: trajectory.")
    spacing = fields.get("spacing", "time")
    if spacing not in SPACINGS:
        raise MediaError(f"{where}: spacing = {_shown(spacing)}. Legal: {', '.join(SPACINGS)}.")
    points_N2, times = _points(fields.get("points"), where)
    size = _size(fields["size"], where) if fields.get("size") is not None else None
    points_N2 = _in_fractions(points_N2, size, where)
    if fields.get("times") is not None:
        if times:
            raise MediaError(f'{where}: times are given twice, by the points and by "times".')
        times = _times(fields["times"], where)
    if times:
        if "spacing" in fields and spacing == "length" and aspect is None:
            raise MediaError(f"{where}: times and spacing = length contradict each other; leave one out.")
        times = _in_clip(times, fields.get("duration"), where)
    elif spacing == "length" and len(points_N2) > 1:
        ratio = aspect if aspect is not None else size[0] / size[1] if size else 1.0
        times = list(length_times(points_N2 * (ratio, 1.0)))
        points_N2, times = _distinct(points_N2, times)
    made = {"points": points_N2.tolist(), "times": times}
    return _trajectory(
        made | {name: fields[name] for name in ("object", "color") if fields.get(name) is not None}, where
    )


def _distinct(points_N2: np.ndarray, times: list[float]) -> tuple[np.ndarray, list[float]]:
    """Leave out points that are so near the one before that their times are equal."""
    kept = [0] + [index for index in range(1, len(times)) if times[index] > times[index - 1]]
    return points_N2[kept], [times[index] for index in kept]


def _points(given: Any, where: str) -> tuple[np.ndarray, list[float]]:
    """The points (N, 2) and their times, if they have any. A point is [x, y], [x, y, time], or an object of x, y and
    (optionally) t."""
    if not isinstance(given, list):
        raise MediaError(f"{where}: points = {_shown(given)}. Legal: a list, as [[0.1, 0.5], [0.9, 0.5]].")
    found = []
    for index, point in enumerate(given):
        parts = point
        if isinstance(point, dict):
            if not set(point) <= {"x", "y", "t"}:
                raise MediaError(f"{where}: points[{index}] = {_shown(point)}. Legal: x, y and t.")
            parts = [point.get("x"), point.get("y"), *([point["t"]] if "t" in point else [])]
        if not isinstance(parts, list | tuple) or len(parts) not in (2, 3):
            raise MediaError(f"{where}: points[{index}] = {_shown(point)}. Legal: [x, y] or [x, y, time].")
        found.append([_number(part, f"{where}: points[{index}]", point) for part in parts])
        if len(found[-1]) != len(found[0]):
            raise MediaError(f"{where}: points[{index}] = {_shown(point)}: all points have a time, or none.")
    if len(found) < 2:
        raise too_short(where, len(found))
    whole = np.array(found, np.float64)
    return whole[:, :2], whole[:, 2].tolist() if whole.shape[1] == 3 else []


def _in_fractions(points_N2: np.ndarray, size: tuple[int, int] | None, where: str) -> np.ndarray:
    """Points as fractions of the frame. Raises MediaError if their unit is not clear."""
    low, high = float(points_N2.min()), float(points_N2.max())
    if size is None:
        if low < -0.5 or high > 1.5:
            wrong = high if high > 1.5 else low
            raise MediaError(
                f"{where}: {wrong:g} is not a fraction of the frame. Legal: -0.5 to 1.5; for pixels, add the size of "
                'their frame: "size": [WIDTH, HEIGHT].'
            )
        return points_N2
    if low >= 0 and high <= 1 and max(size) > 2:
        raise MediaError(
            f'{where}: no number is above 1, but "size" says that these are pixels of {size[0]}x{size[1]}: all would '
            "be in one corner. Legal: pixels with size, or fractions of the frame without it."
        )
    part_N2 = points_N2 / size
    _check_near(part_N2, points_N2, f"a frame of {size[0]}x{size[1]}", where)
    return part_N2


def _check_near(part_N2: np.ndarray, given_N2: np.ndarray, canvas: str, where: str) -> None:
    """Raise MediaError for a point that is too far outside its canvas. part_N2: the points in fractions of it."""
    outside_N = np.abs(part_N2 - 0.5).max(1)
    worst = int(outside_N.argmax())
    if outside_N[worst] > 0.5 + OUTSIDE:
        x, y = given_N2[worst]
        raise MediaError(
            f"{where}: points[{worst}] = [{x:g}, {y:g}] lies far outside {canvas}. Legal: up to half of it outside."
        )


def _in_clip(times: list[float], duration: Any, where: str) -> list[float]:
    """Times as fractions of the clip. Raises MediaError if they do not increase or are not within the clip."""
    if duration is not None:
        end = _number(duration, f"{where}: duration", duration)
        if end <= 0:
            raise MediaError(f"{where}: duration = {end:g}. Legal: seconds, above 0.")
    else:
        end = 1.0
    for index, at in enumerate(times):
        if not 0 <= at <= end:
            more = "" if duration is not None else '; for seconds, add the length of the clip: "duration": SECONDS'
            raise MediaError(f"{where}: time {index} = {at:g}. Legal: 0 to {end:g}{more}.")
        if index and at <= times[index - 1]:
            raise MediaError(
                f"{where}: time {index} = {at:g} follows {times[index - 1]:g}. Legal: times that increase (a pause "
                "is the same point again, at a later time)."
            )
    return [at / end for at in times]


def _times(given: Any, where: str) -> list[float]:
    if not isinstance(given, list) or not given:
        raise MediaError(f"{where}: times = {_shown(given)}. Legal: a list, with a number for each point.")
    return [_number(each, f"{where}: times[{index}]", each) for index, each in enumerate(given)]


def _size(given: Any, where: str) -> tuple[int, int]:
    try:
        width, height = given.lower().split("x") if isinstance(given, str) else given
        size = integer(width), integer(height)
    except (TypeError, ValueError):
        size = (0, 0)
    if min(size) < 1:
        raise MediaError(f"{where}: size = {_shown(given)}. Legal: [WIDTH, HEIGHT], as [832, 480].")
    return size


def _number(given: Any, where: str, whole: Any) -> float:
    try:
        if isinstance(given, str) or not math.isfinite(value := decimal(given)):
            raise ValueError
    except (ValueError, OverflowError):
        raise MediaError(f"{where} = {_shown(whole)}: {_shown(given)} is not a finite number.") from None
    return value


def _list(text: str, where: str) -> list[float]:
    """Numbers of an attribute, separated by spaces or commas."""
    try:
        return [decimal(part) for part in text.replace(",", " ").split()]
    except ValueError as reason:
        raise MediaError(f"{where}: {reason}.") from None


def _known(fields: dict[str, Any], legal: tuple[str, ...], where: str) -> None:
    for name in fields:
        if name not in legal:
            near = nearest(name, list(legal))
            hint = f" Nearest legal name: {near}." if near else ""
            raise MediaError(f"{where}: no field {_shown(name)}. Legal: {', '.join(legal)}.{hint}")


def _trajectory(fields: dict[str, Any], where: str) -> Trajectory:
    try:
        return Trajectory.model_validate(fields)
    except ValidationError as error:
        raise MediaError(f"{where}: {refused(error.errors(include_url=False), Trajectory)}") from None
    except KinemaError as error:
        raise MediaError(f"{where}: {error}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
