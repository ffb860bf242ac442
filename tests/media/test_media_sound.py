"""Sound files, and clips with another sound track: durations, levels, and unchanged picture packets."""

from __future__ import annotations

import av
import numpy as np
import pytest
from media_clips import chunks, moving

from kinema.core.errors import Cancelled, MediaError, RequestError
from kinema.media.read import read_audio, read_video
from kinema.media.with_sound import with_sound
from kinema.media.write import write
from kinema.media.write_audio import FORMATS, write_audio

TONE = np.stack([np.sin(2 * np.pi * hz * np.arange(70_001) / 48_000) * 0.4 for hz in (440, 660)], 1).astype(np.float32)


def packets(path, kind="video"):
    with av.open(str(path)) as file:
        stream = next(each for each in file.streams if each.type == kind)
        found = [
            (float(p.pts * p.time_base), float(p.dts * p.time_base), p.is_keyframe, bytes(p))
            for p in file.demux(stream) if p.dts is not None
        ]  # fmt: skip
        return found, bytes(stream.codec_context.extradata or b"")


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_round_trip(tmp_path, suffix):
    path = write_audio(TONE, tmp_path / f"a{suffix}", notes={"comment": "procedural"})
    assert path.read_bytes() == write_audio(TONE, tmp_path / f"b{suffix}", notes={"comment": "procedural"}).read_bytes()
    back = read_audio(path)
    if suffix in (".wav", ".flac"):
        assert back.shape == TONE.shape
        assert np.abs(back - TONE).max() < 1 / 32768
    else:
        assert 0 <= len(back) - len(TONE) < 3000
        power = np.abs(np.fft.rfft(back[4800:52_800, 0]))
        assert np.argmax(power) == 440
        assert back[4800:52_800].std() == pytest.approx(TONE.std(), rel=0.05)
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_mono_and_notes(tmp_path):
    path = write_audio(TONE[:, :1], tmp_path / "a.m4a", notes={"comment": "procedural"})
    assert read_audio(path).shape[1] == 1
    with av.open(str(path)) as file:
        assert file.metadata["comment"] == "procedural"


def test_refusals_and_stops_leave_nothing(tmp_path):
    with pytest.raises(RequestError, match=r"Legal: \.wav"):
        write_audio(TONE, tmp_path / "a.mid")
    with pytest.raises(MediaError, match="cannot be written"):
        write_audio(TONE, tmp_path / "nowhere" / "a.wav")

    def stop(_event):
        raise Cancelled("stopped")

    (tmp_path / "old.m4a").write_bytes(b"old")
    with pytest.raises(Cancelled):
        write_audio(TONE, tmp_path / "old.m4a", on_event=stop)
    assert (tmp_path / "old.m4a").read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["old.m4a"]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("had_sound", [False, True])
def test_picture_packets_are_copied(tmp_path, suffix, had_sound):
    frames = moving(36)
    given = tmp_path / f"clip{suffix}"
    old = TONE[::-1][: 48000 * 36 // 24] if had_sound else None
    write(chunks(frames, 24, audio=old), given, manifest={"made": "by a test"})
    made = with_sound(given, TONE, tmp_path / f"scored{suffix}", notes={"kinema_music": "{}"})
    assert packets(made) == packets(given)
    assert np.array_equal(read_video(made)[0], read_video(given)[0])
    back = read_audio(made)
    assert 0 <= len(back) - len(TONE) < 3000
    assert np.argmax(np.abs(np.fft.rfft(back[:48_000, 0]))) == 440
    with av.open(str(made)) as file:
        notes = {name.lower(): value for name, value in file.metadata.items()}
        assert notes["kinema"] == '{"made": "by a test"}'
        assert notes["kinema_music"] == "{}"
        assert [stream.type for stream in file.streams] == ["video", "audio"]
    assert (
        with_sound(given, TONE, tmp_path / f"again{suffix}", notes={"kinema_music": "{}"}).read_bytes()
        == made.read_bytes()
    )


def test_into_another_container(tmp_path):
    given = write(chunks(moving(24), 24), tmp_path / "clip.mp4")
    made = with_sound(given, TONE[:48_000], tmp_path / "clip.mkv")
    assert np.array_equal(read_video(made)[0], read_video(given)[0])
    with pytest.raises(MediaError, match="cannot hold"):
        with_sound(given, TONE, tmp_path / "clip.webm")
    assert not (tmp_path / "clip.webm").exists()


def test_clips_that_cannot_be_scored(tmp_path):
    given = write(chunks(moving(12), 24), tmp_path / "clip.mp4")
    before = given.read_bytes()
    with pytest.raises(RequestError, match="over itself"):
        with_sound(given, TONE, given)
    with pytest.raises(RequestError, match=r"Legal: \.mp4"):
        with_sound(given, TONE, tmp_path / "clip.gif")
    with pytest.raises(MediaError, match="No such file"):
        with_sound(tmp_path / "nothing.mp4", TONE, tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="no pictures"):
        with_sound(write_audio(TONE, tmp_path / "a.m4a"), TONE, tmp_path / "out.mp4")
    assert given.read_bytes() == before
    assert not list(tmp_path.glob(".*"))
