"""Edits of clips in the formats of cameras, phones and the web: only the masked area changes."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

import kinema
from kinema.core.chunk import Chunk
from kinema.engine import windows as engine_windows
from kinema.engine.edit import edit
from kinema.engine.plan import plan as make_plan
from kinema.media.read import probe, read_video
from kinema.media.write import write

RED = (200, 40, 30)
PLACE = (0.25, 0.25, 0.5, 0.5)


@pytest.fixture(autouse=True)
def painted(monkeypatch):
    """Replaces the sampling loop: the masked area becomes red."""

    def paint(plan, family, *, on_event, window, **kept):
        frames = np.rint((window.frames_FHWC + 1) * 127.5)
        frames[window.mask_FHW > 0.5] = RED
        yield Chunk(frames.astype(np.uint8), plan.spans[0].start, plan.fps)

    monkeypatch.setattr(engine_windows, "generate", paint)


def scene(num, height, width):
    """A gradient that moves, and a bright corner at the upper left that says which way is up."""
    rows, columns = np.mgrid[:height, :width]
    frames = [np.stack([columns, rows, np.full_like(rows, 9 * n)], -1).clip(0, 255) for n in range(num)]
    frames = np.stack(frames).astype(np.uint8)
    frames[:, : height // 6, : width // 6] = 250
    return frames


def encode(path, frames, *, pixels="yuv420p", turn=0, times_ms=None):
    """A file by PyAV alone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = times_ms[number] if times_ms else 40 * number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def edited(path, out):
    """(plan, frames of the source, frames of the edit as written)."""
    conditions = (kinema.Source(video=str(path)), kinema.Mask(boxes=(PLACE,)))
    plan = make_plan(kinema.Request(canvas="source", seed=1, conditions=conditions), device="cpu")
    written = write(edit(plan, lambda: None), out, quality="best")
    return plan, read_video(path), read_video(written)


def check_place(before, after):
    """The masked area is red; pixels far from it are unchanged."""
    assert before.shape == after.shape
    height, width = before.shape[1:3]
    left, top, right, bottom = (round(part * side) for part, side in zip(PLACE, (width, height) * 2, strict=True))
    assert np.abs(after[:, top + 4 : bottom - 4, left + 4 : right - 4].astype(int) - RED).max(-1).mean() < 12
    away = np.ones((height, width), bool)
    away[top - 6 : bottom + 6, left - 6 : right + 6] = False
    error = (before[:, away].astype(float) - after[:, away]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) >= 42


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_phone_clip_stays_upright(tmp_path, turn):
    path = encode(tmp_path / "phone.mp4", scene(9, 96, 160), turn=turn)
    plan, (before, fps), (after, rate) = edited(path, tmp_path / "out.mp4")
    assert plan.size == ((160, 96) if turn == 180 else (96, 160)) and rate == fps
    check_place(before, after)


def test_portrait_and_odd_sizes(tmp_path):
    path = encode(tmp_path / "tall.mp4", scene(9, 178, 100))
    plan, (before, fps), (after, _) = edited(path, tmp_path / "out.mp4")
    assert plan.size == (100, 178) and plan.fps == fps
    check_place(before, after)


def test_ten_bits_are_read_and_said(tmp_path):
    path = encode(tmp_path / "deep.mp4", scene(9, 96, 128), pixels="yuv420p10le")
    plan, (before, _), (after, _) = edited(path, tmp_path / "out.mp4")
    assert any("10 bits" in note for note in plan.notes)
    check_place(before, after)


def test_a_variable_rate_keeps_count_and_length(tmp_path):
    times = [0, 40, 80, 120, 160, 200, 600, 640, 680, 960]
    path = encode(tmp_path / "varied.mp4", scene(10, 96, 128), times_ms=times)
    plan, (before, fps), (after, rate) = edited(path, tmp_path / "out.mp4")
    assert any("variable frame rate" in note for note in plan.notes)
    old, new = probe(path), probe(tmp_path / "out.mp4")
    assert rate == pytest.approx(fps) and new.num_frames == old.num_frames == 10
    check_place(before, after)


def test_a_gif_in_and_a_gif_out(tmp_path):
    path = write([Chunk(scene(12, 64, 96), 0, 10.0)], tmp_path / "moving.gif")
    plan, (before, fps), (after, rate) = edited(path, tmp_path / "out.gif")
    assert fps == rate == plan.fps == 10 and before.shape == after.shape == (12, 64, 96, 3)
    left, top, right, bottom = 24, 16, 48, 32
    inside = after[:, top + 4 : bottom - 4, left + 4 : right - 4].astype(int)
    assert np.abs(inside - RED).mean() < 20  # a GIF has 256 colours
    away = np.ones((64, 96), bool)
    away[top - 6 : bottom + 6, left - 6 : right + 6] = False
    assert np.abs(before[:, away].astype(int) - after[:, away]).mean() < 8


def test_who_follows_is_settled_in_the_plan(tmp_path):
    path = encode(tmp_path / "a.mp4", scene(9, 96, 128))
    conditions = (kinema.Source(video=str(path)), kinema.Mask(click=(0.05, 0.05)))
    plan = make_plan(kinema.Request(canvas="source", conditions=conditions), device="cpu")
    assert next(c for c in plan.conditions if c.kind == "mask").tracker == "opencv"
    named = (conditions[0], kinema.Mask(click=(0.05, 0.05), tracker="sam2"))
    with pytest.raises(kinema.WeightsMissing, match="SAM 2"):
        make_plan(kinema.Request(canvas="source", conditions=named), device="cpu")
    words = (conditions[0], kinema.Mask(object="the bright corner"))
    with pytest.raises(kinema.WeightsMissing, match="grounding-dino"):
        make_plan(kinema.Request(canvas="source", conditions=words), device="cpu")
