"""`kinema upscale`: a clip upscaled by a model, by a super-resolution network, or by resampling its pixels.

The latter two are no Request: see docs/upscale.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.events import Event, OnEvent, Progress
from ..core.upscale import MAX_SCALE, NETWORK, SCALE
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
By = Literal["auto", "model", "network", "lanczos", "bicubic", "nearest", "second-pass"]
TITLES = {NETWORK: "A network"}
RESAMPLING, COMPACT = (0.1, 8e-8), (2.0, 1e-6)
"""Seconds before the first frame, and per pixel of the result, until a clip has been measured: of resampling, and of
a compact network on two cores."""


@guarded
@writes()
@takes(SingleClipOptions)
def upscale(
    options: SingleClipOptions,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The clip.", show_default=False)],
    by: Annotated[
        By,
        typer.Option("--by", metavar="auto|model|network|lanczos|bicubic|nearest", help="A model, which adds detail, a "
                     "super-resolution network, or a resampling method. Default: auto, the model if it was trained for "
                     "this clip and fits it whole."),
    ] = "auto",
    scale: Annotated[
        float | None,
        option("--scale", metavar="K", help="Factor of width and height. Default: 2, or the network's own."),
    ] = None,
    network: Annotated[
        str | None,
        option("--network", metavar="NAME|FILE", help="A super-resolution network: ESRGAN, compact, SPAN, RealPLKSR "
               "(.pth, .safetensors; requires spandrel). Default: kinema-mini-upscale."),
    ] = None,
    strength: Annotated[
        float | None, option("--strength", metavar="S", help="How much noise a model adds, 0.05 to 1. Default: 0.7.")
    ] = None,
    prompt: Annotated[
        str | None, option("--prompt", metavar="TEXT", help="Prompt for the model. Default: the clip's own.")
    ] = None,
) -> None:  # fmt: skip
    """Upscale a clip, by a model (noise is added, then denoised with the same prompt), a network, or by resampling."""
    from ..conditions import inputs
    from ..core.renamed import renamed
    from ..engine.upscale import default_method
    from ..engine.upscale import upscale as request_for

    if scale is not None and not 1 <= scale <= MAX_SCALE:
        raise RequestError(f"A clip cannot be upscaled {scale:g} times.", field="scale", value=scale,
                           legal=f"1 to {MAX_SCALE}", nearest=1 if scale < 1 else MAX_SCALE)  # fmt: skip
    if scale is not None and scale == int(scale):
        scale = int(scale)
    inputs.info(video)
    if network is not None and by not in ("auto", NETWORK):
        raise RequestError(
            f"--by {by} takes no network.", field="network", value=network, legal="--by network, or leave it out"
        )
    if network is not None:
        by = "network"
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
        scale = scale or SCALE
        by, why = default_method(video, scale)
        if by == "lanczos" and not options.as_json:
            note(f"Upscaled by lanczos: {why}. --by model adds detail.")
    if by == "model":
        request = request_for(video, scale=scale or SCALE, **typed)
        make_clip(options, request, lambda _: output.name_after(video, ENDING), [video])
        return
    if asked:
        raise RequestError(
            f"{TITLES.get(by, 'Resampling')} takes no {asked[0]}.", field=asked[0], value=str(of_model[asked[0]]),
            legal="--by model, or leave it out",
        )  # fmt: skip
    if by == NETWORK:
        _by_network(options, video, scale, network)
    else:
        _resample(options, video, scale or SCALE, by)


def _reporting(chunks: Iterator[Chunk], total: int, on_event: OnEvent) -> Iterator[Chunk]:
    """Yield the chunks, and report the progress after the encoder has taken each."""
    started, done = time.perf_counter(), 0
    on_event(Event("upscale"))
    for chunk in chunks:
        done += len(chunk.frames)
        yield chunk
        on_event(Progress("upscale", min(done, total), total, time.perf_counter() - started))


def expected_work(info: VideoInfo, scale: float, method: str, device: str = "cpu") -> Work:
    """Return the expected work, from the number of pixels of the result."""
    from ..engine.timed import Work

    start_s, pixel_s = COMPACT if method == NETWORK else RESAMPLING
    pixels = info.num_frames * info.width * info.height * scale**2
    return Work(f"upscale {method}", (("upscale", 1.0),), start_s, 0.15 + pixel_s * pixels, pixels, device)


def _resample(options: SingleClipOptions, video: str, scale: float, method: str) -> None:
    from ..engine.upscale import resampled

    refuse_local("Resampling")
    _write(options, video, scale, method, partial(resampled, scale=scale, method=method))


def _by_network(options: SingleClipOptions, video: str, scale: float | None, network: str | None) -> None:
    from ..post.super_resolution.files import MINI_NAME, network_file
    from ..post.super_resolution.upscale import check_scale, upscaled_by
    from ..post.super_resolution.weights import open_network
    from ..weights.store import digests

    file = network_file(network)
    refuse_local(TITLES[NETWORK])
    loaded = open_network(network)
    scale = loaded.scale if scale is None else scale
    check_scale(scale, loaded.scale)
    more = {"network": network or MINI_NAME, "weights": digests(file)}
    _write(
        options, video, scale, NETWORK, partial(upscaled_by, network=loaded, scale=scale, device=options.device), more
    )


def _write(
    options: SingleClipOptions, video: str, scale: float, method: str,
    upscaled: Callable[[Iterator[Chunk]], Iterator[Chunk]], facts: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write the clip upscaled by a method that takes nothing but frames. facts: more for its manifest."""
    from ..conditions import inputs
    from ..engine.estimate import device_name
    from ..engine.timed import timed
    from ..media.manifest import carried, prompt_of
    from ..media.read import read_chunks
    from ..media.write import write
    from .progress import reporter
    from .sheet import SHEET_FRAMES, pick, save_sheet

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
    device = device_name(options.device) if method == NETWORK else "cpu"
    coming = expected_work(info, scale, method, device)
    with reporter(options.as_json) as shown, inputs.as_file(video) as path, timed(coming, shown) as on_event:
        chunks = _reporting(upscaled(read_chunks(path)), info.num_frames, on_event)
        if options.sheet is not None:
            chunks = pick(chunks, info.num_frames, SHEET_FRAMES, picked)
        step = {"clip": Path(video).name, "by": method, "scale": scale, **(facts or {})}
        manifest = {**carried(path), "upscaled": step}
        written = write(chunks, target, quality="best", manifest=manifest, on_frame=on_event)
        size = round(info.width * scale), round(info.height * scale)
        record(
            on_event, written, "upscaled", prompt=prompt_of(manifest), size=size, frames=info.num_frames, fps=info.fps
        )
    if options.sheet is not None:
        save_sheet(picked, options.sheet)
    found = {
        "path": str(written), "sheet": str(options.sheet) if options.sheet else None, "preview": None,
        "bytes": output.size_of(written), "width": size[0], "height": size[1], "frames": info.num_frames,
        "fps": info.fps, "seconds": round(time.perf_counter() - started, 3), "device": device, "notes": remarks,
    }  # fmt: skip
    answer(found, options.as_json, result_text(found))
