"""Frame interpolation: number, times and sound of the frames, and the positions of moving objects in new ones."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import cv2
import numpy as np
import pytest

from kinema.core.chunk import Chunk
from kinema.core.errors import ModelError, RequestError
from kinema.media.cut import is_cut
from kinema.post.interpolate import interpolate, num_frames

RNG = np.random.default_rng(0)
WALL = cv2.resize(RNG.integers(60, 140, (12, 20, 3), dtype=np.uint8), (160, 96), interpolation=cv2.INTER_CUBIC)
CLOTH = cv2.resize(RNG.integers(120, 255, (9, 9, 3), dtype=np.uint8), (36, 36), interpolation=cv2.INTER_CUBIC)


def square(at: float, top: int = 30) -> np.ndarray:
    """A patterned square at x = `at` px before a wall: exact to 1/8 px."""
    fine = cv2.resize(WALL, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    x, y = round(at * 8), top * 8
    fine[y : y + 288, x : x + 288] = cv2.resize(CLOTH, (288, 288), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(fine, (160, 96), interpolation=cv2.INTER_AREA)


def clip(frames, fps=8.0, size=3, sound=None, closed=None, taken=None):
    """Chunks of `size` frames; sound: samples for each frame, one channel."""
    try:
        for start in range(0, len(frames), size):
            part = np.stack(frames[start : start + size])
            if taken is not None:
                taken.append(start)
            audio = None
            if sound is not None:
                audio = np.arange(start * sound, (start + len(part)) * sound, dtype=np.float32)[:, None] / 1e6
            yield Chunk(part, start, fps, audio)
    finally:
        if closed is not None:
            closed.append(True)


def whole(chunks):
    """(frames, fps, sound or None); checks that chunks follow each other."""
    frames, sound, due, fps = [], [], 0, None
    for chunk in chunks:
        assert chunk.start == due and fps in (None, chunk.fps)
        due, fps = chunk.stop, chunk.fps
        frames.append(chunk.frames)
        sound.append(chunk.audio)
    return np.concatenate(frames), fps, None if sound[0] is None else np.concatenate(sound)


def plain(values):
    return [np.full((32, 48, 3), value, np.uint8) for value in values]


@pytest.mark.parametrize(
    ("fps", "target", "count"),
    [(8, 24, 30), (8, 8, 10), (8, 16, 20), (12, 30, 25), (24, 8, 3), (24000 / 1001, 60000 / 1001, 25), (10, 25, 25)],
)
@pytest.mark.parametrize("by", ["blend", "mci"])
def test_counts_and_times(fps, target, count, by):
    """Every frame is at its time; the last one is held."""
    values = [5 + 5 * k for k in range(10)]
    frames, rate, _ = whole(interpolate(clip(plain(values), fps), target, by=by))
    assert rate == pytest.approx(target, rel=1e-9) and len(frames) == count
    for j, frame in enumerate(frames):
        place = min(j * fps / target, 9)
        slack = 5.01 if by == "mci" else 0.51
        assert abs(float(frame.mean()) - (5 + 5 * place)) <= slack, (j, place)
    step = round(target / fps)
    if step == target / fps:
        for k in range(10):
            assert (frames[k * step] == values[k]).all()


def test_n_minus_one_times_k_plus_one_then_held():
    frames, _, _ = whole(interpolate(clip(plain([0, 12, 24])), times=4, by="blend"))
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 3, 6, 9, 12, 15, 18, 21, 24, 24, 24, 24]
    assert num_frames(3, Fraction(8), Fraction(32)) == 12


def test_sound_stays_and_slow_motion_has_none():
    values = plain(range(7))
    sound = whole(clip(values, sound=6000))[2]
    for target in (24, 20, 8, 6):
        frames, fps, found = whole(interpolate(clip(values, sound=6000), target, by="blend"))
        assert np.array_equal(found, sound) and len(frames) == round(7 * target / 8)
    frames, fps, found = whole(interpolate(clip(values, sound=6000), slow=2, by="blend"))
    assert len(frames) == 14 and fps == 8 and found is None
    frames, fps, _ = whole(interpolate(clip(values), 24, slow=2, by="blend"))
    assert len(frames) == 42 and fps == 24


def test_sound_leaves_with_its_frames():
    chunks = list(interpolate(clip(plain(range(40)), sound=6000), 24, by="blend"))
    assert len(chunks) > 3 and [len(chunk.audio) for chunk in chunks[:3]] == [32_000] * 3


def test_still_pairs_and_cuts_are_held():
    """The frame before a cut is held until the one after it; no frame is a mix."""
    one, other = square(20), np.roll(cv2.rotate(square(60), cv2.ROTATE_180)[..., ::-1], 40, axis=0)
    assert is_cut(one, other) and not is_cut(square(20), square(44)) and not is_cut(one, one)
    for by in ("film", "mci", "blend"):
        frames, _, _ = whole(interpolate(clip([one, one, other, other]), 24, by=by))
        assert len(frames) == 12
        assert (frames[:6] == one).all() and (frames[6:] == other).all()


def shift_of(frame: np.ndarray, begin: float, end: float) -> float:
    """The position of the square in px, by the best match with the truth."""
    places = np.arange(begin, end + 0.1, 0.5)
    return float(min(places, key=lambda x: np.square(frame.astype(float) - square(x)).mean()))


@pytest.mark.parametrize(("target", "times"), [(16, [1 / 2]), (24, [1 / 3, 2 / 3])])
def test_the_shipped_network_puts_a_square_where_it_is(target, times):
    begin, end = 40.0, 56.0
    frames, _, _ = whole(interpolate(clip([square(begin), square(end)]), target))
    blended, _, _ = whole(interpolate(clip([square(begin), square(end)]), target, by="blend"))
    for j, time in enumerate(times, 1):
        true = square(begin + (end - begin) * time).astype(float)
        made, mixed = (np.square(x[j].astype(float) - true).mean() for x in (frames, blended))
        assert abs(shift_of(frames[j], begin, end) - (begin + (end - begin) * time)) <= 1.0
        assert made < mixed / 4


def test_odd_sizes():
    a, b = square(40)[:91, :133], square(46)[:91, :133]
    for by in ("film", "mci"):
        frames, _, _ = whole(interpolate(clip([a, b, a]), 16, by=by))
        assert frames.shape == (6, 91, 133, 3)
    tiny = [frame[:9, :7] for frame in (a, b, a)]
    for by in ("film", "mci"):
        assert whole(interpolate(clip(tiny), 16, by=by))[0].shape == (6, 9, 7, 3)


def test_the_filter_finds_motion():
    steps = [square(20 + 6 * k) for k in range(6)]
    frames, _, _ = whole(interpolate(clip(steps), 16, by="mci"))
    blended, _, _ = whole(interpolate(clip(steps), 16, by="blend"))
    for k in range(5):
        true = square(23 + 6 * k).astype(float)
        made, mixed = (np.square(x[2 * k + 1].astype(float) - true).mean() for x in (frames, blended))
        assert made < mixed / 2, k


@pytest.mark.parametrize(
    ("how", "field"),
    [({"fps": 0.01}, "fps"), ({"fps": 5000}, "fps"), ({"fps": 24, "times": 3}, "times"), ({"times": 0}, "times"),
     ({"slow": 0.5}, "slow"), ({"by": "magic"}, "by"), ({"by": "mci", "model": "film.pt"}, "model")],
)  # fmt: skip
def test_refuses_before_work(how, field):
    taken = []
    with pytest.raises(RequestError) as error:
        interpolate(clip(plain([1]), taken=taken), **how)
    assert error.value.field == field and error.value.legal and not taken


def test_refuses_a_model_that_is_not_there():
    with pytest.raises(ModelError, match="no such file"):
        interpolate(clip(plain([1])), 24, model="/nowhere/film.pt")


def test_too_fast_for_any_file():
    with pytest.raises(RequestError, match="1280"):
        next(interpolate(clip(plain([1]), fps=40), times=32, by="blend"))


def test_closing_closes_the_source_and_stopping_stops():
    closed, taken = [], []
    made = interpolate(clip(plain(range(200)), closed=closed, taken=taken), 24, by="blend")
    next(made)
    assert len(taken) < 5
    made.close()
    assert closed == [True]
    closed.clear()

    def stop(event):
        if event.done >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(interpolate(clip(plain(range(200)), closed=closed), 24, by="blend", on_event=stop))
    assert closed == [True]


def test_events_count_the_results_frames():
    told = []
    list(interpolate(clip(plain(range(5))), 24, by="blend", total=5, on_event=told.append))
    assert [event.done for event in told] == list(range(1, 16)) and {event.total for event in told} == {15}
    assert {event.stage for event in told} == {"interpolate"}


@pytest.mark.parametrize("by", ["blend", "mci"])
def test_memory_does_not_grow(by):
    def frames(count):
        for k in range(count):
            yield Chunk(np.full((1, 64, 96, 3), k % 100, np.uint8), k, 8.0)

    def peak(count):
        tracemalloc.start()
        for _ in interpolate(frames(count), 16, by=by):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(8)
    assert peak(120) < peak(40) * 1.2 + 200_000


def test_an_empty_clip_stays_empty():
    assert list(interpolate(iter(()), 24, by="blend")) == []
