"""Conditions as pixels: exact values, and clear errors for unreadable inputs."""

from __future__ import annotations

from pathlib import Path

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


def saved(path, values):
    np.save(path, np.asarray(values, np.float32))
    return str(path)


def test_arrays_are_exact_pictures_clips_and_masks(tmp_path):
    rng = np.random.default_rng(2)
    clip = rng.random((5, 8, 12, 3), dtype=np.float32)
    video, renamed = saved(tmp_path / "clip.npy", clip), tmp_path / "without_a_suffix"
    Path(saved(tmp_path / "still.npy", clip[1])).rename(renamed)
    frames, _ = inputs.clip(video, stop=3)
    assert isinstance(frames, np.memmap), "values are read when they are used"
    assert np.array_equal(frames, clip[:3])
    assert np.array_equal(inputs.tail(video, 2), clip[3:])
    assert np.array_equal(inputs.picture(str(renamed)), clip[1])
    assert np.array_equal(inputs.picture(video), clip[0])
    info = inputs.info(video)
    assert (info.width, info.height, info.num_frames) == (12, 8, 5)
    unit = image.still(inputs.picture(str(renamed)), 8, 12)
    assert torch.equal(unit[0], torch.from_numpy(clip[1]).movedim(-1, 0) * 2 - 1), "no rounding to 8 bits"
    soft = rng.random((5, 8, 12), dtype=np.float32)
    masks = saved(tmp_path / "masks.npy", soft)
    assert torch.equal(mask.draw(Mask(video=masks), 4, 8, 12)[0, 0], torch.from_numpy(soft[:4]))
    one = mask.draw(Mask(image=saved(tmp_path / "one.npy", soft[3])), 4, 8, 12)
    assert torch.equal(one[0, 0], torch.from_numpy(soft[3]).expand(4, 8, 12))
    with pytest.raises(RequestError, match="5 frames"):
        mask.draw(Mask(video=masks), 6, 8, 12)
    assert not mask.draw(Mask(image=saved(tmp_path / "black.npy", np.zeros((8, 12)))), 4, 8, 12).any()


def test_arrays_of_8_bit_values_equal_the_picture(tmp_path):
    """The same values in both kinds of file: equal pixels, but for the rounding where they are scaled."""
    eight = np.random.default_rng(4).integers(64, 192, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(eight).save(tmp_path / "a.png")
    exact = saved(tmp_path / "a.npy", eight / np.float32(255))
    for height, width, near in ((24, 40, 1e-6), (16, 16, 2 / 127.5)):
        of_8_bits = image.still(inputs.picture(str(tmp_path / "a.png")), height, width)
        assert (image.still(inputs.picture(exact), height, width) - of_8_bits).abs().max() < near


def test_arrays_are_not_trusted(tmp_path):
    good = np.zeros((2, 4, 4, 3), np.float32)
    np.save(tmp_path / "good.npy", good)
    content = (tmp_path / "good.npy").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "eight.npy", good.astype(np.uint8))
    np.save(tmp_path / "fortran.npy", np.asfortranarray(np.zeros((4, 5, 3), np.float32)))
    np.save(tmp_path / "empty.npy", good[:0])
    np.save(tmp_path / "deep.npy", good[None])
    np.save(tmp_path / "scale.npy", good + 255)
    np.save(tmp_path / "nan.npy", good * np.nan)
    np.save(tmp_path / "gray.npy", np.zeros((4, 4), np.float32))
    for name, made in (
        ("cut.npy", content[:-1]), ("long.npy", content + b"0"), ("magic.npy", content[:6]),
        ("shape.npy", content.replace(b"(2, 4, 4, 3)", b"(9**9**9, 3)")),
        ("huge.npy", content.replace(b"(2, 4, 4, 3)", b"(9, 99999,3)")),
        ("signs.npy", content.replace(b"(2, 4, 4, 3)", b"(-2,-4,4, 3)")),
        ("version.npy", content[:6] + b"\x09\x00" + content[8:]),
        ("code.npy", content.replace(b"(2, 4, 4, 3)", b"exit(1)     ")),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(made)
    for path in sorted(tmp_path.glob("*.npy")):
        if path.name != "good.npy":
            with pytest.raises(MediaError, match=path.name):
                inputs.clip(str(path))
    with pytest.raises(MediaError, match=r"objects\.npy"):
        inputs.masks(str(tmp_path / "objects.npy"))
    with pytest.raises(MediaError, match="in place"):
        inputs.refuse_array(str(tmp_path / "good.npy"))
    (tmp_path / "objects.npy").unlink()
