"""Loudness and true peak agree with ffmpeg's, and music is normalised without clipping."""

from __future__ import annotations

import numpy as np
import pytest
from ebur128 import ffmpeg_level

from kinema import music
from kinema.core.errors import RequestError
from kinema.music.limiter import limit, lowest_around
from kinema.music.loudness import integrated, measure, normalise, true_peak


def sine(hz: float, seconds: float, gain: float = 1.0, phase: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * 48000)) / 48000
    return (gain * np.sin(2 * np.pi * hz * time + phase)).astype(np.float32)


def sounds() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(5)
    swell = np.linspace(0.01, 0.4, 48000 * 12)[:, None]
    gaps = np.repeat(noise.integers(0, 2, 30), 19200)[:, None]
    spikes = noise.standard_normal((48000 * 6, 2)) * 0.02
    spikes[::9000] += 0.9
    return {
        "noise": noise.standard_normal((48000 * 8, 2)) * 0.1,
        "swell": noise.standard_normal((48000 * 12, 2)) * swell,
        "gaps": noise.standard_normal((len(gaps), 2)) * gaps * 0.2,
        "low": np.stack([sine(50, 6, 0.5), sine(80, 6, 0.1)], 1),
        "high": np.stack([sine(9000, 6, 0.3), sine(11_980, 6, 0.7, 0.8)], 1) * np.hanning(48000 * 6)[:, None],
        "spikes": spikes,
        "mono": noise.standard_normal((48000 * 6, 1)) * 0.1,
        "music": music.render(music.compose("a happy march, 120 bpm", 10, 1)),
    }


BY_THE_BOOK = {
    "noise": -13.852, "swell": -5.827, "gaps": -9.687, "low": -13.378, "high": -4.865, "spikes": -26.953,
    "mono": -16.866, "music": -6.216,
}  # fmt: skip
"""Loudness of the sounds by the standard's formulas written out in numpy (Kinema's own measure until November 2026)."""


@pytest.mark.parametrize("name", sorted(sounds()))
def test_agrees_with_the_standard_and_with_ffmpegs_peaks(name):
    samples_SC = sounds()[name].astype(np.float32)
    assert integrated(samples_SC) == pytest.approx(BY_THE_BOOK[name], abs=0.02)
    assert abs(true_peak(samples_SC) - ffmpeg_level(samples_SC)[1]) < 0.3


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_ebu_tech_3341(levels, expected):
    """Cases 1 to 5 of EBU Tech 3341: a sine of 1 kHz in both channels, (dBFS, seconds) after each other."""
    mono = np.concatenate([sine(1000, seconds, 10 ** (dbfs / 20)) for dbfs, seconds in levels])
    assert integrated(np.stack([mono, mono], 1)) == pytest.approx(expected, abs=0.1)


def test_the_standards_own_examples():
    """A full-scale sine of 997 Hz in one channel is -3.01 LUFS; peaks between samples count."""
    assert integrated(np.stack([sine(997, 5), sine(997, 5, 0)], 1)) == pytest.approx(-3.01, abs=0.02)
    between = sine(12_000, 1, 0.5, np.pi / 4)[:, None]
    assert 20 * np.log10(np.abs(between).max()) == pytest.approx(-9.03, abs=0.01)
    assert true_peak(between) == pytest.approx(-6.02, abs=0.15)


@pytest.mark.parametrize("name", ["noise", "swell", "gaps", "low", "spikes", "music"])
def test_brought_to_the_level(name):
    samples_SC, level = normalise(sounds()[name].astype(np.float32))
    lufs, peak_dbtp = ffmpeg_level(samples_SC)
    assert abs(lufs + 16) < 0.2
    assert peak_dbtp <= -1.4  # ffmpeg interpolates a little differently
    assert level.lufs == pytest.approx(-16, abs=0.06)
    assert level.peak_dbtp <= -1.49
    assert samples_SC.dtype == np.float32


def test_what_is_quiet_enough_is_only_scaled():
    given = sounds()["noise"].astype(np.float32)
    samples_SC, _ = normalise(given, -24)
    ratio = samples_SC[np.abs(given) > 0.01] / given[np.abs(given) > 0.01]
    assert np.ptp(ratio) < 1e-5


def test_silence_and_short_sounds():
    silent = np.zeros((4800, 2), np.float32)
    assert measure(silent).lufs == -np.inf
    assert not normalise(silent)[0].any()
    assert normalise(sounds()["noise"][:4800].astype(np.float32))[1].lufs == pytest.approx(-16, abs=0.1)


def test_the_limiter_holds_the_ceiling_and_leaves_the_rest():
    given = (sounds()["noise"] * 0.2).astype(np.float32)
    given[24_000] = 0.9
    out = limit(given, -6)
    assert true_peak(out) <= -5.99
    far = np.abs(np.arange(len(given)) - 24_000) > 2000
    assert np.abs(out[far] - given[far]).max() < 1e-6
    assert np.array_equal(limit(given[:20_000], -1), given[:20_000])


def test_lowest_around():
    values = np.random.default_rng(0).random(200)
    expected = [values[max(0, k - 7) : k + 8].min() for k in range(200)]
    assert np.array_equal(lowest_around(values, 7), expected)


@pytest.mark.parametrize(("target", "ceiling"), [(-3, -1.5), (-50, -1.5), (-16, 1), (-16, -20)])
def test_refuses_odd_levels(target, ceiling):
    with pytest.raises(RequestError, match="Legal"):
        normalise(np.zeros((100, 2), np.float32), target, ceiling)
