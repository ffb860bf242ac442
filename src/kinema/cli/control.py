"""`kinema control`: from a video to the control clip that a model reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.apart import keep_apart
from ..core.errors import MediaError, RequestError
from . import output
from .exits import guarded
from .options import OUTPUT, AsJson, option
from .piping import writes
from .progress import reporter
from .say import answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..core.chunk import Chunk

Kind = Literal["edge", "gray", "scribble", "flow", "layout", "layout_track", "depth", "pose"]
SHEET_COLUMNS = 6


@guarded
@writes()
def control(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A clip, or a folder of images.")],
    kind: Annotated[
        Kind,
        option(
            "--kind",
            "-k",
            metavar="KIND",
            help="edge, gray, scribble, flow, layout or layout_track (both require --mask), depth or pose (both "
            "require weights).",
        ),
    ],
    output_: Annotated[
        str | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            panel=OUTPUT,
            help="A .mp4, .webm, .gif or .webp file, or a folder/ of frames. Default: VIDEO-KIND.mp4.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        option("--mask", metavar="MASK", help="For the layouts: a clip or image, white on the object."),
    ] = None,
    model: Annotated[
        str | None,
        option("--model", "-m", metavar="MODEL", help="For depth and pose: another model, a folder or hub id."),
    ] = None,
    detector: Annotated[
        str | None, option("--detector", metavar="MODEL", help="For pose: another detector, a folder or hub id.")
    ] = None,
    device: Annotated[
        str | None, option("--device", metavar="D", help="For depth and pose: cuda, cuda:1 or cpu.")
    ] = None,
    preview: Annotated[
        str | None,
        option(
            "--preview",
            metavar="FILE",
            panel=OUTPUT,
            help="Also write video and control side by side: a clip, or an image with frames of both.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the edges, motion, depth, ... of a video as a control clip, with its size, frame rate and length."""
    target = output_ or str(output.unused(Path(f"{output.stem(video, 'control')}-{kind}.mp4")))
    _check(target, preview, video, mask, model, detector)
    given = {"model": model, "detector": detector, "device": device}
    options = {name: value for name, value in given.items() if value is not None}
    from ..conditions.control import annotate_clip

    began_s = time.perf_counter()
    with reporter(as_json) as on_event:
        info = annotate_clip(video, kind, target, mask=mask, on_event=on_event, **options)
        if preview is not None:
            _side_by_side(video, target, preview)
    made = {
        "path": target, "kind": kind, "preview": preview, "bytes": output.size_of(Path(target)), "width": info.width,
        "height": info.height, "frames": info.num_frames, "fps": info.fps,
        "seconds": round(time.perf_counter() - began_s, 3),
    }  # fmt: skip
    answer(made, as_json, _text(made))


def _check(target: str, preview: str | None, *sources: str | None) -> None:
    """Raise RequestError or MediaError for outputs that cannot be written, and for those that are inputs."""
    from ..conditions import inputs
    from .preview import check as check_preview

    output.check_clip(target, inputs.info(str(sources[0])).fps)
    if sources[1] is not None:  # opened, and its first frame read
        inputs.clip(sources[1], stop=1)
    if preview is not None:
        check_preview(preview)
        if preview.endswith("/") or not Path(preview).suffix:
            raise RequestError(f"{preview}: a preview is one file.", field="preview", legal=".mp4, .gif, .png, ...")
    keep_apart({"output": target, "preview": preview}, sources, "The clip and its preview need two names.")


def _side_by_side(video: str, control_path: str, target: str) -> None:
    """Write both clips side by side: as rows of an image, or as halves of a clip."""
    from ..conditions import inputs
    from ..media.write import write
    from .preview import PICTURES

    with inputs.as_file(video) as source:
        if Path(target).suffix.lower() in PICTURES:
            _save_picture(source, Path(control_path), Path(target))
        else:
            write(_halves(source, Path(control_path)), target)


def _halves(left: Path, right: Path) -> Iterator[Chunk]:
    import numpy as np

    from ..core.chunk import Chunk
    from ..media.read import read_chunks

    for one, other in zip(read_chunks(left, audio=False), read_chunks(right, audio=False)):
        yield Chunk(np.concatenate([one.frames, other.frames], axis=2), one.start, one.fps)


def _save_picture(above: Path, below: Path, target: Path) -> None:
    import numpy as np

    from ..core.whole import whole
    from ..media.read import probe, read_chunks
    from ..media.sheet import sheet_of_clips
    from ..media.write_picture import write_picture
    from .sheet import pick

    rows = []
    for path in (above, below):
        kept: list[np.ndarray] = []
        for _ in pick(read_chunks(path, audio=False), probe(path).num_frames, SHEET_COLUMNS, kept):
            pass
        rows.append((path.name, np.stack(kept)))
    try:
        with whole(target) as beside:
            write_picture(sheet_of_clips(rows, SHEET_COLUMNS), beside)
    except (OSError, ValueError) as error:
        raise MediaError(f"{target}: the preview cannot be written: {error}.") from error


def _text(made: dict[str, Any]) -> str:
    from .clip_work import readable

    size = f"{made['width']}x{made['height']}, {made['frames']} frames, {made['fps']:g} fps"
    line = f"{made['path']}  ({made['kind']}, {size}, {readable(made['bytes'])}) in {made['seconds']:.1f} s"
    return "\n".join([line, *([made["preview"]] if made["preview"] else [])])
