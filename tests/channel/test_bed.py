"""The music bed: always the requested number of samples, even crossfades, damaged files skipped."""

from __future__ import annotations

import time
import wave

import numpy as np
import pytest

from kinema.channel.airing.bed import AheadBed, Bed, music_in
from kinema.channel.airing.sound import SoundEncoder

RATE = 48_000


def tone(path, hertz, seconds, level=0.3, rate=RATE):
    samples = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def power_of(samples_SC, hertz):
    """The power fraction of a tone in each second."""
    made = []
    for start in range(0, len(samples_SC) - RATE + 1, RATE):
        part = samples_SC[start : start + RATE, 0]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(RATE))) ** 2
        made.append(spectrum[hertz - 3 : hertz + 4].sum() / max(spectrum.sum(), 1e-9))
    return np.array(made)


def test_files_run_into_each_other_at_equal_power(tmp_path):
    tone(tmp_path / "a.wav", 400, 20), tone(tmp_path / "b.wav", 700, 20, rate=44_100)
    bed = Bed(music_in(tmp_path), seed=1)
    samples = np.concatenate([bed.take(1024 * 8) for _ in range(48_000 * 62 // 8192)])
    one, two = power_of(samples, 400), power_of(samples, 700)
    if two[0] > one[0]:
        one, two = two, one
    assert one[0] > 0.95 and one[14] > 0.95, "the first alone until four seconds before its end"
    assert 0.3 < one[17] < 0.7 and 0.3 < two[17] < 0.7, "half and half in the middle of the fade"
    assert two[21] > 0.95 and one[21] < 0.05 and one[40] > 0.95, "then the second, then the first again"
    power = (samples.reshape(-1, 2)[: RATE * 60] ** 2).mean(1).reshape(60, RATE).mean(1)
    assert power.min() > 0.9 * power.max(), "no dip at a fade"
    assert np.abs(np.diff(samples[:, 0])).max() < 0.06, "no click"


def test_damaged_and_short_files_are_left_out(tmp_path, caplog):
    tone(tmp_path / "good.wav", 400, 12), tone(tmp_path / "short.wav", 500, 2)
    (tmp_path / "bad.mp3").write_bytes(b"not music" * 1000)
    (tmp_path / "empty.wav").write_bytes(b"")
    data = tone(tmp_path / "cut.wav", 600, 30).read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[: len(data) // 2])
    samples = Bed(music_in(tmp_path)).take(RATE * 90)
    assert len(samples) == RATE * 90
    heard = power_of(samples, 400) + power_of(samples, 600)
    assert (heard > 0.9).all() and (power_of(samples, 600) > 0.9).any(), "a truncated file is played as far as possible"
    assert "bad.mp3 is skipped" in caplog.text and "short.wav is skipped" in caplog.text


def test_no_music_is_silence_until_there_is_some(tmp_path):
    bed = Bed(music_in(tmp_path / "not there"))
    assert np.abs(bed.take(5000)).max() == 0 and bed.playing == ""
    bed = Bed(music_in(tmp_path))
    assert np.abs(bed.take(RATE)).max() == 0
    tone(tmp_path / "a.wav", 400, 12)
    assert np.abs(bed.take(2 * RATE)[RATE:]).max() > 0.2 and bed.playing == "a.wav"


def test_a_file_that_vanishes_while_it_plays_is_played_to_its_end(tmp_path):
    tone(tmp_path / "a.wav", 400, 12), tone(tmp_path / "b.wav", 400, 12)
    bed = Bed(music_in(tmp_path))
    bed.take(RATE)
    for path in tmp_path.iterdir():
        path.unlink()
    samples = bed.take(RATE * 30)
    assert np.abs(samples[: RATE * 6]).max() > 0.2 and np.abs(samples[-RATE:]).max() == 0


def test_reading_ahead_never_waits(tmp_path):
    class Slow:
        playing = ""

        def take(self, num_samples):
            time.sleep(0.3)
            return np.ones((num_samples, 2), np.float32)

    ahead = AheadBed(Slow())
    began = time.monotonic()
    taken = [ahead.take(8192) for _ in range(20)]
    assert time.monotonic() - began < 0.2 and all(part.shape == (8192, 2) for part in taken) and ahead.missed
    time.sleep(1.0)
    assert ahead.take(8192).mean() == pytest.approx(1.0)
    ahead.close()


def test_the_encoder_counts_samples_from_where_it_is_told():
    encoder = SoundEncoder(first_sample=5000)
    packets = [media for _ in range(3) for media in encoder.take(np.zeros((4096, 2), np.float32))]
    assert [media.at for media in packets] == [5120 + 1024 * k for k in range(12)] and encoder.next_at == 5120 + 12288
