"""`kinema upscale`: a clip upscaled by a model, or by resampling its pixels.

Resampling is no Request: see docs/upscale.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.events import Event, OnEvent, Progress
from . import output
from .clip_work import record, result_text
from .exits import guarded
from .options import SingleClipOptions, option, takes
from .piping import writes
from .request import settings, typed_fields
from .say import answer, note
from .submission import refuse_local
from .work import check_outputs, make_clip

if TYPE_CHECKING:
    from ..core.chunk import Chunk
    from ..engine.timed import Work
    from ..media.read import VideoInfo

ENDING = "large"
MAX_SCALE = 16
By = Literal["auto", "model", "lanczos", "bicubic", "nearest", "second-pass"]
START_S, PIXEL_S = 0.1, 8e-8
"""Seconds of resampling before the first frame, and per pixel of the result, until a clip has been measured."""


@guarded
@writes()
@takes(SingleClipOptions)
def upscale(
    options: SingleClipOptions,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The clip.", show_default=False)],
    by: Annotated[
        By,
        typer.Option("--by", metavar="auto|model|lanczos|bicubic|nearest", help="A model, which adds detail, or a "
                     "resampling method. Default: auto, the model if it was trained for this clip and fits it whole."),
    ] = "auto",
    scale: Annotated[float, option("--scale", metavar="K", help="Factor of width and height. Default: 2.")] = 2.0,
    strength: Annotated[
        float | None, option("--strength", metavar="S", help="How much noise a model adds, 0.05 to 1. Default: 0.7.")
    ] = None,
    prompt: Annotated[
        str | None, option("--prompt", metavar="TEXT", help="Prompt for the model. Default: the clip's own.")
    ] = None,
) -> None:  # fmt: skip
    """Upscale a clip, by a model (noise is added, then denoised with the same prompt) or by resampling."""
    from ..conditions import inputs
    from ..core.renamed import renamed
    from ..engine.upscale import default_method
    from ..engine.upscale import upscale as request_for

    if not 1 <= scale <= MAX_SCALE:
        raise RequestError(f"A clip cannot be upscaled {scale:g} times.", field="scale", value=scale,
                           legal=f"1 to {MAX_SCALE}", nearest=1 if scale < 1 else MAX_SCALE)  # fmt: skip
    scale = int(scale) if scale == int(scale) else scale
    inputs.info(video)
    if by == "second-pass":
        renamed("--by second-pass", "--by model")
        by = "model"
    typed = {"strength": strength, "prompt": prompt, **typed_fields(options), **settings(options.set_)}
    of_model = {**typed, "preview": options.preview, "keep_state": options.keep_state,
                "keep_every": options.keep_every, "resume": options.resume}  # fmt: skip
    asked = [name for name, value in of_model.items() if value not in (None, {})]
    if by == "auto" and (asked or options.request_only):
        by = "model"
    elif by == "auto":
        by, why = default_method(video, scale)
        if by == "lanczos" and not options.as_json:
            note(f"Upscaled by lanczos: {why}. --by model adds detail.")
    if by == "model":
        request = request_for(video, scale=scale, **typed)
        make_clip(options, request, lambda _: output.name_after(video, ENDING), [video])
        return
    if asked:
        raise RequestError(
            f"Resampling takes no {asked[0]}.", field=asked[0], value=str(of_model[asked[0]]),
            legal="--by model, or leave it out",
        )  # fmt: skip
    _resample(options, video, scale, by)


def _reporting(chunks: Iterator[Chunk], total: int, on_event: OnEvent) -> Iterator[Chunk]:
    """Yield the chunks, and report the progress after the encoder has taken each."""
    started, done = time.perf_counter(), 0
    on_event(Event("upscale"))
    for chunk in chunks:
        done += len(chunk.frames)
        yield chunk
        on_event(Progress("upscale", min(done, total), total, time.perf_counter() - started))


def expected_work(info: VideoInfo, scale: float, method: str) -> Work:
    """Return the expected work of resampling, from the number of pixels of the result."""
    from ..engine.timed import Work

    pixels = info.num_frames * info.width * info.height * scale**2
    return Work(f"upscale {method}", (("upscale", 1.0),), START_S, 0.15 + PIXEL_S * pixels, pixels)


def _resample(options: SingleClipOptions, video: str, scale: float, method: str) -> None:
    from ..conditions import inputs
    from ..engine.timed import timed
    from ..engine.upscale import resampled
    from ..media.manifest import carried, prompt_of
    from ..media.read import read_chunks
    from ..media.write import write
    from .progress import reporter
    from .sheet import SHEET_FRAMES, pick, save_sheet

    refuse_local("Resampling")
    check_outputs(options)
    info = inputs.info(video)
    target = options.output_ or str(output.name_after(video, ENDING))
    output.check_clip(target, info.fps)
    keep_apart({"output": target, "sheet": options.sheet}, [video])
    remarks = inputs.remarks(info)
    for each in remarks if not options.as_json else ():
        note(each)
    picked: list[Any] = []
    started = time.perf_counter()
    coming = expected_work(info, scale, method)
    with reporter(options.as_json) as shown, inputs.as_file(video) as path, timed(coming, shown) as on_event:
        chunks = _reporting(resampled(read_chunks(path), scale, method), info.num_frames, on_event)
        if options.sheet is not None:
            chunks = pick(chunks, info.num_frames, SHEET_FRAMES, picked)
        manifest = {**carried(path), "upscaled": {"clip": Path(video).name, "by": method, "scale": scale}}
        written = write(chunks, target, quality="best", manifest=manifest, on_frame=on_event)
        size = round(info.width * scale), round(info.height * scale)
        record(
            on_event, written, "upscaled", prompt=prompt_of(manifest), size=size, frames=info.num_frames, fps=info.fps
        )
    if options.sheet is not None:
        save_sheet(picked, options.sheet)
    found = {
        "path": str(written), "sheet": str(options.sheet) if options.sheet else None, "preview": None,
        "bytes": output.size_of(written), "width": round(info.width * scale), "height": round(info.height * scale),
        "frames": info.num_frames, "fps": info.fps, "seconds": round(time.perf_counter() - started, 3),
        "device": "cpu", "notes": remarks,
    }  # fmt: skip
    answer(found, options.as_json, result_text(found))
