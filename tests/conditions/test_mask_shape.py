"""Coarser masks, polygon masks, and the alignment of masks with their source."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from kinema.conditions import image, mask
from kinema.conditions.mask_shape import reshape
from kinema.core.conditions import Mask
from kinema.core.errors import RequestError
from kinema.media.masks import box_around


def l_shape() -> np.ndarray:
    """Two frames: an L of 20 x 20 with arms 6 wide, and nothing."""
    mask_FHW = np.zeros((2, 60, 80), np.float32)
    mask_FHW[0, 20:40, 30:36] = 1
    mask_FHW[0, 34:40, 30:50] = 1
    return mask_FHW


def test_original_keeps_soft_values():
    soft_FHW = np.full((1, 4, 4), 0.3, np.float32)
    assert np.array_equal(reshape(soft_FHW, "original"), soft_FHW)


def test_box_and_hull_hold_the_mask_and_empty_frames_stay_empty():
    given = l_shape()
    shapes = {name: reshape(given, name, 0.2) for name in ("original_expand", "hull", "hull_expand", "bbox")}
    for name, found in shapes.items():
        assert found.dtype == np.float32 and set(np.unique(found)) <= {0.0, 1.0}
        assert (found[0] >= given[0]).all(), name
        assert not found[1].any(), name
    assert box_around(shapes["bbox"][0]) == (30, 20, 50, 40)
    assert shapes["bbox"][0].sum() == 400
    assert given.sum() < shapes["hull"].sum() < shapes["bbox"].sum()
    assert shapes["hull"][0, 25, 45] == 0, "the corner opposite to the L's is outside its hull"


def test_how_much_expand_grows():
    given = l_shape()
    assert box_around(reshape(given, "bbox_expand", 0.25)[0]) == (25, 15, 55, 45), "a quarter of 20 on each side"
    assert box_around(reshape(given, "bbox_expand", 1.0)[0]) == (10, 0, 70, 60), "up to the frame's edge"
    for name in ("hull_expand", "original_expand"):
        left, top, right, bottom = box_around(reshape(given, name, 0.5)[0])
        assert (right - left, bottom - top) == (30, 30), "half as much again, half of that on each side"
        assert (
            np.array_equal(reshape(given, name, 0.0), reshape(given, name.removesuffix("_expand"))[:]) or "or" in name
        )
    soft = 0.6 * given
    assert np.array_equal(reshape(soft, "bbox"), reshape(given, "bbox"))


def test_bad_shapes_are_refused():
    with pytest.raises(RequestError, match="hull_expand"):
        reshape(l_shape(), "circle")
    with pytest.raises(RequestError, match="0 to 1"):
        reshape(l_shape(), "hull_expand", 1.5)


def test_a_mask_is_given_in_one_way_and_shape_is_none():
    for good in ({"everything": True}, {"nothing": True}, {"polygon": ((0, 0), (1, 0), (0, 1))}):
        assert Mask(**good, shape="bbox_expand", ratio=0.0).ratio == 0
    bad = (
        {"shape": "hull"},
        {"everything": True, "nothing": True},
        {"polygon": ((0, 0), (1, 1))},
        {"polygon": ((0, 0), (1, 1), (0, 0))},
        {"polygon": ((0, 0), (1, 0), (0, 1)), "everything": True},
        {"everything": True, "ratio": 1.2},
        {"everything": True, "shape": "round"},
    )
    for values in bad:
        with pytest.raises(ValidationError):
            Mask(**values)


def test_polygons_are_drawn_and_shaped():
    triangle = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75))
    drawn = mask.draw(Mask(polygon=triangle), 3, 64, 128)[0, 0].numpy()
    assert drawn.shape == (3, 64, 128)
    assert drawn[0].sum() == pytest.approx(64 * 32 / 2, rel=0.06)
    assert drawn[0, 18, 34] == 1 and drawn[0, 46, 94] == 0
    square = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    same = mask.draw(Mask(boxes=((0.25, 0.25, 0.75, 0.75),)), 1, 64, 128)
    assert mask.draw(Mask(polygon=square), 1, 64, 128).equal(same), "a polygon and a box of the same corners"
    boxed = mask.draw(Mask(polygon=triangle, shape="bbox"), 2, 64, 128)[0, 0].numpy()
    left, top, right, bottom = box_around(boxed[1])
    assert (left, top) == (32, 16) and abs(right - 96) <= 1 and abs(bottom - 48) <= 1
    assert boxed.sum() == 2 * (right - left) * (bottom - top)


def test_a_track_is_shaped_frame_by_frame():
    track = ((0.0, 0.0, 0.25, 0.25), (0.5, 0.5, 0.75, 0.75))
    grown = mask.draw(Mask(track=track, shape="bbox_expand", ratio=0.5), 2, 64, 64)[0, 0].numpy()
    assert [box_around(frame) for frame in grown] == [(0, 0, 24, 24), (24, 24, 56, 56)]
    assert mask.draw(Mask(everything=True, shape="hull_expand"), 2, 8, 8).all()
    assert not mask.draw(Mask(nothing=True, shape="hull_expand"), 2, 8, 8).any()


@pytest.mark.parametrize("size", [(60, 100), (100, 60), (96, 160)])
def test_a_mask_of_the_sources_size_stays_over_it(tmp_path, size):
    """A portrait and a landscape source, cropped to a landscape canvas: the mask is cropped alike."""
    wide, tall = size
    source_HWC = np.zeros((tall, wide, 3), np.uint8)
    source_HWC[tall // 2 - 9 : tall // 2 + 3, wide // 2 - 12 : wide // 2 + 20] = 255
    Image.fromarray(source_HWC).save(tmp_path / "mask.png")
    drawn = mask.draw(Mask(image=str(tmp_path / "mask.png")), 1, 48, 80)[0, 0, 0].numpy()
    covering = image.cover(source_HWC, 48, 80)[..., 0] / 255
    assert np.array_equal(drawn > 0.5, covering > 0.5)
    assert drawn.max() == 1 and drawn.min() == 0


def test_an_empty_mask_says_so(tmp_path):
    Image.new("L", (16, 16), 3).save(tmp_path / "black.png")
    (tmp_path / "clip").mkdir()
    for index in range(2):
        Image.new("L", (16, 16), 0).save(tmp_path / "clip" / f"{index:05d}.png")
    for empty in (Mask(image=str(tmp_path / "black.png")), Mask(video=str(tmp_path / "clip"))):
        with pytest.raises(RequestError, match="empty") as error:
            mask.draw(empty, 2, 8, 8)
        assert "nothing=True" in error.value.legal
    Image.new("L", (16, 16), 255).save(tmp_path / "clip" / "00001.png")
    drawn = mask.draw(Mask(video=str(tmp_path / "clip")), 2, 8, 8)
    assert not drawn[0, 0, 0].any() and drawn[0, 0, 1].all(), "a frame may be empty"
