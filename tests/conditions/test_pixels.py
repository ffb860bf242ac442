"""Conditions as pixels: exact values, and clear errors for unreadable inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.conditions import image, inputs, mask, trajectory
from kinema.core.conditions import Mask
from kinema.core.errors import MediaError, RequestError


def test_pixels_meet_both_ends_and_gray_is_zero():
    pixels = np.array([[[0, 255, 127]]], dtype=np.uint8)
    assert image.to_unit(pixels)[:, 0, 0].tolist() == pytest.approx([-1.0, 1.0, 127 / 127.5 - 1])


def test_cover_keeps_the_middle():
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 255
    assert (image.cover(wide, 20, 20)[:, 4:-4] > 250).all()
    assert image.cover(wide, 10, 30) is wide, "a picture that fits is not touched"


def test_letterbox_is_whole_centred_and_white_around():
    tall = np.zeros((40, 20, 3), dtype=np.uint8)
    fitted = image.letterbox(tall, 64, 64)
    assert fitted.shape == (1, 3, 64, 64)
    assert (fitted[..., :16] == 1).all()
    assert (fitted[..., 48:] == 1).all()
    assert (fitted[..., 16:48] == -1).all()


def test_boxes_are_exact_pixels():
    drawn = mask.draw(Mask(boxes=((0.25, 0.5, 0.75, 1.0),)), 3, 64, 64)
    assert drawn.shape == (1, 1, 3, 64, 64)
    assert (drawn[..., 32:, 16:48] == 1).all()
    assert drawn.sum() == 3 * 32 * 32
    moving = mask.draw(Mask(track=((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))), 3, 8, 8)
    assert moving[0, 0, 0, 0, 0] == 1
    assert moving[0, 0, 1, 7, 7] == 1
    assert torch.equal(moving[0, 0, 1], moving[0, 0, 2]), "the last box stays"
    assert mask.draw(Mask(everything=True), 2, 4, 4).all()
    assert not mask.draw(Mask(nothing=True), 2, 4, 4).any()


def test_soft_masks_stay_soft(tmp_path):
    Image.new("L", (16, 16), 128).save(tmp_path / "soft.png")
    drawn = mask.draw(Mask(image=str(tmp_path / "soft.png")), 2, 8, 8)
    assert drawn.unique().tolist() == pytest.approx([128 / 255])


def test_a_mask_clip_that_is_too_short_is_refused(tmp_path):
    (tmp_path / "clip").mkdir()
    for index in range(3):
        Image.new("L", (16, 16), 255).save(tmp_path / "clip" / f"{index:05d}.png")
    with pytest.raises(RequestError, match="3 frames"):
        mask.draw(Mask(video=str(tmp_path / "clip")), 5, 8, 8)


def test_a_drawn_path_is_where_it_should_be():
    points = trajectory.resample(((0.25, 0.5), (0.75, 0.5)), 5)
    assert points[:, 0].tolist() == pytest.approx([0.25, 0.375, 0.5, 0.625, 0.75])
    drawn = trajectory.draw(points, 64, 64, (255, 0, 128))
    assert drawn.shape == (5, 64, 64, 3)
    for frame, (x, y) in zip(drawn, points):
        weight = frame[..., 0].astype(float)
        rows, columns = np.mgrid[:64, :64] + 0.5
        assert (weight * columns).sum() / weight.sum() == pytest.approx(64 * x, abs=0.1)
        assert (weight * rows).sum() / weight.sum() == pytest.approx(64 * y, abs=0.1)
        assert weight.sum() / 255 == pytest.approx(np.pi * 4.0**2, rel=0.1), "radius: a sixteenth of the side"
        assert frame[..., 1].max() == 0


def test_path_files(real_data, tmp_path):
    for path in sorted((real_data / "trajectories").glob("*.txt")):
        points = trajectory.read_points(path)
        assert len(points) >= 2
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in points)
    for text in ("", "1,2", "1,2\nthree,4", "1,2\n3", "nan,1\n2,3"):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(MediaError, match=r"bad\.txt"):
            trajectory.read_points(tmp_path / "bad.txt")
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "marked.txt").write_text("0,0\n256,128\n", encoding=encoding)
        assert trajectory.read_points(tmp_path / "marked.txt") == ((0.0, 0.0), (1.0, 0.5)), encoding


def test_media_words(tmp_path):
    Image.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "a.png")
    path = tmp_path / "a.png"
    inline = inputs.inline_png(np.asarray(Image.open(path)))
    for media in (str(path), path.as_uri(), inline):
        assert inputs.picture(media)[0, 0].tolist() == [10, 20, 30]
    for media in ("https://example.org/a.png", "data:image/png;base64,###", "data:nothing", str(tmp_path / "no.png")):
        with pytest.raises(MediaError):
            inputs.picture(media)
    assert inputs.digest(str(path)) == inputs.digest(path.as_uri())
    with pytest.raises(MediaError):
        inputs.inline_png(np.zeros((4, 4, 3)))
