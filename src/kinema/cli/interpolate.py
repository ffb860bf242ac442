"""`kinema interpolate`: a clip at a higher frame rate or in slow motion, with interpolated frames."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.apart import keep_apart
from . import output
from .exits import guarded
from .options import OUTPUT, AsJson, Device, Sheet, option
from .piping import writes
from .progress import reporter
from .say import note, say

if TYPE_CHECKING:
    from ..engine.timed import Work
    from ..media.read import VideoInfo
    from ..post import interpolate as work

EXPECTED = {"film": (1.6, 6e-6), "mci": (0.1, 4e-6), "blend": (0.1, 7e-7)}
"""Seconds of the start and per pixel of a new frame, until a clip has been measured on this machine."""


@guarded
@writes()
def interpolate(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video or a folder of frames.", show_default=False)],
    fps: Annotated[float | None, option("--fps", metavar="F", help="Frame rate of the result.")] = None,
    times: Annotated[
        int | None, option("--times", metavar="K", help="Factor of the frame rate. Default: 2; 1 with --slow.")
    ] = None,
    slow: Annotated[
        float, option("--slow", metavar="S", help="Slow motion: factor of the duration, without sound. Default: 1.")
    ] = 1.0,
    by: Annotated[
        str,
        option("--by", metavar="film|mci|blend", help="A network (the default), ffmpeg's motion-compensated filter, or "
               "a blend of both frames."),
    ] = "film",
    model: Annotated[
        str | None,
        option("--model", "-m", metavar="FILE", help="FILM weights: TorchScript or state dict (.pt), or .safetensors. "
               "Default: the small network shipped with Kinema."),
    ] = None,
    device: Device = None,
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT,
               help="A .mp4, .webm, .gif or .webp file, or a folder/ of frames. Default: CLIP-24fps or CLIP-slow2."),
    ] = None,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Interpolate frames: a higher frame rate with the same length and sound, or slow motion."""
    from ..conditions.inputs import range_remarks
    from ..engine.timed import timed
    from ..media.formats import RATES
    from ..media.read import probe
    from ..post import interpolate as work

    plan = work.InterpolationPlan.of(fps, times, slow, by, model)
    if by == "film":
        from ..post.film.files import weights_file

        weights_file(model)
    info = probe(clip)
    _, target = plan.rates(info.fps)
    suffix = Path(clip).suffix.lower()
    holds = suffix in (".mp4", ".webm", ".gif", ".webp") and target <= RATES.get(suffix, target)
    suffix = suffix if holds else ".mp4"
    name = f"{output.stem(clip, 'clip')}-" + (f"slow{slow:g}" if slow > 1 else f"{float(target):.4g}fps")
    path = output_ or str(output.unused(Path(name + suffix)))
    output.check_clip(path, float(target))
    if sheet is not None:
        output.check_sheet(sheet)
    keep_apart({"output": path, "sheet": sheet}, [clip, model])
    remarks = range_remarks(info)
    for each in remarks if not as_json else ():
        note(each)
    started = time.perf_counter()
    with reporter(as_json) as on_event, timed(expected_work(info, plan, by, device), on_event) as listen:
        made = _run(clip, path, sheet, listen, fps=fps, times=times, slow=slow, by=by, model=model, device=device)
    made["seconds"] = round(time.perf_counter() - started, 3)
    made["sound"] = "left out" if slow > 1 and info.has_audio else "kept" if info.has_audio else "none"
    made["notes"] = remarks
    _report(made, as_json)


def expected_work(info: VideoInfo, plan: work.InterpolationPlan, by: str, device: str | None) -> Work:
    """Return the expected work of interpolation, from the number of pixels of the new frames."""
    from ..engine.estimate import device_name
    from ..engine.timed import Work
    from ..post.interpolate import num_frames

    start_s, pixel_s = EXPECTED[by]
    new = max(1, num_frames(info.num_frames, *plan.rates(info.fps)) - info.num_frames)
    pixels = new * info.width * info.height
    place = device_name(device) if by == "film" else "cpu"
    return Work(
        f"interpolate {by}", (("interpolate", 1.0),), start_s, 0.2 + pixel_s * pixels, pixels, place, by == "film"
    )


def _run(clip: str, path: str, sheet: Path | None, on_event: Any, **settings: Any) -> dict[str, Any]:
    from ..media.manifest import carried, prompt_of
    from ..media.read import probe, read_chunks
    from ..media.write import write
    from ..post.interpolate import InterpolationPlan, interpolate, manifest, num_frames
    from .clip_work import record
    from .sheet import SHEET_FRAMES, pick, save_sheet

    info = probe(clip)
    plan = InterpolationPlan.of(settings["fps"], settings["times"], settings["slow"], settings["by"], settings["model"])
    shown, target = plan.rates(info.fps)
    frames = num_frames(info.num_frames, shown, target)
    weights: dict[str, str] = {}
    if settings["by"] == "film":
        from ..post.film.files import weights_file
        from ..weights.store import digests

        weights = digests(weights_file(settings["model"]))
    made_from = manifest(
        carried(clip),
        clip=Path(clip).name,
        fps=info.fps,
        target=float(target),
        slow=settings["slow"],
        by=settings["by"],
        weights=weights,
    )  # fmt: skip
    chunks = interpolate(read_chunks(clip), total=info.num_frames, on_event=on_event, **settings)
    picked: list[Any] = []
    if sheet is not None:
        chunks = pick(chunks, frames, SHEET_FRAMES, picked)
    write(chunks, path, manifest=made_from, on_frame=on_event)
    record(
        on_event, path, "interpolated", prompt=prompt_of(made_from), size=(info.width, info.height), frames=frames,
        fps=float(target),
    )  # fmt: skip
    if sheet is not None:
        save_sheet(picked, sheet)
    return {
        "path": path, "bytes": output.size_of(Path(path)), "frames": frames, "fps": float(target),
        "length_s": round(float(frames / target), 6), "from": {"frames": info.num_frames, "fps": info.fps},
        "by": settings["by"], "model": settings["model"], "weights": weights,
    }  # fmt: skip


def _report(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(made))
        return
    say(
        f"{made['path']}  ({made['frames']} frames, {made['length_s']:.2f} s at {made['fps']:.4g} fps, "
        f"from {made['from']['frames']} at {made['from']['fps']:.4g}) in {made['seconds']:.1f} s"
    )
    if made["sound"] == "left out":
        say("The sound is left out: it does not fit slow motion.")
