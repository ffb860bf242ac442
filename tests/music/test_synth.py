"""The built-in synthesiser: repeatable, exact to the sample, with the score's tempo and notes."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from kinema import music
from kinema.core.errors import Cancelled
from kinema.music.score import Note, Part, Score, Section
from kinema.music.synth import render_part, room
from kinema.music.voices import NAMES, play

RATE = 48000


def spectrum(samples_SC: np.ndarray) -> np.ndarray:
    """Shares of the power in thirds of octaves from 40 Hz to 16 kHz."""
    power = np.abs(np.fft.rfft(samples_SC.mean(axis=1))) ** 2
    hz = np.fft.rfftfreq(len(samples_SC), 1 / RATE)
    edges = 40 * 2 ** (np.arange(27) / 3)
    bands = np.array([power[(hz >= low) & (hz < high)].sum() for low, high in itertools.pairwise(edges)])
    return bands / bands.sum()


def beat_of(samples_SC: np.ndarray, low_bpm: float = 60, high_bpm: float = 200) -> float:
    """The tempo in bpm, from the autocorrelation of onsets."""
    hop = 240
    frames = samples_SC[: len(samples_SC) // hop * hop].mean(axis=1).reshape(-1, hop)
    rise = np.maximum(0, np.diff(np.log(1e-4 + np.sqrt((frames**2).mean(axis=1)))))
    rise -= rise.mean()
    size = 1 << (2 * len(rise) - 1).bit_length()
    likeness = np.fft.irfft(np.abs(np.fft.rfft(rise, size)) ** 2, size)[: len(rise)]
    lags = np.arange(round(60 / high_bpm * RATE / hop), round(60 / low_bpm * RATE / hop) + 1)
    comb = [sum(likeness[round(lag * k)] for k in range(1, 9)) for lag in np.linspace(lags[0], lags[-1], 4000)]
    return 60 * RATE / hop / np.linspace(lags[0], lags[-1], 4000)[int(np.argmax(comb))]


@pytest.mark.parametrize("seconds", [0.5, 7.3, 10.00001])
def test_exact_length_same_bytes_no_clipping(seconds):
    one = music.make("a tense storm at night", seconds, 5, sound="own")
    two = music.make("a tense storm at night", seconds, 5, sound="own")
    assert one.samples.shape == (round(seconds * RATE), 2)
    assert one.samples.dtype == np.float32
    assert one.samples.tobytes() == two.samples.tobytes()
    assert np.isfinite(one.samples).all()
    assert np.abs(one.samples).max() < 10 ** (-1.5 / 20)
    assert one.level is not None and one.level.lufs == pytest.approx(-16, abs=0.2)
    assert np.abs(one.samples[-48:]).max() < 1e-3  # it has faded out
    assert one.procedural and one.label == "procedural music (Kinema)"
    assert one.details["composer"] == "procedural"


@pytest.mark.parametrize("bpm", [84, 120, 150])
def test_the_tempo_is_heard(bpm):
    """Measured from onsets; the double and the half are the same pulse."""
    found = beat_of(music.render(music.compose(f"dance, {bpm} bpm", 24, 2)))
    assert min(abs(found * factor / bpm - 1) for factor in (0.5, 1, 2)) < 0.02


def test_themes_sound_different():
    calm, storm, party = (
        spectrum(music.render(music.compose(words, 20, 1))) for words in ("calm", "a tense storm", "electronic party")
    )
    assert np.abs(calm - storm).sum() > 0.3
    assert np.abs(storm - party).sum() > 0.3
    assert calm[-9:].sum() < party[-9:].sum()  # fewer highs


@pytest.mark.parametrize("instrument", NAMES)
@pytest.mark.parametrize("pitch", [45, 69, 88])
def test_instruments_play_in_tune(instrument, pitch):
    """The strongest peaks are harmonics of the pitch to 12 cents; nothing is left when the note has ended."""
    sound = play(instrument, pitch, RATE, 4 * RATE)
    assert np.isfinite(sound).all() and 0.05 < np.abs(sound).max() < 4
    assert np.abs(sound[:, -1]).max() < 0.01
    mono = sound[:, :RATE].mean(axis=0)
    power = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), 8 * RATE))
    hz = np.argmax(power[160:]) / 8 + 20
    partials = (1, 2, 2.76, 4.07, 5.4) if instrument == "bells" else range(1, 30)
    cents = min(abs(1200 * np.log2(hz / (440 * 2 ** ((pitch - 69) / 12) * k))) for k in partials)
    assert cents < 12


def test_a_note_sounds_where_it_is_written():
    section = Section("A1", 0, 4, 0.5, (0,))
    part = Part("keys", "piano", (Note(2.0, 1.0, 60, 1.0),), pan=-1.0)
    score = Score("x", 0, 4.0, 60.0, 4, 0, "ionian", (section,), (part,))
    sound = render_part(score, part, 4 * RATE)
    assert not sound[:, : 2 * RATE].any()
    assert np.abs(sound[0, 2 * RATE : 2 * RATE + 480]).max() > 0.1
    assert np.abs(sound[1]).max() < 1e-4  # hard left


def test_the_room_answers_differently_left_and_right():
    left, right = room(0), room(1)
    assert np.sum(left**2) == pytest.approx(1, abs=1e-4)
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.1


def test_a_minute_is_a_matter_of_seconds():
    started = time.process_time()
    music.make("adventure", 60, 1, sound="own")
    assert time.process_time() - started < 15


def test_it_can_be_stopped():
    def stop(_event):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        music.make("calm", 10, 1, sound="own", on_event=stop)
