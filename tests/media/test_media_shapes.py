"""Resizing, contact sheets, sound arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from media_clips import moving, psnr

from kinema.core.errors import MediaError, RequestError
from kinema.media.audio import fit, resample, silence, to_float, to_int16
from kinema.media.resize import resize_frames
from kinema.media.sheet import chosen, sheet, sheet_of_clips


@pytest.mark.parametrize("how", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("kernel", ["lanczos", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [(31, 77), (96, 40), (48, 64), (7, 5)])
def test_one_colour_stays_that_colour(how, kernel, size):
    for color in [(0, 0, 0), (255, 255, 255), (1, 254, 127), (37, 200, 91)]:
        frames = np.full((2, 48, 64, 3), color, np.uint8)
        out = resize_frames(frames, *size, how=how, resample=kernel, pad_color=color)
        assert out.shape == (2, *size, 3) and (out == np.array(color)).all()


def test_cover_keeps_the_middle_and_contain_keeps_all():
    frame = np.zeros((40, 80, 3), np.uint8)
    frame[:, 20:60] = 200
    assert np.abs(resize_frames(frame, 20, 20, "cover").astype(int) - 200).max() <= 12  # ringing at the border
    inside = resize_frames(frame, 80, 80, "contain", pad_color=(9, 8, 7))
    assert (inside[:20] == (9, 8, 7)).all() and (inside[60:] == (9, 8, 7)).all()
    np.testing.assert_array_equal(inside[20:60], frame)
    np.testing.assert_array_equal(resize_frames(frame, 10, 40, "crop"), frame[15:25, 20:60])
    np.testing.assert_array_equal(resize_frames(frame, 80, 160, "stretch", "nearest")[::2, ::2], frame)


def test_there_and_back():
    frames = moving(2)
    assert psnr(resize_frames(resize_frames(frames, 96, 128), 48, 64), frames) > 35
    same = resize_frames(frames, 48, 64)
    np.testing.assert_array_equal(same, frames)
    assert same is not frames


def test_resize_refuses():
    with pytest.raises(RequestError, match="cover, contain"):
        resize_frames(moving(1), 8, 8, how="fit")
    with pytest.raises(RequestError):
        resize_frames(moving(1), 0, 8)
    with pytest.raises(RequestError, match="Nearest"):
        resize_frames(moving(1), 100, 8, how="crop")


def test_sheet_shows_first_and_last():
    assert chosen(49, 6) == [0, 10, 19, 29, 38, 48]
    assert chosen(3, 6) == [0, 1, 2] and chosen(9, 1) == [0]
    frames = np.repeat((np.arange(17) * 15).astype(np.uint8), 32 * 32 * 3).reshape(17, 32, 32, 3)
    picture = np.asarray(sheet(frames, columns=5))
    assert picture.shape == (160 + 8, 5 * 164 + 4, 3)  # 32 pixels, upscaled by five
    assert (picture[10, 10] == 0).all() and (picture[10, -10] == 240).all()
    two = np.asarray(sheet(frames, columns=4, rows=2, labels=["one", "two"], scale=1))
    assert two.shape[0] > 2 * 32 and (two[-10, -10] == 240).all()


def test_sheet_of_clips_takes_all_sizes():
    clips = [("a cat " * 40, moving(9)), ("", moving(3, 96, 50)), ("w" * 400, moving(1, 20, 100))]
    image = sheet_of_clips(clips, frames_per_row=4)
    assert image.mode == "RGB" and image.width > 4 * 160
    with pytest.raises(RequestError):
        sheet_of_clips([("none", moving(1)[:0])])
    with pytest.raises(RequestError):
        sheet(moving(2), columns=0)


def test_sound_numbers():
    assert silence(0.5).shape == (24000, 2) and silence(1, 1).dtype == np.float32
    whole = np.array([[-32768], [-1], [0], [32767]], np.int16)
    np.testing.assert_array_equal(to_int16(to_float(whole)), whole)
    assert to_float(np.array([0, 128, 255], np.uint8)).tolist() == [-1, 0, 127 / 128]
    assert to_int16(np.array([2.0, -2.0, 1.0])).tolist() == [32767, -32768, 32767]
    assert len(fit(silence(1), 10)) == 10 and len(fit(silence(0.1), 48000)) == 48000
    with pytest.raises(MediaError):
        to_float(np.array(["a"]))


@pytest.mark.parametrize("rate", [16000, 32000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_resampling_keeps_the_tone(rate, channels):
    t = np.arange(rate)[:, None] / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * t) * np.ones((1, channels))).astype(np.float32)
    out = resample(tone, rate)
    assert out.shape == (48000, channels)
    due = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    assert np.abs(out[2000:-2000, 0] - due[2000:-2000]).max() < 0.01
    assert resample(out, 48000).shape == out.shape
