"""Masks of an edit, frame by frame at the clip's own size; memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from ..conditions import inputs, outpaint
from ..conditions import mask as masks_drawn
from ..conditions.image import cover
from ..conditions.mask_shape import reshape
from ..core.conditions import Mask, Source
from ..core.plan import Plan
from ..segmentation import beyond, find, track
from ..segmentation.start import Start
from .sightings import Sightings

MOST_BOXES = 4
"""Number of boxes that are examined."""


def masks(
    mask: Mask | None, source: Source, num_frames: int, width: int, height: int, seen: Sightings | None = None
) -> Iterator[np.ndarray]:
    """Yield the mask of each frame: (height, width) float32 in [0, 1], 1 = generate, at the size of the output.

    Without a mask, the outpainted area is generated, or else everything. seen: records where an object that is tracked
    is out of sight or unsure. Raises RequestError and MediaError as
    `mask.draw`, and WeightsMissing if an object is named and no detector is available.
    """
    new = None
    if any(source.grow):
        given = inputs.info(source.video)
        new = outpaint.new_area(given.height, given.width, source.grow).astype(np.float32)
        if new.shape != (height, width):
            new = cv2.resize(new, (width, height), interpolation=cv2.INTER_NEAREST)
        if mask is None:
            mask = Mask(nothing=True)
    for drawn in _drawn(mask or Mask(everything=True), source, num_frames, width, height, seen or Sightings()):
        yield drawn if new is None else np.maximum(drawn, new)


def _drawn(
    mask: Mask, source: Source, num_frames: int, width: int, height: int, seen: Sightings
) -> Iterator[np.ndarray]:
    if mask.follows:
        for found in _tracked(mask, source, width, height, seen):
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
    inputs.check_mask_length(given, num_frames)


def start_of(mask: Mask, height: int, width: int) -> Start:
    """The start of tracking for a mask condition with `click`, `object` or `follow`, on frames of this size."""
    if mask.click is not None:
        return Start(click=mask.click)
    if mask.object:
        return Start(words=mask.object)
    if len(mask.boxes) == 1:
        return Start(box=mask.boxes[0])
    plain = mask.model_copy(update={"follow": False, "shape": "original"})
    return Start(mask_HW=masks_drawn.draw(plain, 1, height, width)[0, 0, 0].numpy(), boxes=mask.boxes)


def with_tracker(plan: Plan) -> Plan:
    """The plan of an in-place edit with its tracker resolved, so that a rerun uses the same one, and with a note if
    OpenCV's segmentation of the first frame is doubtful. Raises WeightsMissing if the tracker's weights are missing,
    and MediaError if the clip cannot be read."""
    source = next((each for each in plan.conditions if isinstance(each, Source)), None)
    mask = next((each for each in plan.conditions if isinstance(each, Mask) and each.follows), None)
    if source is None or mask is None:
        return plan
    if mask.object:
        find.finder()
    tracker = track.choose(mask.tracker)
    notes = plan.notes
    if tracker == "opencv" and not mask.object:
        width, height = plan.size
        doubt = track.doubt_of(next(_frames(source, width, height)), start_of(mask, height, width))
        notes = (*notes, doubt) if doubt else notes
    resolved = mask.model_copy(update={"tracker": tracker})
    conditions = tuple(resolved if each is mask else each for each in plan.conditions)
    return plan.model_copy(update={"conditions": conditions, "notes": notes})


def box_notes(plan: Plan) -> list[str]:
    """Return notes on the boxes of an in-place edit that cover only a part of an object in the first frame. Raises
    MediaError if the clip cannot be read."""
    source = next((each for each in plan.conditions if isinstance(each, Source)), None)
    mask = next((each for each in plan.conditions if isinstance(each, Mask)), None)
    if source is None or mask is None or not mask.boxes:
        return []
    width, height = plan.size
    frame_HWC = next(_frames(source, width, height))
    return [
        f"The object in the box {', '.join(f'{part:.3g}' for part in box)} (fractions of the frame: left, top, right, "
        "bottom) seems to continue outside it, so only a part of it is masked. Draw the box around the whole object."
        for box in mask.boxes[:MOST_BOXES]
        if beyond.continues(frame_HWC, box)
    ]


def _frames(source: Source, width: int, height: int) -> Iterator[np.ndarray]:
    from ..media.read import read_chunks

    with inputs.as_file(source.video) as path:
        for chunk in read_chunks(path, chunk_frames=1, audio=False):
            yield cover(outpaint.grown(chunk.frames[0], source.grow), height, width)


def _tracked(mask: Mask, source: Source, width: int, height: int, seen: Sightings) -> Iterator[np.ndarray]:
    frames, start = _frames(source, width, height), start_of(mask, height, width)
    for index, mask_HW in enumerate(track.follow(frames, start, by=mask.tracker, on_unsure=seen.add_unsure)):
        if not (mask_HW > 0.5).any():
            seen.add_lost(index)
        yield mask_HW
