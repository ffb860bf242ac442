"""Propagation against exact truth: pictures that a camera pans over, with a hole that crosses them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kinema.core.events import Progress
from kinema.media.read import read_chunks
from kinema.propagation.fill import SceneFill, fill
from kinema.propagation.frame import Origin
from kinema.propagation.steady import PreviousFrame


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth texture, uint8 RGB."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5) * 4 + cv2.GaussianBlur(noise, (0, 0), 12) * 18
    return (128 + 40 * soft).clip(0, 255).astype(np.uint8)


def pan(count: int, size: tuple[int, int] = (96, 128), speed: tuple[float, float] = (2.0, 0.5)) -> np.ndarray:
    height, width = size
    wide = picture(height + 60, width + 60 + int(count * abs(speed[0])))
    frames = []
    for k in range(count):
        move = np.array([[1, 0, -20 - k * speed[0]], [0, 1, -20 - k * speed[1]]], np.float32)
        frames.append(cv2.warpAffine(wide, move, (width, height), flags=cv2.INTER_CUBIC))
    return np.stack(frames)


def crossing(clip: np.ndarray, side: int = 28, speed: int = 6) -> np.ndarray:
    masks = np.zeros(clip.shape[:3], bool)
    for k, mask in enumerate(masks):
        left = 8 + k * speed
        mask[30 : 30 + side, left : left + side] = True
    return masks


def run(clip: np.ndarray, masks: np.ndarray, **settings):
    given = clip.copy()
    given[masks] = (250, 0, 0)
    filled = list(fill(zip(given, masks), **settings))
    assert len(filled) == len(clip)
    frames = np.stack([each.frame_HWC for each in filled])
    assert (frames[~masks] == clip[~masks]).all()
    origins = np.stack([each.origin_HW for each in filled])
    assert (origins[~masks] == Origin.KEPT).all() and (origins[masks] != Origin.KEPT).all()
    return frames, origins, filled


def psnr(frames: np.ndarray, clip: np.ndarray, masks: np.ndarray) -> float:
    off = (frames.astype(np.float32) - clip)[masks]
    return float(10 * np.log10(255**2 / max(1e-3, (off**2).mean())))


def telea(clip: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return np.stack([cv2.inpaint(a, m.astype(np.uint8), 3, cv2.INPAINT_TELEA) for a, m in zip(clip, masks)])


def test_a_still_camera_gives_the_very_pixels():
    clip = np.repeat(picture(96, 128)[None], 12, 0)
    frames, origins, _ = run(clip, masks := crossing(clip))
    assert psnr(frames, clip, masks) > 55
    assert (origins[masks] == Origin.PROPAGATED).all()


def test_a_panning_camera_is_followed():
    clip = pan(14)
    masks = crossing(clip)
    frames, origins, filled = run(clip, masks)
    assert psnr(frames, clip, masks) > 38
    assert (origins[masks] == Origin.PROPAGATED).mean() > 0.99
    assert max(each.misfit for each in filled) < 4


def test_a_turning_camera_and_changing_light_are_followed():
    base, clip = picture(160, 200), []
    for k in range(8):
        turned = cv2.getRotationMatrix2D((100, 80), 1.0 * k, 1 + 0.01 * k)
        turned[:, 2] -= (36, 32)
        frame = cv2.warpAffine(base, turned, (128, 96), flags=cv2.INTER_CUBIC)
        clip.append((frame * (0.75 + 0.02 * k) + k).clip(0, 255).astype(np.uint8))
    clip = np.stack(clip)
    frames, _, _ = run(clip, masks := crossing(clip))
    assert psnr(frames, clip, masks) > 36


def test_nothing_is_carried_across_a_cut():
    one, two = np.repeat(picture(96, 128, 1)[None], 6, 0), np.repeat(255 - picture(96, 128, 2)[None] // 3, 6, 0)
    clip = np.concatenate([one, two])
    masks = np.zeros(clip.shape[:3], bool)
    masks[:6, 30:60, 40:80] = True  # hidden all through the first scene, seen in the second
    _, origins, _ = run(clip, masks, patch=None)
    assert (origins[masks] == Origin.UNFILLED).all()


def test_a_watermark_is_propagated_if_the_camera_moves_and_filled_once_if_it_is_static():
    moving = pan(16, speed=(4.0, 0.0))
    masks = np.zeros(moving.shape[:3], bool)
    masks[:, 40:60, 50:70] = True
    frames, origins, _ = run(moving, masks)
    assert (origins[masks] == Origin.PROPAGATED).mean() > 0.9
    assert psnr(frames, moving, masks) > 30
    still = np.repeat(picture(96, 128)[None], 6, 0)
    frames, origins, _ = run(still, masks[:6])
    assert (origins[masks[:6]] == Origin.PATCHED).all()
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() <= 1


def strokes(height: int, width: int) -> np.ndarray:
    """The mask of a ring with a bar, a few pixels thick."""
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), height // 4, 1, max(2, height // 24))
    cv2.line(mask, (width // 2, height // 3), (width // 2, 2 * height // 3), 1, max(2, height // 20))
    return mask > 0


@pytest.mark.parametrize("patch", ["sharp", "close"])
@pytest.mark.parametrize("scale", [1, 2])
def test_strokes_over_a_static_camera_are_not_below_telea_and_held(scale, patch):
    clip = np.repeat(cv2.resize(picture(96, 128), None, fx=scale, fy=scale)[None], 4, 0)
    masks = np.repeat(strokes(96 * scale, 128 * scale)[None], 4, 0)
    frames, origins, _ = run(clip, masks, patch=patch)
    assert (origins[masks] == Origin.PATCHED).all()
    assert psnr(frames, clip, masks) >= psnr(telea(clip, masks), clip, masks)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() <= 1


def test_what_moves_behind_is_refused():
    """A ball passes behind the hole, which it covers whole on one frame: the background is not shown in its place where
    the rim tells of it, and what comes out is about as near to the truth as frame by frame."""
    calm = (128 + 0.3 * (picture(96, 128) - 128.0)).astype(np.uint8)
    clip = np.repeat(calm[None], 14, 0)
    for k, frame in enumerate(clip):
        cv2.circle(frame, (10 + 8 * k, 48), 15, (20, 20, 240), -1)
    masks = np.zeros(clip.shape[:3], bool)
    masks[3:-3, 34:62, 50:78] = True
    frames, _, filled = run(clip, masks, patch="close")
    assert psnr(frames, clip, masks) > psnr(telea(clip, masks), clip, masks) - 0.8
    assert max(each.refused for each in filled) > 0.5 and filled[0].refused == 0
    _, origins, _ = run(clip[:7], masks[:7], patch=None)
    assert (origins == Origin.UNFILLED).any() and not (origins == Origin.PATCHED).any()


def test_a_fill_changes_slowly_where_an_object_passes_behind(monkeypatch):
    """The camera is still: a fill that follows the previous frame changes less than one made anew for each frame."""
    clip = np.repeat(picture(96, 128)[None], 12, 0)
    for k, frame in enumerate(clip):
        cv2.circle(frame, (8 + 10 * k, 66), 16, (20, 20, 240), -1)
    masks = np.zeros(clip.shape[:3], bool)
    masks[:, 24:64, 44:84] = True

    def change() -> float:
        frames, _, _ = run(clip, masks)
        return float(np.abs(np.diff(frames.astype(float), axis=0))[:, 24:64, 44:84].mean())

    steady = change()
    monkeypatch.setattr(PreviousFrame, "renewed", lambda self, hole, picture_HWC: picture_HWC)
    monkeypatch.setattr(PreviousFrame, "followed", lambda self, hole, weight_HW, which: weight_HW)
    assert steady < 0.8 * change()


def test_a_slow_pan_is_filled_from_keyframes_before_the_range():
    """A watermark that 24 frames of the pan do not uncover, but 80 do."""
    clip = pan(80, (48, 96), speed=(0.5, 0.0))
    masks = np.zeros(clip.shape[:3], bool)
    masks[:, 16:30, 36:66] = True
    _, origins, _ = run(clip, masks, reach=24, patch=None)
    middle = origins[:, 16:30, 36:66]
    assert (middle[-1] == Origin.PROPAGATED).mean() > 0.95
    assert (middle[0] == Origin.UNFILLED).any()


def test_an_empty_mask_passes_frames_through():
    clip = pan(4)
    _, _, filled = run(clip, np.zeros(clip.shape[:3], bool))
    assert all(each.misfit == 0 and each.refused == 0 for each in filled)


def test_a_mask_of_the_whole_frame_is_left_to_a_model():
    clip = pan(3, (40, 56))
    _, origins, _ = run(clip, np.ones(clip.shape[:3], bool))
    assert (origins == Origin.UNFILLED).all()


@pytest.mark.parametrize("size", [(37, 53), (16, 16), (9, 70), (65, 33)])
@pytest.mark.parametrize("count", [1, 3])
def test_any_size_length_and_place(size, count):
    """Masks that touch borders, frames of odd and tiny sizes, clips of one frame."""
    clip = pan(count, size)
    masks = np.zeros(clip.shape[:3], bool)
    masks[:, :5, :7] = masks[:, -3:, -4:] = True
    masks[-1, :, size[1] // 2 :] = True
    run(clip, masks)
    run(clip, masks, patch=None)


def test_first_and_last_frame_are_filled_from_the_other_end():
    clip = pan(10)
    masks = np.zeros(clip.shape[:3], bool)
    masks[:2, 30:55, 40:70] = masks[-2:, 30:55, 40:70] = True
    frames, origins, _ = run(clip, masks)
    assert (origins[masks] == Origin.PROPAGATED).mean() > 0.95
    assert psnr(frames, clip, masks) > 32


def test_out_of_reach_is_never_seen():
    clip = np.repeat(picture(48, 64)[None], 12, 0)
    masks = np.zeros(clip.shape[:3], bool)
    masks[:10, 15:30, 20:40] = True
    _, origins, _ = run(clip, masks, reach=4, patch=None)
    assert (origins[0][masks[0]] == Origin.UNFILLED).all() and (origins[8][masks[8]] == Origin.PROPAGATED).all()


def test_it_streams_tells_progress_and_stops():
    taken, told = [], []

    def frames():
        for k, frame_HWC in enumerate(pan(40, (48, 64))):
            taken.append(k)
            yield frame_HWC, np.zeros((48, 64), bool)

    stream = fill(frames(), reach=5, on_event=told.append, num_frames=40)
    next(stream)
    assert len(taken) == 6
    next(stream)
    assert len(taken) == 7
    assert [each.done for each in told if isinstance(each, Progress)] == [1, 2] and told[0].total == 40
    stream.close()
    assert len(taken) == 7


def test_the_same_frames_give_the_same_bytes_and_sizes_are_compared():
    clip = pan(5)
    masks = crossing(clip)
    assert (run(clip, masks)[0] == run(clip, masks)[0]).all()
    with pytest.raises(ValueError, match="one size"):
        list(fill([(clip[0], masks[0, :-1])]))


@pytest.mark.parametrize(("name", "least"), [("cat", 45.0), ("road", 25.0), ("realshort", 26.0)])
def test_real_clips(real_data, name, least):
    """A disc over a real clip, at 0.4 of its size, brought back."""
    chunks = read_chunks(real_data / f"{name}.mp4", stop=7, audio=False)
    frames = [frame for chunk in chunks for frame in chunk.frames]
    clip = np.stack([cv2.resize(each, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA) for each in frames])
    count, height, width, _ = clip.shape
    y, x = np.mgrid[:height, :width]
    masks = np.stack(
        [(x - width * (0.2 + 0.09 * k)) ** 2 + (y - height * 0.3) ** 2 < (height * 0.08) ** 2 for k in range(count)]
    )
    frames, _, _ = run(clip, masks)
    assert psnr(frames, clip, masks) > max(least, psnr(telea(clip, masks), clip, masks))


def test_a_run_is_continued_with_equal_results():
    clip = pan(14, (64, 96))
    masks = crossing(clip, side=20, speed=4)
    whole, _, _ = run(clip, masks, reach=4)
    given = clip.copy()
    given[masks] = (250, 0, 0)
    filler, pairs = SceneFill("sharp"), list(zip(given, masks))
    stream = fill(iter(pairs), reach=4, filler=filler)
    part = [next(stream).frame_HWC for _ in range(8)]
    stream.close()
    rest = fill(iter(pairs[4:]), reach=4, filler=filler, first=4, num_filled=4)
    assert (np.stack([*part, *(each.frame_HWC for each in rest)]) == whole).all()
