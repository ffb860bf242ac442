"""`kinema toyland`: clips of the picture-book world with captions."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..core.display import Display
from ..core.errors import MediaError, RequestError
from ..core.events import Progress
from .exits import guarded
from .options import AsJson
from .piping import no_stdout
from .progress import reporter
from .say import answer

if TYPE_CHECKING:
    import numpy as np

app = typer.Typer(no_args_is_help=True, help="Render clips of Toyland, the built-in picture-book world.")


@app.callback()
def _group() -> None:
    """Render clips of Toyland, the built-in picture-book world."""


@app.command("render")
@guarded
def render(
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The folder; it is created.", show_default=False),
    ],
    num: Annotated[int, typer.Option("--num", metavar="N", help="Number of clips.")] = 64,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Width and height in pixels.")] = "256x256",
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Frames per clip.")] = 49,
    fps: Annotated[float, typer.Option("--fps", metavar="F", help="Frame rate.")] = 16.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same clips.")] = 0,
    world: Annotated[
        Literal["full", "small", "mini"],
        typer.Option(
            "--world", metavar="full|small|mini", help="All objects, the simpler ones, or what the miniatures know."
        ),
    ] = "full",
    camera: Annotated[
        str | None,
        typer.Option(
            "--camera",
            metavar="MOVE",
            help="Camera move of every clip, not mentioned in the captions: for training a camera LoRA.",
        ),
    ] = None,
    style: Annotated[str | None, typer.Option("--style", metavar="NAME", help="Style of every clip.")] = None,
    motion: Annotated[
        str | None,
        typer.Option("--motion", metavar="NAME", help="Object motion of every clip; stay: only the camera moves."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Render clips with captions into a folder, for viewing, training and evaluation."""
    from ..core.request import parse_size

    no_stdout(folder, "A folder of clips")
    width, height = parse_size(size)
    for name, value, least in (("num", num, 1), ("frames", frames, 1), ("size", min(width, height), 16)):
        if value < least:
            raise RequestError(f"{name} = {value}.", field=name, value=value, legal=f"{least} or more", nearest=least)
    if not 0 < fps <= 240:
        raise RequestError(f"fps = {fps:g}.", field="fps", value=fps, legal="above 0, up to 240")
    if not folder.parent.is_dir():
        raise RequestError(f"{folder}: the folder {folder.parent} does not exist.", field="output", value=str(folder))
    from ..toyland.scene import CAMERAS, MOTIONS, STYLES

    for name, chosen, words in (("camera", camera, CAMERAS), ("style", style, STYLES), ("motion", motion, MOTIONS)):
        if chosen is not None and chosen not in words:
            raise RequestError(f"{name} = {chosen!r}.", field=name, value=chosen, legal=", ".join(words))
    _draw(folder, num, (height, width), frames, fps, seed, world, camera, style, motion, reporter(as_json))
    answer({"path": str(folder), "num": num}, as_json, f"{folder}  ({num} clips)")


def _draw(
    folder: Path,
    num: int,
    size: tuple[int, int],
    frames: int,
    fps: float,
    seed: int,
    world: str,
    camera: str | None,
    style: str | None,
    motion: str | None,
    shown: Display,
) -> None:
    """Render and write; size is (height, width)."""
    from ..core.chunk import Chunk
    from ..media.write import write
    from ..toyland.caption import describe, describe_without_camera
    from ..toyland.export import export
    from ..toyland.scene import WORLD, WORLD_MINI, WORLD_SMALL

    drawn = {"full": WORLD, "small": WORLD_SMALL, "mini": WORLD_MINI}[world]
    if camera is not None:
        drawn = replace(drawn, cameras=(camera,))
    if style is not None:
        drawn = replace(drawn, styles=(style,))
    if motion is not None:
        drawn = replace(drawn, motions=(motion,))

    def write_clip(frames_FHWC: np.ndarray, fps: float, path: Path) -> None:
        write([Chunk(frames_FHWC, 0, fps)], path)

    started = time.perf_counter()
    with shown as on_event:
        try:
            export(
                folder,
                num,
                write_clip=write_clip,
                seed=seed,
                size=size,
                num_frames=frames,
                fps=fps,
                world=drawn,
                caption=describe if camera is None else describe_without_camera,
                on_progress=lambda done, total: on_event(
                    Progress("render", done, total, time.perf_counter() - started)
                ),
            )
        except OSError as error:
            raise MediaError(f"{folder}: cannot be written to ({error.strerror or error}).") from error
