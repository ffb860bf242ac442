"""Standard MIDI files, and FluidSynth if installed."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest

from kinema import music
from kinema.core.errors import MediaError, RequestError
from kinema.music import soundfont
from kinema.music.midi import PROGRAMS, TICKS_A_BEAT, to_midi
from kinema.music.voices import NAMES

HERE = shutil.which("fluidsynth") is not None and soundfont.find() is not None


def parse(data: bytes) -> list[list[tuple[int, bytes]]]:
    """Tracks of (tick, event); events of the kinds that Kinema writes."""
    assert data[:4] == b"MThd" and struct.unpack(">IHHH", data[4:14]) == (
        6,
        1,
        struct.unpack(">H", data[10:12])[0],
        TICKS_A_BEAT,
    )
    at, tracks = 14, []
    while at < len(data):
        assert data[at : at + 4] == b"MTrk"
        length = struct.unpack(">I", data[at + 4 : at + 8])[0]
        chunk, at, tick, events, k = data[at + 8 : at + 8 + length], at + 8 + length, 0, [], 0
        while k < len(chunk):
            value = 0
            while True:
                value = value << 7 | chunk[k] & 0x7F
                k += 1
                if not chunk[k - 1] & 0x80:
                    break
            tick += value
            size = 3 + chunk[k + 2] if chunk[k] == 0xFF else 2 if chunk[k] & 0xF0 == 0xC0 else 3
            events.append((tick, chunk[k : k + size]))
            k += size
        tracks.append(events)
    return tracks


def test_a_midi_file_says_what_the_score_says():
    score = music.compose("epic battle, 100 bpm", 24, 2)
    tracks = parse(to_midi(score))
    assert len(tracks) == len(score.parts) + 1
    assert tracks[0][0] == (0, b"\xff\x51\x03" + (600_000).to_bytes(3, "big"))
    end = round(24 * 100 / 60 * TICKS_A_BEAT)
    for part, events in zip(score.parts, tracks[1:]):
        on = sorted((tick, event[1]) for tick, event in events if event[0] & 0xF0 == 0x90)
        assert on == sorted((round(note.start * TICKS_A_BEAT), note.pitch) for note in part.notes)
        off = [tick for tick, event in events if event[0] & 0xF0 == 0x80]
        assert len(off) == len(on) and max(off) <= end
        assert events[-1] == (end, b"\xff\x2f\x00")
        channel = {event[0] & 0x0F for _, event in events if event[0] != 0xFF}
        assert (channel == {9}) == (part.role == "drums")


def test_every_voice_has_a_program():
    assert set(PROGRAMS) == set(NAMES)


@pytest.mark.skipif(
    not HERE, reason="fluidsynth and a soundfont are not installed (apt install fluidsynth timgm6mb-soundfont)"
)
def test_fluidsynth_plays_it():
    track = music.make("sad piano, 80 bpm", 9.5, 1, sound=str(soundfont.find()))
    own = music.make("sad piano, 80 bpm", 9.5, 1, sound="own")
    assert track.samples.shape == own.samples.shape
    assert track.details["sound"].endswith(".sf2") and track.procedural
    assert track.level is not None and abs(track.level.lufs + 16) < 0.2 and track.level.peak_dbtp <= -1.49
    assert np.abs(track.samples - own.samples).max() > 0.1
    wide = music.make("a tense storm with strings and synth", 9.5, 1, sound=str(soundfont.find())).samples
    assert np.corrcoef(wide.T)[0, 1] > -0.1  # nothing vanishes where left and right become one
    assert np.abs(wide.mean(axis=0)).max() < 1e-3
    assert music.make("sad", 1, 1, sound="auto").details["sound"].endswith(".sf2")


def test_without_fluidsynth_the_own_synthesiser_plays(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert soundfont.choose("auto") is None
    font = tmp_path / "a.sf2"
    font.write_bytes(b"RIFF\0\0\0\0sfbk")
    with pytest.raises(RequestError, match="apt install fluidsynth"):
        soundfont.choose(str(font))


def test_refuses_what_is_no_soundfont(tmp_path):
    (tmp_path / "a.sf2").write_text("no")
    for name in (str(tmp_path / "a.sf2"), str(tmp_path / "b.sf2"), "loud"):
        with pytest.raises(RequestError, match=r"own, auto, or a \.sf2 file"):
            music.make("calm", 5, 1, sound=name)


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="fluidsynth is not installed")
def test_a_broken_soundfont_is_an_error(tmp_path):
    font = tmp_path / "a.sf2"
    font.write_bytes(b"RIFF\0\0\0\0sfbk")
    score = music.compose("calm", 1, 1)
    with pytest.raises(MediaError, match="--sound own"):
        soundfont.render(score, str(font))
