"""`kinema path preview`: what `--trajectory` will follow, drawn before anything is generated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.whole import whole
from . import output
from .exits import guarded
from .options import OUTPUT, AsJson, Size, option
from .say import answer, note

app = typer.Typer(no_args_is_help=True, help="Paths of objects, as --trajectory takes them.")
MAX_FRAMES = 10_000


@app.callback()
def _group() -> None:
    """Paths of objects, as --trajectory takes them."""


@app.command("preview")
@guarded
def preview(
    files: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Paths as text, JSON or SVG; one or several.", show_default=False),
    ],
    size: Size = None,
    frames: Annotated[
        int | None, option("--frames", metavar="N", help="Length of the clip in frames. Default: 49.")
    ] = None,
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT, help="A .png or .jpg. Default: PATH-preview.png."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw paths as they will be followed: a dot per frame, times, pauses, and parts outside the frame.

    The default size is 720x480.
    """
    from ..conditions import trajectory
    from ..conditions.path_file import read_paths
    from ..conditions.path_preview import rests, sheet
    from ..core.request import parse_size
    from ..media.write_picture import write_picture

    target = Path(output_ or str(output.unused(Path(f"{output.stem(files[0], 'path')}-preview.png"))))
    output.check_sheet(target)
    keep_apart({"output": target}, files)
    width, height = parse_size(size) if size is not None else (720, 480)
    count = 49 if frames is None else frames
    for name, value, most in (("frames", count, MAX_FRAMES), ("width", width, 16384), ("height", height, 16384)):
        if not 1 <= value <= most:
            raise RequestError(f"{name} = {value}.", field=name, value=value, legal=f"1 to {most}",
                               nearest=min(max(value, 1), most))  # fmt: skip
    paths = [path for file in files for path in read_paths(file)]
    facts: list[dict[str, Any]] = []
    for path in paths:
        positions_F2 = trajectory.positions(path, count, (width, height))
        outside = sum(not (0 <= x <= 1 and 0 <= y <= 1) for x, y in path.points)
        steps_F = ((positions_F2[1:] - positions_F2[:-1]) ** 2).sum(1) ** 0.5
        facts.append({
            "object": path.object, "points": len(path.points), "outside": outside,
            "length_px": round(float(steps_F.sum()), 1),
            "fastest_px": round(float(steps_F.max()) if len(steps_F) else 0.0, 2),
            "rests": [list(run) for run in rests(path, count, (width, height))],
            "positions": [[round(float(x), 3), round(float(y), 3)] for x, y in positions_F2],
        })  # fmt: skip
    names = ", ".join(Path(file).name for file in files)
    points = ", ".join(f"{each['points']} points" for each in facts) if len(facts) <= 3 else f"{len(facts)} paths"
    caption = f"{names}: {points} -> {count} frames, {width}x{height}"
    drawn = sheet(paths, count, (width, height), caption)
    with whole(target) as beside:
        write_picture(drawn, beside)
    made = {"path": str(target), "width": width, "height": height, "frames": count, "paths": facts}
    answer(made, as_json, _text(made))
    for number, each in enumerate(facts, start=1):
        if each["outside"] and not as_json:
            note(
                f"Path {number} leaves the frame ({each['outside']} of {each['points']} points lie outside): "
                "there it is clipped to the frame's edge."
            )


def _text(made: dict[str, Any]) -> str:
    lines = [f"{made['path']}  ({made['frames']} frames, {made['width']}x{made['height']})"]
    for number, each in enumerate(made["paths"], start=1):
        named = f" ({each['object']})" if each["object"] else ""
        rest = "".join(f", rests in frames {first} to {last}" for first, last in each["rests"])
        speed = f"{each['length_px']:g} px, at most {each['fastest_px']:g} px a frame"
        lines.append(f"Path {number}{named}: {each['points']} points, {speed}{rest}")
    return "\n".join(lines)
