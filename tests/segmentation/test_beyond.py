"""A box that covers a part of an object is recognised, one around the whole object is not."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.media.masks import box_around
from kinema.segmentation.beyond import continues
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene

HEIGHT, WIDTH, SEEDS = 192, 256, 12
LEAST_PX = 300
WHOLE = {"around it": (0, 0, 1, 1), "with some room": (-0.08, -0.08, 1.08, 1.08)}
PARTS = {"its left half": (0, 0, 0.5, 1), "within it": (0.3, 0.3, 0.7, 0.7)}
"""Boxes by their left, top, right and bottom, in fractions of the object's own box."""


@pytest.fixture(scope="module")
def objects():
    """(frame, bounding box) of whole objects in Toyland's scenes."""
    found = []
    for seed in range(SEEDS):
        drawn = render([sample_scene(seed, WORLD_MINI)], num_frames=1, height=HEIGHT, width=WIDTH)
        for mask_HW in drawn.masks_BNFHW[0, :, 0].numpy():
            box = box_around(mask_HW)
            if box is None or mask_HW.sum() < LEAST_PX:
                continue
            if box[0] > 1 and box[1] > 1 and box[2] < WIDTH - 1 and box[3] < HEIGHT - 1:
                found.append((drawn.frames_BFHWC[0, 0].numpy(), box))
    assert len(found) >= 8
    return found


def share(objects, part):
    """The fraction of the objects that are said to continue outside this part of their box."""
    said = []
    for frame_HWC, (left, top, right, bottom) in objects:
        wide, high = right - left, bottom - top
        box = (left + part[0] * wide, top + part[1] * high, left + part[2] * wide, top + part[3] * high)
        in_frame = (min(max(each / size, 0.0), 1.0) for each, size in zip(box, (WIDTH, HEIGHT) * 2))
        said.append(continues(frame_HWC, tuple(in_frame)))
    return float(np.mean(said))


@pytest.mark.parametrize("name", WHOLE)
def test_a_box_around_an_object_is_not_doubted(objects, name):
    assert share(objects, WHOLE[name]) == 0


@pytest.mark.parametrize("name", PARTS)
def test_a_box_on_a_part_of_an_object_mostly_is(objects, name):
    assert share(objects, PARTS[name]) >= 0.5


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ((0, 0.31, 0.67, 0.83), False),  # the cat
        ((0.25, 0.5, 0.65, 0.8), True),  # its body
        ((0.32, 0.58, 0.47, 0.72), True),  # a patch of its fur
        ((0.6, 0.39, 0.74, 0.72), False),  # the vase behind it
        ((0.62, 0.45, 0.72, 0.6), True),  # the middle of the vase
    ],
)
def test_boxes_on_a_real_cat(real_data, box, part):
    from kinema.media.read import read_chunks

    frame_HWC = next(read_chunks(real_data / "cat.mp4", stop=1, chunk_frames=1, audio=False)).frames[0]
    assert continues(frame_HWC, box) == part


def test_boxes_without_anything_to_extend():
    plain_HWC = np.full((64, 64, 3), 90, np.uint8)
    assert not continues(plain_HWC, (0.25, 0.25, 0.75, 0.75))
    assert not continues(plain_HWC, (0.0, 0.0, 1.0, 1.0)) and not continues(plain_HWC, (0.5, 0.5, 0.52, 0.52))
