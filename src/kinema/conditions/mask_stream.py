"""Masks of an edit, frame by frame at the clip's own size: memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.conditions import Mask, Source
from . import inputs, outpaint
from . import mask as masks_drawn
from .image import cover
from .mask_length import check_length
from .mask_shape import reshape


def masks(mask: Mask | None, source: Source, num_frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    """(height, width) float32 in [0, 1] for each frame, 1 = generate. Sizes are those of the frames that come out.

    Without a mask, what a source grows by is generated, or else everything. Raises RequestError and MediaError as
    `mask.draw` does, WeightsMissing where an object is named and nothing here can find it.
    """
    new = None
    if any(source.grow):
        given = inputs.info(source.video)
        new = outpaint.new_area(given.height, given.width, source.grow).astype(np.float32)
        if mask is None:
            mask = Mask(nothing=True)
    for drawn in _drawn(mask or Mask(everything=True), source, num_frames, width, height):
        yield drawn if new is None else np.maximum(drawn, new)


def _drawn(mask: Mask, source: Source, num_frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    if mask.follows:
        for found in _followed(mask, source, width, height):
            yield _shaped(found, mask)
    elif mask.track:
        for frame in range(num_frames):
            box = mask.track[min(frame, len(mask.track) - 1)]
            one = mask.model_copy(update={"track": (), "boxes": (box,)})
            yield masks_drawn.draw(one, 1, height, width)[0, 0, 0].numpy()
    elif mask.video is not None:
        yield from _of_clip(mask, num_frames, width, height)
    else:
        always = masks_drawn.draw(mask, 1, height, width)[0, 0, 0].numpy()
        for _ in range(num_frames):
            yield always


def _shaped(mask_HW: np.ndarray, mask: Mask) -> np.ndarray:
    return reshape(mask_HW[None], mask.shape, mask.ratio)[0]


def _of_clip(mask: Mask, num_frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    from ..media.read import read_chunks

    assert mask.video is not None
    given = 0
    with inputs.as_file(mask.video) as path:
        for chunk in read_chunks(path, stop=num_frames, chunk_frames=1, audio=False):
            gray = masks_drawn.brightness(chunk.frames[0], height, width)
            yield _shaped(gray, mask)
            given += 1
    check_length(given, num_frames)


def doubt_of(mask: Mask, source: Source, width: int, height: int) -> str:
    """A sentence on what is doubtful about the object that a mask follows, as OpenCV cuts it out of the first frame:
    empty where nothing is, or where a network finds it. MediaError where the clip cannot be read."""
    from .track import doubt_of, start_of, who

    if mask.object or who(mask.tracker) == "sam2":
        return ""
    return doubt_of(next(_frames(source, width, height)), start_of(mask, height, width))


def _frames(source: Source, width: int, height: int) -> Iterator[np.ndarray]:
    from ..media.read import read_chunks

    with inputs.as_file(source.video) as path:
        for chunk in read_chunks(path, chunk_frames=1, audio=False):
            yield cover(outpaint.grown(chunk.frames[0], source.grow), height, width)


def _followed(mask: Mask, source: Source, width: int, height: int) -> Iterator[np.ndarray]:
    from .track import follow, start_of

    yield from follow(_frames(source, width, height), start_of(mask, height, width), by=mask.tracker)
