"""`kinema upscale`: a clip made larger, by a model that draws detail anew or by resampling pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.errors import RequestError
from ..core.events import Event, OnEvent, Progress
from . import output
from .arguments import option
from .how import How, run, said, target_of, verb
from .say import answer, note

if TYPE_CHECKING:
    from ..core.chunk import Chunk
    from ..engine.timed import Work
    from ..media.read import VideoInfo

ENDING = "large"
MOST = 16
By = Literal["auto", "model", "lanczos", "bicubic", "nearest", "second-pass"]
START_S, PIXEL_S = 0.1, 8e-8
"""Seconds of resampling: before the first frame, and for a pixel of the result, until the first clip has told."""


@verb(How)
def upscale(
    how: How,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The clip.", show_default=False)],
    by: Annotated[
        By,
        typer.Option("--by", metavar="auto|model|lanczos|bicubic|nearest", help="A model that draws detail anew, or a "
                     "way to resample. Default: auto, the model where it was made for this clip and sees it whole."),
    ] = "auto",
    scale: Annotated[float, option("--scale", metavar="K", help="How many times as wide and high. Default: 2.")] = 2.0,
    strength: Annotated[
        float | None, option("--strength", metavar="S", help="How far back to noise, 0.05 to 1. Default: 0.7.")
    ] = None,
    prompt: Annotated[
        str | None, option("--prompt", metavar="TEXT", help="What is to be seen. Default: the clip's own prompt.")
    ] = None,
) -> None:  # fmt: skip
    """Make a clip larger: by a model (back to noise, then denoised with the same prompt), or by resampling."""
    from ..conditions import inputs
    from ..core.renamed import renamed
    from ..engine.upscale import default_method
    from ..engine.upscale import upscale as request_for

    if not 1 <= scale <= MOST:
        raise RequestError(f"A clip cannot be made {scale:g} times as large.", field="scale", value=scale,
                           legal=f"1 to {MOST}", nearest=1 if scale < 1 else MOST)  # fmt: skip
    scale = int(scale) if scale == int(scale) else scale
    inputs.info(video)
    if by == "second-pass":
        renamed("--by second-pass", "--by model")
        by = "model"
    given = {"strength": strength, "prompt": prompt, **said(how), "preview": how.preview, "keep_state": how.keep_state,
             "keep_every": how.keep_every, "resume": how.resume}  # fmt: skip
    asked = [name for name, value in given.items() if value not in (None, {})]
    if by == "auto" and (asked or how.request_only):
        by = "model"
    elif by == "auto":
        by, why = default_method(video, scale)
        if by == "lanczos" and not how.as_json:
            note(f"Plain resampling: {why}. --by model draws detail anew.")
    if by == "model":
        run(how, video, request_for(video, prompt, scale=scale, strength=strength, **said(how)), ending=ENDING)
        return
    if asked:
        raise RequestError(
            f"Plain resampling takes no {asked[0]}.", field=asked[0], value=str(given[asked[0]]),
            legal="--by model, or leave it out",
        )  # fmt: skip
    _resample(how, video, scale, by)


def _telling(chunks: Iterator[Chunk], total: int, on_event: OnEvent) -> Iterator[Chunk]:
    """The chunks; each is told once the encoder has taken it."""
    started, done = time.perf_counter(), 0
    on_event(Event("upscale"))
    for chunk in chunks:
        done += len(chunk.frames)
        yield chunk
        on_event(Progress("upscale", min(done, total), total, time.perf_counter() - started))


def to_come(info: VideoInfo, scale: float, method: str) -> Work:
    """The work of resampling, by the pixels of the result."""
    from ..engine.timed import Work

    pixels = info.num_frames * info.width * info.height * scale**2
    return Work(f"upscale {method}", (("upscale", 1.0),), START_S, 0.15 + PIXEL_S * pixels, pixels)


def _resample(how: How, video: str, scale: float, method: str) -> None:
    from ..conditions import inputs
    from ..engine.timed import timed
    from ..engine.upscale import resampled
    from ..media.manifest import carried, prompt_of
    from ..media.read import read_chunks
    from ..media.write import write
    from . import work
    from .progress import reporter

    info = inputs.info(video)
    target = target_of(how, video, ENDING)
    output.check_clip(target, info.fps)
    if how.sheet is not None:
        output.check_sheet(how.sheet)
    remarks = inputs.remarks(info)
    for each in remarks if not how.as_json else ():
        note(each)
    picked: list[Any] = []
    started = time.perf_counter()
    coming = to_come(info, scale, method)
    with reporter(how.as_json) as shown, inputs.as_file(video) as path, timed(coming, shown) as on_event:
        chunks = _telling(resampled(read_chunks(path), scale, method), info.num_frames, on_event)
        if how.sheet is not None:
            chunks = work.pick(chunks, info.num_frames, work.SHEET_FRAMES, picked)
        manifest = {**carried(path), "upscaled": {"clip": Path(video).name, "by": method, "scale": scale}}
        written = write(chunks, target, quality="best", manifest=manifest, on_frame=on_event)
        size = round(info.width * scale), round(info.height * scale)
        work.remember(
            on_event, written, "upscaled", prompt=prompt_of(manifest), size=size, frames=info.num_frames, fps=info.fps
        )
    if how.sheet is not None:
        work.save_sheet(picked, how.sheet)
    found = {
        "path": str(written), "sheet": str(how.sheet) if how.sheet else None, "preview": None,
        "bytes": output.size_of(written), "width": round(info.width * scale), "height": round(info.height * scale),
        "frames": info.num_frames, "fps": info.fps, "seconds": round(time.perf_counter() - started, 3),
        "device": "cpu", "notes": remarks,
    }  # fmt: skip
    answer(found, how.as_json, work.words(found))
