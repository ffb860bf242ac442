"""`kinema mask`: a mask clip of an object that a click, a box or a name selects."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.events import OnEvent, Progress
from . import output, where
from .exits import LOST, guarded
from .options import OUTPUT, AsJson, Device, option
from .piping import writes
from .progress import reporter
from .say import answer, note

if TYPE_CHECKING:
    from ..core.chunk import Chunk
    from ..core.conditions import MaskShape, Tracker
    from ..media.read import VideoInfo

MAX_RUNS = 5
CLIPS, PICTURES = (".mp4", ".webm"), (".png", ".jpg", ".jpeg")


@guarded
@writes(".mp4", (".mp4", ".webm"))
def mask(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A clip, an image or a folder of images.")],
    click: Annotated[
        str | None,
        option(
            "--click",
            metavar="x,y",
            help="A point on the object in the first frame: pixels, or fractions of the frame if no number is above 1.",
        ),
    ] = None,
    box: Annotated[
        str | None,
        option("--box", metavar="x,y,w,h", help="A box around the object: upper left corner, width, height."),
    ] = None,
    object_: Annotated[
        str | None,
        option("--object", metavar="WORDS", help='Its name, as "the cat"; requires the weights of Grounding DINO.'),
    ] = None,
    output_: Annotated[
        str | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            panel=OUTPUT,
            help="The mask, white = the object: a .mp4 or .webm file, or a folder/ of PNGs. Default: VIDEO-mask.mp4.",
        ),
    ] = None,
    preview: Annotated[
        str | None,
        option("--preview", metavar="FILE", panel=OUTPUT, help="Also write the video with the mask as an overlay."),
    ] = None,
    shape: Annotated[
        Literal["original", "original_expand", "hull", "hull_expand", "bbox", "bbox_expand"],
        typer.Option(
            "--shape",
            metavar="SHAPE",
            help="original, hull or bbox, each also with _expand. A bbox hides the outline of what is removed.",
        ),
    ] = "original",
    ratio: Annotated[
        float, typer.Option("--ratio", metavar="R", help="How much _expand grows the mask, 0 to 1 of its size.")
    ] = 0.3,
    tracker: Annotated[
        Literal["auto", "opencv", "sam2"],
        typer.Option("--tracker", metavar="auto|opencv|sam2", help="auto: SAM 2 if its weights are on this machine."),
    ] = "auto",
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Exit with 0 even if the object was lost and not found again.",
                     rich_help_panel=OUTPUT),
    ] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Track an object through a video and write its mask, with the size, frame rate and length of the video.

    Frames without the object have an empty mask and are listed. If the object was lost and not found again, the exit
    code is 3.
    """
    target = output_ or str(output.unused(Path(f"{output.stem(video, 'video')}-mask.mp4")))
    if not 0 <= ratio <= 1:
        nearest = 0.0 if ratio < 0 else 1.0
        raise RequestError(f"ratio = {ratio:g}.", field="ratio", value=ratio, legal="0 to 1", nearest=nearest)
    given = {"click": click, "box": box, "object": object_}
    if sum(value is not None for value in given.values()) != 1:
        legal = "exactly one of --click, --box and --object"
        raise RequestError("Exactly one object is required.", field="click", legal=legal)
    from ..conditions import inputs

    with inputs.as_file(video) as path:
        info = inputs.info(str(path))
        _check_names(target, preview, path, info)
        start = _start(click, box, object_, info)
        began_s = time.perf_counter()
        with reporter(as_json) as on_event:
            seen = _write(path, info, start, target, (shape, ratio), tracker, device, on_event)
            if preview is not None:
                _write_preview(path, target, preview)
    made = {
        "path": target, "preview": preview, "width": info.width, "height": info.height, "frames": info.num_frames,
        "fps": info.fps, "start": start, "seen_frames": seen["frames"], "lost": seen["lost"],
        "doubt": " ".join(seen["doubts"]), "found_again": not _is_lost(seen["lost"], info),
        "share": round(seen["share"], 5), "shape": shape,
        "seconds": round(time.perf_counter() - began_s, 3),
    }  # fmt: skip
    answer(made, as_json, _text(made))
    for line in (*seen["doubts"], *_lost_lines(made)) if not as_json else ():
        note(line)
    if not made["found_again"] and not anyway:
        raise typer.Exit(LOST)


def _start(click: str | None, box: str | None, object_: str | None, info: VideoInfo) -> dict[str, Any]:
    """Return where the object is in the first frame, in fractions. Raises RequestError for a place off the frame."""
    if click is not None:
        return {"click": where.parse_click(click, info.width, info.height)}
    if box is not None:
        return {"box": where.parse_box(box, info.width, info.height)}
    if not (object_ or "").strip():
        raise RequestError("--object is empty.", field="object", legal='a name, as "the cat"')
    return {"words": (object_ or "").strip()}


def _write(
    path: Path,
    info: VideoInfo,
    start: dict[str, Any],
    target: str,
    shape: tuple[MaskShape, float],
    by: Tracker,
    device: str | None,
    on_event: OnEvent,
) -> dict[str, Any]:
    """Track the object and write the mask. Returns the number of frames with the object, its mean share of the frame,
    the runs of frames [first, last] without it, and warnings about the mask of the first frame."""
    import numpy as np

    from ..conditions.mask_shape import reshape
    from ..core.chunk import Chunk
    from ..media.write import write
    from ..segmentation.track import Start, follow

    seen: dict[str, Any] = {"frames": 0, "share": 0.0, "lost": [], "doubts": []}
    masks = follow(_frames(path), Start(**start), by=by, device=device, on_doubt=seen["doubts"].append)

    def chunks() -> Iterator[Chunk]:
        began_s = time.perf_counter()
        for index, found_HW in enumerate(masks):
            mask_HW = reshape(found_HW[None], *shape)[0]
            if (mask_HW > 0.5).any():
                seen["frames"] += 1
            elif seen["lost"] and seen["lost"][-1][1] == index - 1:
                seen["lost"][-1][1] = index
            else:
                seen["lost"].append([index, index])
            seen["share"] += float(mask_HW.mean()) / info.num_frames
            gray_HW = np.rint(255 * mask_HW).astype(np.uint8)
            on_event(Progress("follow", index + 1, info.num_frames, time.perf_counter() - began_s))
            yield Chunk(np.repeat(gray_HW[None, :, :, None], 3, -1), index, info.fps)

    write(chunks(), target, quality="best")
    return seen


def _frames(path: Path) -> Iterator[Any]:
    from ..media.read import read_chunks

    for chunk in read_chunks(path, chunk_frames=1, audio=False):
        yield chunk.frames[0]


def _write_preview(path: Path, mask_path: str, target: str) -> None:
    """Write the video with its mask tinted and outlined over it."""
    from ..conditions.preview import tinted
    from ..core.chunk import Chunk
    from ..media.read import read_chunks
    from ..media.write import write

    def chunks() -> Iterator[Chunk]:
        both = read_chunks(path, chunk_frames=4, audio=False), read_chunks(mask_path, chunk_frames=4, audio=False)
        for frames, masks in zip(*both):
            shown_FHWC = tinted(frames.frames, masks.frames[..., 0].astype("float32") / 255)
            yield Chunk(shown_FHWC, frames.start, frames.fps)

    write(chunks(), target)


def _check_names(target: str, preview: str | None, source: Path, info: VideoInfo) -> None:
    """Raise RequestError for outputs that cannot be written, and for those that are the video or each other."""
    for field, name in (("output", target), ("preview", preview)):
        if name is None:
            continue
        output.check_clip(name, info.fps)
        suffix = "" if name.endswith("/") else Path(name).suffix.lower()
        if suffix in PICTURES and info.num_frames > 1:
            raise RequestError(
                f"{name}: an image holds one frame, the video has {info.num_frames}.",
                field=field,
                value=name,
                legal=".mp4, .webm, or a folder/ of PNGs",
                nearest=Path(name).with_suffix(".mp4").name,
            )
        if field == "output" and suffix not in ("", *CLIPS, *PICTURES):
            raise RequestError(
                f"{name}: a mask keeps all its shades in a clip or in PNGs.",
                field=field,
                value=name,
                legal=".mp4, .webm, or a folder/ of PNGs",
                nearest=Path(name).with_suffix(".mp4").name,
            )
    need = "The mask, its preview and the video need three names."
    keep_apart({"output": target, "preview": preview}, [source], need)


def _is_lost(lost: list[list[int]], info: VideoInfo) -> bool:
    """Whether the object is out of sight in the last frame."""
    return bool(lost) and lost[-1][1] >= info.num_frames - 1


def _lost_lines(made: dict[str, Any]) -> list[str]:
    """Return a line for each of the first runs of frames without the object."""
    lines = []
    for first, last in made["lost"][:MAX_RUNS]:
        again = f"found again on frame {last + 1}" if last < made["frames"] - 1 else "not found again"
        lines.append(f"Out of sight from frame {first} to {last} ({first / made['fps']:.1f} s), {again}.")
    if (more := len(made["lost"]) - MAX_RUNS) > 0:
        lines.append(f"And {more} more times; --json lists them all.")
    if not made["found_again"] and made["seen_frames"]:
        frame = made["lost"][-1][0]
        lines.append(
            f"Start from a box where it is visible, or cut the clip at frame {frame}; --anyway accepts this mask."
        )
    return lines


def _text(made: dict[str, Any]) -> str:
    size = f"{made['width']}x{made['height']}, {made['frames']} frames"
    seen = f"seen on {made['seen_frames']}, {100 * made['share']:.1f} % of the frame"
    lines = [f"{made['path']}  ({size}; {seen}) in {made['seconds']:.1f} s"]
    if made["preview"]:
        lines.append(made["preview"])
    if made["seen_frames"] == 0:
        lines.append("The object was not found: try a box around it.")
    return "\n".join(lines)
