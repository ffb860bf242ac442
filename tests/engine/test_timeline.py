"""Frames of an edited or continued clip: each at its position, and an error names a truncated clip."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kinema.conditions import clip as conditions_clip
from kinema.conditions import inputs
from kinema.core.chunk import Chunk
from kinema.core.conditions import Continue, Control, Mask, Source
from kinema.core.errors import MediaError
from kinema.core.plan import Plan
from kinema.core.request import Request
from kinema.core.resolve import resolve
from kinema.engine.edit import edit
from kinema.engine.timeline import open_timeline
from kinema.families.wan.cards import MINI
from kinema.media.write import write

FRAMES = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Six frames, each of its own gray."""
    gray = np.arange(FRAMES, dtype=np.uint8)[:, None, None, None] * 30 + 40
    path = tmp_path_factory.mktemp("timeline") / "clip.mp4"
    write([Chunk(np.broadcast_to(gray, (FRAMES, 32, 32, 3)).copy(), 0, 8.0)], path, quality="best")
    return str(path)


def plan_of(frames: int, *conditions) -> Plan:
    found = resolve(Request(prompt="x", seed=1, canvas="source"), MINI)
    return found.model_copy(update={"conditions": conditions, "frames": frames, "output": (32, 32)})


@pytest.mark.parametrize("more", [1, 5])
def test_a_source_that_decodes_short(clip, more):
    plan = plan_of(FRAMES + more, Source(video=clip), Mask(nothing=True))
    line = open_timeline(plan)
    assert [round(line.frame(index)[0].mean() / 10) for index in (0, 5)] == [4, 19]
    with pytest.raises(MediaError, match=f"only 6 of the {FRAMES + more} frames"):
        line.frame(FRAMES + more - 1)
    with pytest.raises(MediaError, match="only 6 of the"):
        list(edit(plan, SimpleNamespace))


def test_a_mask_and_a_control_that_decode_short(clip):
    plan = plan_of(FRAMES, Source(video=clip), Mask(everything=True), Control(control="gray", video=clip))
    line = open_timeline(plan)
    assert line.mask(FRAMES - 1).all() and line.control(FRAMES - 1) is not None
    followed = open_timeline(plan.model_copy(update={"frames": FRAMES + 2}))
    with pytest.raises(MediaError, match="are readable"):
        followed.mask(FRAMES + 1)


@pytest.mark.parametrize("claim", [FRAMES - 2, FRAMES + 3])
def test_frames_after_a_continued_clip_stay_in_place(clip, claim, monkeypatch):
    """A wrong header must not shift later frames."""
    real = inputs.info(clip)
    monkeypatch.setattr(inputs, "info", lambda media: SimpleNamespace(num_frames=claim, has_audio=False))
    line = open_timeline(plan_of(2 * claim + 4, Continue(clip=clip), Continue(clip=clip, place="end")))
    if claim > real.num_frames:
        with pytest.raises(MediaError, match=f"only 6 of the {claim} frames"):
            line.frame(claim)
        return
    grays = [frame if frame is None else round(frame.mean() / 10) for frame, _ in map(line.frame, range(2 * claim + 4))]
    assert grays == [4, 7, 10, 13, None, None, None, None, 4, 7, 10, 13]


def test_a_whole_model_that_begins_with_a_short_clip(clip):
    plan = plan_of(FRAMES + 1, Source(video=clip))
    with pytest.raises(MediaError, match="only 6 of the 7 requested frames"):
        conditions_clip.prepare(plan)
