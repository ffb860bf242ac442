"""Crossfades preserve the power and start on bar lines."""

from __future__ import annotations

import numpy as np
import pytest

from kinema import music
from kinema.core.errors import RequestError
from kinema.music.crossfade import crossfade, curves, join, join_all
from kinema.music.track import Track

RATE = 48000


def test_the_squares_add_up_to_one():
    down, up = curves(192_000)
    assert np.abs(down**2 + up**2 - 1).max() < 1e-6
    assert down[0] > 0.999 and up[-1] > 0.999 and np.all(np.diff(up) >= 0)


def test_two_noises_keep_their_power():
    noise = np.random.default_rng(1)
    one, two = (noise.standard_normal((10 * RATE, 2)).astype(np.float32) * 0.1 for _ in range(2))
    both = crossfade(one, two, 4)
    assert both.shape == (16 * RATE, 2)
    power = (both.mean(axis=1) ** 2).reshape(-1, RATE // 2).mean(axis=1)
    assert 10 * np.log10(power.max() / power.min()) < 0.3
    assert np.array_equal(both[: 6 * RATE], one[: 6 * RATE]) and np.array_equal(both[10 * RATE :], two[4 * RATE :])


def test_the_second_piece_begins_on_a_bar_of_the_first():
    one, two = (music.make(words, 20, 1, sound="own") for words in ("calm, 90 bpm", "happy, 120 bpm"))
    both = join(one, two)
    starts = both.details["second_starts_s"]
    assert starts / one.bar_s == pytest.approx(round(starts / one.bar_s), abs=1e-6)
    assert 16 - one.bar_s < starts <= 16
    assert both.seconds == pytest.approx(starts + 20, abs=1e-4)
    at = round((starts + 4) * RATE)
    assert np.array_equal(both.samples[at:], two.samples[4 * RATE :])
    assert both.procedural and both.details["joined"] == [one.details, two.details]
    assert join_all([one, two, one]).seconds > both.seconds + 10
    assert join_all([one]) is one


def test_sound_without_bars_is_joined_at_its_end():
    plain = Track(np.ones((10 * RATE, 2), np.float32) * 0.1, False, {"model": "m"})
    assert join(plain, plain).seconds == 16


@pytest.mark.parametrize("seconds", [0, -1, 10.5])
def test_refuses_what_does_not_fit(seconds):
    piece = np.zeros((10 * RATE, 2), np.float32)
    with pytest.raises(RequestError, match="Legal: above 0"):
        crossfade(piece, piece, seconds)
    with pytest.raises(RequestError):
        join_all([])
