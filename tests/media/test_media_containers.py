"""Every supported container returns exactly the frames of a decoder that reads it once from the start."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_with_av import CLICK_S, KINDS, RATE, Kind, make, numbers

from kinema.core.errors import MediaError
from kinema.media.color import to_rgb
from kinema.media.open import _CONTAINERS
from kinema.media.read import probe, read_audio, read_chunks, read_video
from kinema.media.timeline import exact_rate, held, timeline

OFF_S = 0.00102
"""Matroska rounds times to a millisecond."""

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def truth(path) -> np.ndarray:
    """All frames, by PyAV, one after another."""
    with av.open(str(path)) as container:
        return np.stack([to_rgb(frame) for frame in container.decode(video=0)])


def click_s(samples_SC: np.ndarray) -> float:
    """The start of the click in seconds."""
    loud = np.abs(samples_SC[:, 0])
    return float(np.flatnonzero(loud > loud.max() / 2)[0]) / 48_000


def check(path, kind: Kind, num_frames: int) -> None:
    wanted = truth(path)
    assert numbers(wanted) == list(range(num_frames))
    frames, fps = read_video(path)
    np.testing.assert_array_equal(frames, wanted)
    assert fps == RATE
    info = probe(path)
    assert (info.num_frames, info.fps, info.variable_fps) == (num_frames, RATE, False)
    assert info.has_audio == bool(kind.sound)
    middle = num_frames * 2 // 3
    for start, stop in ((middle, num_frames), (1, 4), (middle, middle + 1)):
        part = np.concatenate([c.frames for c in read_chunks(path, start=start, stop=stop, chunk_frames=3)])
        np.testing.assert_array_equal(part, wanted[start:stop])
    if kind.sound:
        assert click_s(read_audio(path)) == pytest.approx(CLICK_S, abs=OFF_S)
        along = np.concatenate([chunk.audio for chunk in read_chunks(path, start=5)])
        assert click_s(along) == pytest.approx(CLICK_S - 5 / RATE, abs=OFF_S)
        assert len(along) == round((num_frames - 5) * 48_000 / RATE)


@each_kind
def test_one_group_of_pictures(tmp_path, kind):
    num_frames = 30 if kind.size[0] < 100 else 8
    check(make(tmp_path / f"a.{kind.suffix}", kind, num_frames), kind, num_frames)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.gops and kind.size[0] < 100], ids=lambda k: k.name)
def test_many_groups_of_pictures(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("kinema.media.decode_video._SEEK_FROM", 4)  # so that it seeks in short files too
    check(make(tmp_path / f"a.{kind.suffix}", kind, gop=6), kind, 30)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.late], ids=lambda kind: kind.name)
def test_a_clip_that_begins_late(tmp_path, kind):
    check(make(tmp_path / f"a.{kind.suffix}", kind, pts=list(range(50, 80)), gop=12), kind, 30)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.vfr], ids=lambda kind: kind.name)
def test_frames_of_any_length(tmp_path, kind):
    """Frames are held until the next is due, at the average rate; random access returns the same."""
    at = [0, 1, 2, 5, 6, 7, 13, 14, 15, 24, 25, 26, 27, 33]
    path = make(tmp_path / f"a.{kind.suffix}", kind, num_frames=len(at), pts=at, gop=5)
    assert numbers(truth(path)) == list(range(len(at)))
    frames, fps = read_video(path)
    due = [max(j for j, when in enumerate(at) if (when - at[0]) * fps / RATE <= k + 0.5) for k in range(len(at))]
    assert probe(path).variable_fps
    assert 9 <= fps <= 11
    assert numbers(frames) == due
    assert numbers(np.concatenate([c.frames for c in read_chunks(path, start=6)])) == due[6:]


def test_a_recording_that_begins_anywhere(tmp_path):
    """A stream cut within a group of pictures: undecodable frames before the first keyframe are skipped."""
    kind = next(kind for kind in KINDS if kind.name == "ts-libx264")
    whole = make(tmp_path / "a.ts", kind, gop=10).read_bytes()
    cut = tmp_path / "cut.ts"
    found = None
    for packets in range(6, len(whole) // 188, 2):  # the first one that still has a group of pictures left
        cut.write_bytes(whole[: 188 * 3] + whole[188 * packets :])
        try:
            found = numbers(read_video(cut)[0])
        except MediaError:
            continue
        if len(found) < 25:
            break
    assert found is not None
    assert found in (list(range(10, 30)), list(range(20, 30)))
    assert probe(cut).num_frames == len(found)


def test_what_is_named_is_opened():
    """Every name in the list is a demuxer that opens files without further options."""
    known = {name for form in av.formats_available for name in form.split(",")}
    for name in _CONTAINERS.split(","):
        assert name in known
        assert av.ContainerFormat(name, "r").is_input
    assert "rawvideo" not in _CONTAINERS


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    kinds = [kind for kind in KINDS if kind.size[0] < 100]
    return [(kind.suffix, make(folder / f"a.{kind.suffix}", kind, 8, gop=4).read_bytes()) for kind in kinds]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_gives_a_media_error_or_a_clip(samples, tmp_path, data):
    """Mostly damaged headers: zero frame rates, zero time bases, endless durations."""
    suffix, content = data.draw(st.sampled_from(samples))
    content = bytearray(content)
    head = min(len(content), data.draw(st.sampled_from([64, 400, len(content)])))
    for _ in range(data.draw(st.integers(1, 6))):
        at, width = data.draw(st.integers(0, head - 1)), data.draw(st.sampled_from([1, 4, 8]))
        content[at : at + width] = data.draw(st.sampled_from([b"\0" * width, b"\xff" * width, b"\1" * width]))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(bytes(content))
    for reader in (probe, read_video, read_audio, lambda each: list(read_chunks(each, start=3))):
        try:
            found = reader(path)
        except MediaError as error:
            assert str(path) in str(error)
            continue
        if reader is probe:
            assert 0.1 <= found.fps <= 1000
            assert found.num_frames > 0


@pytest.mark.parametrize("at", [16, 20])
def test_a_time_base_of_nothing(tmp_path, at):
    kind = next(kind for kind in KINDS if kind.suffix == "ivf")
    path = make(tmp_path / "a.ivf", kind, 4)
    content = bytearray(path.read_bytes())
    content[at : at + 4] = b"\0\0\0\0"
    path.write_bytes(bytes(content))
    for reader in (probe, read_video):
        try:
            reader(path)
        except MediaError as error:
            assert "a.ivf" in str(error)


def test_a_rate_of_nothing(tmp_path, monkeypatch):
    """All frames at once, or over centuries."""
    assert timeline([0.0, 0.0], 0.0, [None]).fps == 24
    kind = next(kind for kind in KINDS if kind.name == "mkv-libx264")
    path = make(tmp_path / "a.mkv", kind, 4)
    for seconds in (1e-9, 1e9, 1e300):
        monkeypatch.setattr(
            "kinema.media.decoder.timeline", lambda times, _s, _r, s=seconds: held(times, exact_rate(4 / s), 4)
        )
        with pytest.raises(MediaError, match="frames in"):
            probe(path)
