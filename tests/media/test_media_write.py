"""Failures of write, and its cost."""

from __future__ import annotations

import json
import threading
import time
import weakref

import numpy as np
import pytest
from media_clips import chunks, moving

from kinema.core.chunk import Chunk
from kinema.core.errors import Cancelled, MediaError, RequestError
from kinema.media.manifest import read_manifest
from kinema.media.read import read_video
from kinema.media.write import write

NAMES = ("a.mp4", "a.webm", "a.gif", "a.webp", "frames", "one.png")


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kinema-write"]


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, GeneratorExit])
@pytest.mark.parametrize("older", [False, True])
def test_a_broken_clip_leaves_no_trace(tmp_path, name, error, older):
    if older:
        write([Chunk(moving(1), 0, 8)], tmp_path / name, manifest={"older": True})
    before = listing(tmp_path)
    closed = []

    def breaking():
        try:
            yield Chunk(moving(1), 0, 24)
            raise error("stop")
        finally:
            closed.append(True)

    with pytest.raises(error):
        write(breaking(), tmp_path / name, manifest={"a": 1})
    assert listing(tmp_path) == before and closed == [True] and not writers()


@pytest.mark.parametrize("name", ["a.mp4", "frames"])
def test_a_listener_can_stop_the_work(tmp_path, name):
    source = chunks(moving(40), size=2)
    done = []

    def stop(event):
        done.append(event.done)
        if event.done == 7:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        write(source, tmp_path / name, on_frame=stop)
    assert done == [1, 2, 3, 4, 5, 6, 7] and not listing(tmp_path) and not writers()
    assert next(source, None) is None  # closed


def test_a_failing_encoder_stops_the_clip(tmp_path, monkeypatch):
    from kinema.media.encode_video import VideoEncoder

    def fail(self, chunk):
        raise ValueError("disk on fire")

    monkeypatch.setattr(VideoEncoder, "add", fail)
    made = []

    def endless():
        k = 0
        while True:
            made.append(k)
            yield Chunk(moving(2), 2 * k, 24)
            k += 1

    with pytest.raises(MediaError, match="disk on fire"):
        write(endless(), tmp_path / "a.mp4")
    assert len(made) < 500 and not listing(tmp_path) and not writers()


def test_few_chunks_are_alive_at_once(tmp_path):
    alive, most = weakref.WeakSet(), 0

    class Watched(np.ndarray):
        pass

    frame = moving(1, 32, 32)

    def long():
        nonlocal most
        for k in range(150):
            frames = np.repeat(frame, 4, axis=0).view(Watched)
            alive.add(_Key(frames))
            most = max(most, len(alive))
            made = Chunk(frames, 4 * k, 24)
            del frames
            yield made
            del made

    class _Key:
        def __init__(self, frames):
            frames.key = self  # lives as long as the frames

    path = write(long(), tmp_path / "a.mp4", quality="draft")
    assert len(read_video(path)[0]) == 600
    assert most <= 4


def test_encoding_runs_beside_computing(tmp_path):
    """The next chunk is requested while the first is being encoded."""
    seen = []

    def slow():
        for k in range(3):
            seen.append([thread.is_alive() for thread in writers()])
            time.sleep(0.01)
            yield Chunk(moving(1), k, 24)

    write(slow(), tmp_path / "a.mp4")
    assert seen == [[True], [True], [True]]


def test_an_older_file_is_replaced(tmp_path):
    for name in ("a.mp4", "frames"):
        write(chunks(moving(9)), tmp_path / name)
        write(chunks(moving(2)), tmp_path / name)
        assert len(read_video(tmp_path / name)[0]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "frames"]


def test_folders_with_other_things_are_kept(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "00001.png").write_text("not Kinema's")
    for name in ("mine", "photos"):
        with pytest.raises(MediaError, match="not a folder of frames that Kinema wrote"):
            write(chunks(moving(2)), tmp_path / name)
    assert (tmp_path / "photos" / "00001.png").read_text() == "not Kinema's"
    with pytest.raises(MediaError, match="slash"):
        (tmp_path / "b.mp4").mkdir()
        write(chunks(moving(2)), tmp_path / "b.mp4")
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear"
    assert write(chunks(moving(2)), f"{tmp_path}/c.frames/").is_dir()


def test_refused_before_anything_is_computed(tmp_path):
    def never():
        raise AssertionError("asked for frames")
        yield

    for name, options in [
        ("a.avi", {}),
        ("a.mp4", {"quality": "great"}),
        ("a.mp4", {"manifest": {"a": object()}}),
        ("a.mp4", {"manifest": {"a": float("nan")}}),
    ]:
        with pytest.raises(RequestError):
            write(never(), tmp_path / name, **options)
    (tmp_path / "file").write_text("x")
    with pytest.raises(MediaError):
        write(never(), tmp_path / "file" / "a.mp4")


def test_chunks_must_match(tmp_path):
    good = Chunk(moving(2), 0, 24)
    for bad in [
        Chunk(moving(2), 3, 24),
        Chunk(moving(2), 2, 25),
        Chunk(moving(2, 32, 32), 2, 24),
        Chunk(moving(2), 2, 24, np.zeros((4000, 2), np.float32)),
        Chunk(moving(2).astype(np.float32), 2, 24),
        Chunk(moving(2)[..., :1], 2, 24),
    ]:
        with pytest.raises(MediaError):
            write([good, bad], tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="No frames"):
        write([], tmp_path / "a.mp4")
    with pytest.raises(RequestError):
        write([Chunk(moving(2), 0, 0)], tmp_path / "a.mp4")
    with pytest.raises(RequestError, match="50"):
        write([Chunk(moving(2), 0, 60)], tmp_path / "a.gif")
    assert not listing(tmp_path)


@pytest.mark.parametrize("text", ["dear diary", '{"mine": 1}', "[]", "[" * 9999, '{"kinema": 1, "plan": {}}', ""])
@pytest.mark.parametrize("before", [False, True])
def test_a_strangers_sidecar_is_never_lost(tmp_path, text, before):
    """A foreign x.mp4.json: writing with a manifest is refused before work; without one, the file is kept."""
    target, sidecar = tmp_path / "x.mp4", tmp_path / "x.mp4.json"
    if before:
        write(chunks(moving(2)), target)
    sidecar.write_text(text)
    with pytest.raises(MediaError, match=r"x\.mp4\.json: not a manifest"):
        write(iter(lambda: pytest.fail("frames were asked for"), None), target, manifest={"a": 1})
    write(chunks(moving(3)), target)
    assert sidecar.read_text() == text
    assert len(read_video(target)[0]) == 3


def test_a_strangers_sidecar_that_comes_during_the_work_is_kept(tmp_path):
    target, sidecar = tmp_path / "x.mp4", tmp_path / "x.mp4.json"

    def frames():
        yield from chunks(moving(2))
        sidecar.write_text("dear diary")

    write(frames(), target, manifest={"a": 1})
    assert sidecar.read_text() == "dear diary"
    sidecar.unlink()
    assert read_manifest(target) == {"a": 1}


def test_own_sidecars_are_replaced(tmp_path):
    target = tmp_path / "x.mp4"
    for manifest in ({"a": 1}, {"b": 2}, {"kinema": "0.1.0", "plan": {}}, {"enlarged": {"clip": "y.mp4"}}, {"a": 1}):
        write(chunks(moving(2)), target, manifest=manifest)
        assert json.loads((tmp_path / "x.mp4.json").read_text()) == manifest
