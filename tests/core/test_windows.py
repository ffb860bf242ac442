"""Windows in time and tiles in space cover their range, have legal sizes and sufficient overlap, and their weights sum
to one."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from kinema.core import windows
from kinema.core.card import FramesRule

RULE = FramesRule(step=4, trained=17, maximum=81)
numbers = st.integers(1, 400)


@given(numbers, st.integers(1, 64), st.integers(1, 64))
def test_starts_cover_and_end_with_the_whole(length, window, stride):
    found = windows.starts(length, window, stride)
    assert found[0] == 0 and found[-1] == max(0, length - window)
    assert all(0 < after - before <= stride for before, after in itertools.pairwise(found))
    if stride <= window:
        assert {place for start in found for place in range(start, start + window)} >= set(range(length))


@given(numbers)
def test_over_a_clip(num_frames):
    spans = windows.over_clip(num_frames, RULE)
    assert all(RULE.legal(span.num_frames) for span in spans)
    assert spans[0].start == 0 and {frame for s in spans for frame in range(s.start, s.stop)} >= set(range(num_frames))
    if num_frames > 17:
        assert spans[-1].stop == num_frames and all(span.num_frames == 17 for span in spans)
        assert all(a.stop - b.start >= windows.OVERLAP for a, b in itertools.pairwise(spans))
        assert all(b.start > a.start for a, b in itertools.pairwise(spans))
    else:
        assert len(spans) == 1 and num_frames <= spans[0].num_frames < num_frames + 4


@given(numbers, numbers, st.integers(1, 12))
def test_after_what_is_there(begin, new, known):
    spans = windows.after(begin, begin + new, RULE, known)
    assert spans[0].start == max(0, begin - known) and all(RULE.legal(span.num_frames) for span in spans)
    assert {frame for span in spans for frame in range(span.start, span.stop)} >= set(range(begin, begin + new))


@given(numbers, st.integers(1, 12))
def test_before_what_is_there(new, known):
    spans = windows.before(new, known, RULE)
    assert spans[0].stop == new + known and all(RULE.legal(span.num_frames) for span in spans)
    assert {frame for span in spans for frame in range(span.start, span.stop)} >= set(range(new))
    assert all(
        earlier.stop - later.start <= 17 and earlier.stop > later.start for later, earlier in itertools.pairwise(spans)
    )


@given(numbers, st.integers(2, 40), st.data())
def test_context_windows_cover_share_and_blend(num_frames, length, data):
    overlap = data.draw(st.integers(1, length - 1))
    looped = data.draw(st.booleans())
    spans = windows.context(num_frames, length, overlap, looped=looped)
    assert {frame % num_frames for span in spans for frame in span} == set(range(num_frames))
    assert all(len(span) == min(length, num_frames) for span in spans)
    assert all(before.stop - after.start >= overlap for before, after in itertools.pairwise(spans))
    if not looped:
        assert spans[-1].stop == num_frames
    elif len(spans) > 1:
        joint = {frame % num_frames for frame in spans[-1]} & set(spans[0])
        assert len(joint) >= min(overlap, num_frames), "the end of a loop is seen together with its beginning"
    total = [0.0] * num_frames
    for span in spans:
        for frame, weight in zip(span, windows.pyramid(len(span)), strict=True):
            total[frame % num_frames] += weight
    shares = [0.0] * num_frames
    for span in spans:
        for frame, weight in zip(span, windows.pyramid(len(span)), strict=True):
            assert weight > 0
            shares[frame % num_frames] += weight / total[frame % num_frames]
    assert all(math.isclose(share, 1.0) for share in shares)


def test_tiles_of_a_picture():
    found = windows.over_picture((150, 70), (64, 64), 16)
    assert (found.width, found.height) == (160, 80)
    assert found.places == tuple((left, top) for top in (0, 16) for left in (0, 48, 96))
    assert windows.over_picture((40, 30), (64, 48), 16).places == ((0, 0),)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(2, 12), st.integers(2, 12), st.sampled_from([8, 16, 32]))
def test_tiles_cover_share_and_blend(width, height, across, down, step):
    tile = (across * step, down * step)
    found = windows.over_picture((width, height), tile, step)
    assert found.width >= width and found.height >= height, "of the canvas nothing is missing"
    assert found.width % step == found.height % step == 0
    for length, side, places in (
        (found.width, tile[0], sorted({left for left, _ in found.places})),
        (found.height, tile[1], sorted({top for _, top in found.places})),
    ):
        assert places[0] == 0 and places[-1] == length - side and all(place % step == 0 for place in places)
        shared = [before + side - after for before, after in itertools.pairwise(places)]
        if side >= 4 * step:
            assert all(count >= side * windows.TILE_OVERLAP for count in shared)
        total = [0.0] * length
        ramps = [windows.ramp(side, before=place > 0, after=place + side < length) for place in places]
        for place, weights in zip(places, ramps, strict=True):
            assert all(0 < weight <= 1 for weight in weights)
            for at, weight in enumerate(weights):
                total[place + at] += weight
        assert min(total) > 0, "what is divided by is never 0"
        shares = [0.0] * length
        for place, weights in zip(places, ramps, strict=True):
            for at, weight in enumerate(weights):
                shares[place + at] += weight / total[place + at]
        assert all(math.isclose(share, 1.0) for share in shares)


@given(st.integers(0, 50))
def test_a_fade_goes_from_one_to_the_other(count):
    found = windows.fade(count)
    assert len(found) == count and all(0 < share < 1 for share in found)
    assert all(math.isclose(one + other, 1.0) for one, other in zip(found, reversed(found), strict=True))
    assert all(b > a for a, b in itertools.pairwise(found))


def test_weights_rise_over_the_edges_that_have_a_neighbour():
    assert windows.pyramid(5) == (1, 2, 3, 2, 1)
    assert windows.ramp(8, before=True, after=False) == (0.25, 0.75, 1, 1, 1, 1, 1, 1)
    assert windows.ramp(8, before=True, after=True) == (0.25, 0.75, 1, 1, 1, 1, 0.75, 0.25)
    assert windows.ramp(4, before=False, after=False) == (1, 1, 1, 1)


def test_weights_by_comfyuis_names():
    """In a window of 5 that shares 3 frames with a neighbour on either side, or that begins or ends the clip."""
    inside, first = range(2, 7), range(5)
    assert windows.fused("pyramid", inside, 9, 3) == (1, 2, 3, 2, 1) and windows.fused("flat", inside, 9, 3) == (1,) * 5
    edge = 1 - 2 / 2.005
    assert [round(each, 6) for each in windows.fused("relative", inside, 9, 3)] == [
        0.01, round(1 - 1 / 2.005, 6), 1, round(1 - 1 / 2.005, 6), 0.01
    ] and edge < 0.01  # fmt: skip
    linear = windows.fused("overlap-linear", range(3, 8), 20, 2)
    assert linear == (1e-37, 1, 1, 1, 1e-37)
    assert windows.fused("overlap-linear", first, 9, 3) == (1, 1, 1, 0.5, 1e-37)
    assert windows.fused("overlap-linear", range(4, 9), 9, 3) == (1e-37, 0.5, 1, 1, 1)
    assert windows.fused("overlap-linear", first, 9, 0) == (1,) * 5


@given(numbers, st.integers(1, 64))
def test_batched_windows_share_nothing(num_frames, length):
    found = windows.batched(num_frames, length)
    assert [place for window in found for place in window] == list(range(num_frames))
    assert all(len(window) == length for window in found[:-1])
