"""`kinema track`: the paths of objects in a video, as a file for `--trajectory`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.apart import keep_apart
from ..core.errors import MediaError, RequestError
from ..core.events import OnEvent, Progress
from ..core.whole import write_text
from . import output, where
from .exits import LOST, guarded
from .options import OUTPUT, AsJson, Device, option
from .piping import writes
from .preview import PICTURES
from .progress import reporter
from .say import answer, note

if TYPE_CHECKING:
    from ..media.read import VideoInfo
    from ..segmentation.point_track import PointTrack

MAX_RUNS = 5
MAX_OBJECTS = 64


@guarded
@writes(".json", (".json",))
def track(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A clip, or a folder of images.")],
    point: Annotated[
        list[str] | None,
        option(
            "--point",
            metavar="x,y",
            help="A point on an object in the first frame: pixels, or fractions of the frame if no number is above 1. "
            "Repeatable.",
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        option(
            "--box",
            metavar="x,y,w,h",
            help="A box around an object, whose centre is followed: upper left corner, width, height. Repeatable.",
        ),
    ] = None,
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT, help="A .json file. Default: VIDEO-path.json."),
    ] = None,
    preview: Annotated[
        str | None,
        option("--preview", metavar="FILE", panel=OUTPUT, help="Also write the video with the paths drawn over it: a "
               "clip, or an image with some of its frames."),
    ] = None,
    tracker: Annotated[
        Literal["lk", "opencv", "sam2"],
        typer.Option(
            "--tracker",
            metavar="lk|opencv|sam2",
            help="lk: points by Lucas and Kanade's optical flow. opencv, sam2: the centre of the mask that `kinema "
            "mask` tracks.",
        ),
    ] = "lk",
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Exit with 0 even if an object was lost and not found again.",
                     rich_help_panel=OUTPUT),
    ] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Track objects through a video and write their paths, one per --point and --box.

    Frames in which an object is hidden are listed; its path continues in a straight line to where it is found again. If
    an object was lost and not found again, its path ends there, and the exit code is 3.
    """
    target = output_ or str(output.unused(Path(f"{output.stem(video, 'video')}-path.json")))
    points, boxes = point or [], box or []
    if not 1 <= len(points) + len(boxes) <= MAX_OBJECTS:
        raise RequestError(
            f"{len(points) + len(boxes)} objects to track.", field="point", value=len(points) + len(boxes),
            legal=f"--point or --box, 1 to {MAX_OBJECTS} of them",
        )  # fmt: skip
    from ..conditions import inputs

    with inputs.as_file(video) as path:
        info = inputs.info(str(path))
        _check_names(target, preview, path, info)
        starts: list[dict[str, Any]] = [
            *({"click": where.parse_click(each, info.width, info.height, "point")} for each in points),
            *({"box": where.parse_box(each, info.width, info.height)} for each in boxes),
        ]
        if info.num_frames < 2:
            raise RequestError(
                f"{video}: a path needs two or more frames.", field="video", value=info.num_frames, legal="2 or more"
            )
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        with reporter(as_json) as on_event:
            tracks = _tracks(path, info, starts, tracker, device, on_event)
            paths = [_path(each, info) for each in tracks]
            facts = {"video": Path(video).name if not video.startswith("data:") else "", "frames": info.num_frames,
                     "fps": info.fps, "size": [info.width, info.height], "tracker": tracker}  # fmt: skip
            write_text(Path(target), json.dumps({"tracked": facts, "paths": paths}))
            if preview is not None:
                _write_preview(path, info, tracks, preview)
    made: dict[str, Any] = {
        "path": target, "preview": preview, **facts,
        "objects": [{"start": start, "seen_frames": int(each.seen_F.sum()), "lost": [list(run) for run in each.lost()],
                     "found_again": bool(each.seen_F[-1])} for start, each in zip(starts, tracks)],
        "seconds": round(time.perf_counter() - began_s, 3),
        "cpu_seconds": round(time.process_time() - began_cpu_s, 3),
    }  # fmt: skip
    answer(made, as_json, _text(made))
    for line in _lost_lines(made) if not as_json else ():
        note(line)
    if not all(each["found_again"] for each in made["objects"]) and not anyway:
        raise typer.Exit(LOST)


def _tracks(
    path: Path, info: VideoInfo, starts: list[dict[str, Any]], tracker: Any, device: str | None, on_event: OnEvent
) -> list[PointTrack]:
    """Track each object through the video."""
    if tracker == "lk":
        from ..segmentation.point_track import track_points

        points = [each["click"] for each in starts if "click" in each]
        boxes = [each["box"] for each in starts if "box" in each]
        return track_points(_frames(path, info, on_event), points, boxes)
    from ..segmentation.mask_centre import track_mask
    from ..segmentation.start import Start

    return [track_mask(_frames(path, info, on_event), Start(**each), by=tracker, device=device) for each in starts]


def _frames(path: Path, info: VideoInfo, on_event: OnEvent) -> Iterator[Any]:
    from ..media.read import read_chunks

    began_s = time.perf_counter()
    for chunk in read_chunks(path, chunk_frames=1, audio=False):
        yield chunk.frames[0]
        on_event(Progress("follow", chunk.start + 1, info.num_frames, time.perf_counter() - began_s))


def _path(track: PointTrack, info: VideoInfo) -> dict[str, Any]:
    """The fields of a path in a file: its points in fractions of the frame, without the frames that do not show the
    object, and then with times."""
    import numpy as np

    frames = np.flatnonzero(track.seen_F)
    if len(frames) < 2:
        raise MediaError("An object was lost after the first frame, so it has no path. Try a --box around it.")
    fractions_F2 = ((track.positions_F2 + 0.5) / (info.width, info.height)).clip(0, 1)
    found: dict[str, Any] = {"points": [[round(float(x), 6), round(float(y), 6)] for x, y in fractions_F2[frames]]}
    if len(frames) < len(track.seen_F):
        found["times"] = [float(frame) / (len(track.seen_F) - 1) for frame in frames]
    return found


def _write_preview(path: Path, info: VideoInfo, tracks: list[PointTrack], target: str) -> None:
    import numpy as np

    from ..conditions.path_preview import over
    from ..core.chunk import Chunk
    from ..media.read import read_chunks
    from ..media.write import write

    def chunks() -> Iterator[Chunk]:
        for chunk in read_chunks(path, chunk_frames=1, audio=False):
            at = min(chunk.start, len(tracks[0].seen_F) - 1)
            seen = [bool(each.seen_F[at]) for each in tracks]
            shown = over(chunk.frames[0], [each.positions_F2 for each in tracks], at, seen)
            yield Chunk(shown[None], chunk.start, chunk.fps)

    if Path(target).suffix.lower() not in PICTURES:
        write(chunks(), target)
        return
    from .sheet import SHEET_FRAMES, pick, save_sheet

    kept: list[np.ndarray] = []
    for _ in pick(chunks(), info.num_frames, SHEET_FRAMES, kept):
        pass
    save_sheet(kept, Path(target))


def _check_names(target: str, preview: str | None, source: Path, info: VideoInfo) -> None:
    """Raise RequestError or MediaError for outputs that cannot be written, and for those that are the video or each
    other."""
    output.check_parent(Path(target))
    if Path(target).suffix.lower() != ".json" or target.endswith("/"):
        raise RequestError(
            f"{target}: a path is written as JSON.", field="output", value=target, legal="a .json file",
            nearest=Path(target).with_suffix(".json").name,
        )  # fmt: skip
    if preview is not None:
        if Path(preview).suffix.lower() in PICTURES:
            output.check_sheet(Path(preview))
        else:
            output.check_clip(preview, info.fps)
    keep_apart(
        {"output": target, "preview": preview}, [source], "The path, its preview and the video need three names."
    )


def _lost_lines(made: dict[str, Any]) -> list[str]:
    """Return a line for each of the first runs of frames without an object."""
    lines = []
    for number, found in enumerate(made["objects"], start=1):
        name = f"Object {number}: o" if len(made["objects"]) > 1 else "O"
        for first, last in found["lost"][:MAX_RUNS]:
            again = f"found again on frame {last + 1}" if last < made["frames"] - 1 else "not found again"
            lines.append(f"{name}ut of sight from frame {first} to {last} ({first / made['fps']:.1f} s), {again}.")
        if (more := len(found["lost"]) - MAX_RUNS) > 0:
            lines.append(f"And {more} more times; --json lists them all.")
    if any(not each["found_again"] for each in made["objects"]):
        lines.append("A lost object's path ends where it was last seen; --anyway accepts this.")
    return lines


def _text(made: dict[str, Any]) -> str:
    seen = ", ".join(f"{each['seen_frames']}" for each in made["objects"])
    count = len(made["objects"])
    objects = "one object" if count == 1 else f"{count} objects"
    lines = [f"{made['path']}  ({objects}, seen on {seen} of {made['frames']} frames) in {made['seconds']:.1f} s"]
    if made["preview"]:
        lines.append(made["preview"])
    return "\n".join(lines)
