"""`kinema evaluate CLIP`: metrics of one clip, judged against its own manifest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ..core.errors import MediaError
from ..core.outside import exists
from . import evaluate_set
from .exits import guarded
from .options import AsJson, Device, option
from .say import answer

NAME = "clip"


class ClipByDefault(TyperGroup):
    """A group of commands whose commands `clip` and `set` may be left out: `kinema evaluate ball.mp4 ...`.

    A first word that is no command is a clip or a folder if it exists or looks like the name of one; other words are
    refused as unknown commands.
    """

    def with_command(self, args: list[str]) -> list[str]:
        """Return the arguments with the command that is left out."""
        first = args[0] if args else ""
        is_option = first.startswith("-") and first not in ("--help", "-h")
        is_clip = is_option or "." in first or "/" in first or (bool(first) and exists(first))
        if not is_clip or first in self.commands:
            return args
        return [evaluate_set.NAME if evaluate_set.is_set(args) else NAME, *args]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.with_command(args))


@guarded
def clip(
    file: Annotated[Path, typer.Argument(metavar="CLIP", help="A clip, or a folder of frames.", show_default=False)],
    metrics: Annotated[
        list[str] | None,
        option("--metrics", metavar="NAME", help="trajectory_error. Several: repeat it, or commas. Default: all."),
    ] = None,
    tracker: Annotated[
        str,
        typer.Option(
            "--tracker",
            metavar="auto|probes|lk|opencv|sam2",
            help="How objects are found. auto: the probes for a clip of a model of Toyland, else lk from the first "
            "point of the path.",
        ),
    ] = "auto",
    trajectory: Annotated[
        list[str] | None,
        option("--trajectory", metavar="PATH", help="Judge by this path instead of the manifest's. Repeatable."),
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure one clip against the request in its manifest. The word `clip` may be left out.

    trajectory_error: the mean distance of each object from its requested path, in percent of the frame's shorter side
    and in pixels.
    """
    if not exists(file):
        raise MediaError(f"{file}: no such file.")
    from ..evaluation import judged_clip
    from ..evaluation import metrics as table

    chosen = table.chosen(metrics or [])
    began_s = time.perf_counter()
    judged = judged_clip.judged(file, trajectory or (), tracker, device)
    found = table.measure(judged, chosen)
    made = {
        "path": str(file), "frames": judged.info.num_frames, "width": judged.info.width, "height": judged.info.height,
        "metrics": found, "seconds": round(time.perf_counter() - began_s, 3),
    }  # fmt: skip
    answer(made, as_json, _text(found))


def _text(found: dict[str, dict[str, Any]]) -> str:
    lines = []
    for name, result in found.items():
        value = "not measured" if result["value"] is None else f"{result['value']:.2f} {result['unit']}"
        how = f" (tracker: {result['tracker']})" if "tracker" in result else ""
        lines.append(f"{name}: {value}{how}")
        for number, each in enumerate(result.get("objects", ()), start=1):
            name_of = f"Path {number}" + (f" ({each['object']})" if each["object"] else "")
            error = "the object was never seen" if each["value"] is None else (
                f"{each['value']:.2f} %, {each['error_px']:.2f} px (L1 {each['l1_px']:.2f} px)"
            )  # fmt: skip
            lines.append(f"  {name_of}: {error}, seen in {each['seen']:.0f} % of the frames")
    return "\n".join(lines)
