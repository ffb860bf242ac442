"""Control clips from videos: edges, motion, depth, ... computed frame by frame, as a stream.

    gray          luma                                        edge       Canny, white on black
    scribble      soft dark lines on white                    flow       motion in the colours of Baker's wheel
    layout        the box of a mask, dark on white            depth      near is white (needs weights)
    layout_track  the outline of a mask, black on white       pose       coloured skeletons on black (needs weights)

The conventions are those of VACE's annotators (ali-vilab/VACE, vace/annotators); VACE has no edge kind.
Implementations: `conditions/annotators/`; user documentation: docs/controls.md.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.apart import keep_apart
from ..core.chunk import Chunk
from ..core.closing import closed_after
from ..core.errors import MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.quiet import quietly
from ..weights import local
from . import inputs
from .annotators import depth, flow, gray, lines, objects, pose

if TYPE_CHECKING:
    import numpy as np

    from ..media.read import VideoInfo

Annotator = Callable[["Iterator[np.ndarray]"], "Iterator[np.ndarray]"]
CHUNK_FRAMES = 8


def _plain(draw: Annotator) -> Callable[[], Annotator]:
    return lambda: draw


def _flow(*, scale_px: float | None = None) -> Annotator:
    if scale_px is not None and not scale_px > 0:
        raise RequestError(f"scale_px = {scale_px}.", field="scale_px", value=scale_px, legal="above 0")
    return partial(flow.draw, scale_px=scale_px)


def _masked(draw: Callable[..., Iterator[np.ndarray]]) -> Callable[..., Annotator]:
    def make(*, masks: Iterable[np.ndarray] | None = None) -> Annotator:
        if masks is None:
            raise RequestError(
                "A layout requires a mask of the object.", field="mask", legal="a mask clip, white on the object"
            )
        return partial(draw, masks=masks)

    return make


def _depth(*, model: str = depth.MODEL, device: str | None = None) -> Annotator:
    (folder,) = local.find("depth", model)
    return partial(depth.draw, folder=folder, device=device)


def _pose(
    *,
    model: str = pose.MODEL,
    detector: str = pose.DETECTOR,
    device: str | None = None,
    person_score: float = pose.PERSON_SCORE,
) -> Annotator:
    folder, finder = local.find("pose", model, detector)
    return partial(pose.draw, folder=folder, detector=finder, device=device, person_score=person_score)


TABLE: dict[str, Callable[..., Annotator]] = {
    "gray": _plain(gray.draw),
    "edge": _plain(lines.edge),
    "scribble": _plain(lines.scribble),
    "flow": _flow,
    "layout": _masked(objects.boxes),
    "layout_track": _masked(objects.outlines),
    "depth": _depth,
    "pose": _pose,
}
KINDS = tuple(TABLE)
NEED_MASK = ("layout", "layout_track")


@quietly
def annotate(frames: Iterable[np.ndarray], kind: str, **options: Any) -> Iterator[np.ndarray]:
    """Yield a control frame for each frame, in order: uint8 RGB (H, W, 3), of the same size.

    frames: uint8 RGB (H, W, 3), all of one size. They are read lazily, a few at a time; closing the result closes
    them.

    Options by kind:
        flow                  scale_px: the motion, in px per frame, with full colour (default: set by each frame)
        layout, layout_track  masks: for each frame a (H, W) array, bool or 0..255, or a frame; scaled if necessary
        depth                 model: folder or hub id; device
        pose                  model, detector: folders or hub ids; device; person_score: minimum score of a person

    Raises before a frame is read: RequestError for an unknown kind or option, WeightsMissing, with instructions, if a
    network is not on this machine. While reading: MediaError for frames of another type or size, RequestError if there
    are fewer masks than frames.
    """
    if kind not in TABLE:
        raise RequestError(f"No control {kind!r}.", field="kind", value=kind, legal=", ".join(KINDS))
    try:
        annotator = TABLE[kind](**options)
    except TypeError:
        known = getattr(TABLE[kind], "__kwdefaults__", None) or {}
        wrong = ", ".join(name for name in options if name not in known)
        raise RequestError(
            f"{kind} has no option {wrong}.", field="options", value=wrong, legal=", ".join(known) or "none"
        ) from None
    return _drawn(frames, annotator)


@quietly
def annotate_clip(
    video: str | os.PathLike[str],
    kind: str,
    target: str | os.PathLike[str],
    *,
    mask: str | os.PathLike[str] | None = None,
    quality: str = "best",
    on_event: OnEvent = ignore,
    **options: Any,
) -> VideoInfo:
    """Write the control clip of a video: same size, fps and number of frames, without sound. Returns the video's info.

    video: a path, file: URL or data: URI. target: see media.write; it appears complete or not at all. mask: for
    layouts, a clip with at least as many frames, or one picture for all of them, white on the object. on_event
    receives `Progress("annotate", frames done, total)` and may raise to stop. Options: see `annotate`.

    Inputs are checked before any work: RequestError, MediaError, WeightsMissing.
    """
    from ..media.read import probe, read_chunks
    from ..media.write import write

    with ExitStack() as stack:
        source = stack.enter_context(inputs.as_file(os.fspath(video)))
        info = probe(source)
        _refuse_picture(Path(target), info)
        keep_apart({"output": target}, [video, mask])
        if mask is not None:
            if kind in TABLE and kind not in NEED_MASK:
                raise RequestError(
                    f"{kind} does not take a mask.", field="mask", value=str(mask), legal=", ".join(NEED_MASK)
                )
            options["masks"] = _masks(stack.enter_context(inputs.as_file(os.fspath(mask))), info)
        drawn = annotate(_frames(read_chunks(source, audio=False)), kind, **options)
        write(_chunks(drawn, info, on_event), target, quality=quality)
        return info


@quietly
def _drawn(frames: Iterable[np.ndarray], annotator: Annotator) -> Iterator[np.ndarray]:
    checked = _checked(frames)
    try:
        yield from annotator(checked)
    finally:
        checked.close()


def _checked(frames: Iterable[np.ndarray]) -> Generator[np.ndarray]:
    shape: tuple[int, ...] | None = None
    with closed_after(frames):
        for frame in frames:
            shape = shape or frame.shape
            if frame.dtype.name != "uint8" or frame.shape != shape or len(shape) != 3 or shape[-1] != 3 or 0 in shape:
                raise MediaError(
                    f"Frames must be uint8 RGB (H, W, 3) of one size, got {frame.dtype} {tuple(frame.shape)}"
                    + (f" after {shape}." if frame.shape != shape else ".")
                )
            yield frame


def _frames(chunks: Iterator[Chunk]) -> Iterator[np.ndarray]:
    try:
        for chunk in chunks:
            yield from chunk.frames
    finally:
        chunks.close()  # type: ignore[attr-defined]


def _chunks(drawn: Iterator[np.ndarray], info: VideoInfo, on_event: OnEvent) -> Iterator[Chunk]:
    """Yield the control frames as Chunks and report the progress."""
    import numpy as np

    began_s, done = time.perf_counter(), 0
    try:
        on_event(Progress("annotate", 0, info.num_frames))
        while several := list(itertools.islice(drawn, CHUNK_FRAMES)):
            yield Chunk(np.stack(several), done, info.fps)
            done += len(several)
            on_event(Progress("annotate", done, info.num_frames, time.perf_counter() - began_s))
    finally:
        drawn.close()  # type: ignore[attr-defined]


def _masks(path: Path, info: VideoInfo) -> Iterator[np.ndarray]:
    """The frames of a mask clip, or one picture repeated. Raises RequestError if the clip is too short."""
    from ..media.read import probe, read_chunks

    num_masks = probe(path).num_frames
    if num_masks == 1:
        return itertools.repeat(next(read_chunks(path, audio=False)).frames[0])
    if num_masks < info.num_frames:
        raise RequestError(
            f"The mask clip has {num_masks} frames, but the video has {info.num_frames}.",
            field="mask",
            value=num_masks,
            legal=f"{info.num_frames} frames or more, or one picture",
        )
    return _frames(read_chunks(path, audio=False))


def _refuse_picture(target: Path, info: VideoInfo) -> None:
    if target.suffix.lower() in (".png", ".jpg", ".jpeg") and info.num_frames > 1:
        raise RequestError(
            f"{target.name}: a picture holds one frame, but the clip has {info.num_frames}.",
            field="output",
            value=str(target),
            legal="a clip, or a folder name ending with a slash",
            nearest=target.with_suffix(".mp4").name,
        )
