"""Music for a clip: the clip's duration, below its own sound, normalised."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from ebur128 import ffmpeg_level

from kinema import music
from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError, RequestError
from kinema.media.manifest import read_manifest, sidecar_of
from kinema.media.read import read_audio
from kinema.media.write import write
from kinema.music.clip import theme_of
from kinema.music.loudness import integrated

RATE = 48000


def clip(path, seconds=6, sound=None, prompt=None):
    """Gray pictures at 12 fps, with a sound."""
    frames = np.full((round(seconds * 12), 32, 48, 3), 128, np.uint8)
    return write([Chunk(frames, 0, 12, sound)], path, manifest={"plan": {"prompt": prompt}} if prompt else None)


def voice(seconds=6):
    """Something like a voice: noise in bursts, at about -30 LUFS."""
    noise = np.random.default_rng(2).standard_normal((seconds * RATE, 1)).astype(np.float32) * 0.03
    return noise * (np.sin(np.arange(seconds * RATE) / RATE * 7)[:, None] > -0.5).astype(np.float32)


def test_a_silent_clip_gets_music_of_its_length(tmp_path):
    given = clip(tmp_path / "clip.mp4")
    track = music.put_under(given, tmp_path / "scored.mp4", "a tense storm", 3, sound="own")
    assert track.seconds == 6
    back = read_audio(tmp_path / "scored.mp4")
    assert abs(len(back) - 6 * RATE) < 1100
    lufs, peak_dbtp = ffmpeg_level(back)
    assert abs(lufs + 16) < 0.2
    assert peak_dbtp <= -1.0  # AAC moves peaks by up to half a dB
    ends = np.abs(back[round(5.95 * RATE) :]).max()
    assert ends < 0.02
    with av.open(str(tmp_path / "scored.mp4")) as file:
        notes = json.loads(file.metadata["kinema_music"])
    assert notes["procedural"] is True and notes["seed"] == 3


def test_music_goes_under_the_clips_own_sound(tmp_path):
    own = np.repeat(voice(), 2, axis=1)
    given = clip(tmp_path / "clip.mp4", sound=voice())
    track = music.put_under(given, tmp_path / "scored.mp4", "calm", 3, sound="own")
    assert abs(integrated(track.samples) + 16) < 0.2
    gain = np.sum(track.samples * own) / np.sum(own * own)
    rest = track.samples - gain * own
    assert integrated(rest) == pytest.approx(integrated(gain * own) - 10, abs=1.0)
    alone = music.put_under(given, tmp_path / "replaced.mp4", "calm", 3, sound="own", replace_sound=True)
    assert np.array_equal(alone.samples, music.make("calm", 6, 3, sound="own").samples)


def test_silence_in_the_file_counts_as_no_sound(tmp_path):
    given = clip(tmp_path / "clip.mp4", sound=np.zeros((6 * RATE, 2), np.float32))
    track = music.put_under(given, tmp_path / "scored.mp4", "calm", 3, sound="own")
    assert np.array_equal(track.samples, music.make("calm", 6, 3, sound="own").samples)


def test_the_theme_is_the_clips_own_prompt(tmp_path):
    given = clip(tmp_path / "clip.mp4", prompt="a scary night")
    assert theme_of(given) == "a scary night"
    track = music.put_under(given, tmp_path / "scored.mp4", seed=1, sound="own")
    assert track.details["words"] == "a scary night"
    assert theme_of(tmp_path / "scored.mp4") == "a scary night"  # the notes of the clip are kept
    plain = music.put_under(clip(tmp_path / "plain.mp4"), tmp_path / "two.mp4", seed=1, sound="own")
    assert plain.details["words"] == "calm, warm"


def test_refusals_come_first(tmp_path):
    given = clip(tmp_path / "clip.mp4", seconds=0.25)
    with pytest.raises(RequestError, match=r"0\.5 to 1800"):
        music.put_under(given, tmp_path / "scored.mp4", "calm", sound="own")
    with pytest.raises(RequestError, match="Legal: 0 to 40"):
        music.put_under(given, tmp_path / "scored.mp4", "calm", under_lu=-3)
    with pytest.raises(RequestError, match=r"Legal: \.mp4"):
        music.put_under(given, tmp_path / "scored.gif", "calm")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clip.mp4"]


@pytest.mark.parametrize("name", ["scored.mp4", "scored.mkv", "scored.mov"])
def test_what_was_done_is_noted_in_the_file_and_beside_it(tmp_path, name):
    given = clip(tmp_path / "clip.mp4", prompt="a scary night", sound=voice())
    music.put_under(given, tmp_path / name, "calm", 3, sound="own")
    found = read_manifest(tmp_path / name)
    assert found["plan"] == {"prompt": "a scary night"}
    assert (found["scored"]["clip"], found["scored"]["own_sound"]) == ("clip.mp4", "kept")
    assert (found["scored"]["music"]["words"], found["scored"]["music"]["seed"]) == ("calm", 3)
    assert json.loads(sidecar_of(tmp_path / name).read_text()) == found
    music.put_under(tmp_path / name, tmp_path / "again.mp4", "fast", 4, sound="own", replace_sound=True)
    again = read_manifest(tmp_path / "again.mp4")["scored"]
    assert (again["clip"], again["own_sound"], again["music"]["words"]) == (name, "left out", "fast")


def test_webm_has_one_note(tmp_path):
    given = clip(tmp_path / "clip.webm", prompt="x")
    music.put_under(given, tmp_path / "scored.webm", "calm", 3, sound="own")
    with av.open(str(tmp_path / "scored.webm")) as file:
        assert [name.lower() for name in file.metadata].count("kinema") == 1
    assert "scored" in read_manifest(tmp_path / "scored.webm")


def test_a_strangers_file_beside_it_stays(tmp_path):
    (tmp_path / "scored.mp4.json").write_text('{"mine": 1}')
    with pytest.raises(MediaError, match="not a manifest that Kinema wrote"):
        music.put_under(clip(tmp_path / "clip.mp4"), tmp_path / "scored.mp4", "calm", 3, sound="own")
    assert (tmp_path / "scored.mp4.json").read_text() == '{"mine": 1}' and not (tmp_path / "scored.mp4").exists()
