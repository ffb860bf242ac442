"""Resampling changes nothing except the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.engine.upscale import resampled


def clip(num=3, audio=None, taken=None, closed=None):
    try:
        for k in range(num):
            if taken is not None:
                taken.append(k)
            yield Chunk(np.full((2, 16, 24, 3), 10 * k + 5, np.uint8), 2 * k, 12.5, audio)
    finally:
        if closed is not None:
            closed.append(True)


@pytest.mark.parametrize(("scale", "size"), [(2, (32, 48)), (1, (16, 24)), ((33, 50), (33, 50)), ((16, 48), (16, 48))])
@pytest.mark.parametrize("how", ["lanczos", "bicubic", "nearest"])
def test_size_and_the_rest(scale, size, how):
    sound = np.zeros((7680, 2), np.float32)
    out = list(resampled(clip(audio=sound), scale, how))
    assert [(c.frames.shape, c.start, c.fps) for c in out] == [((2, *size, 3), 2 * k, 12.5) for k in range(3)]
    assert all((c.frames == 10 * k + 5).all() and c.audio is sound for k, c in enumerate(out))


def test_one_in_one_out_and_closing():
    taken, closed = [], []
    out = resampled(clip(10, taken=taken, closed=closed), 2)
    assert taken == []
    next(out)
    next(out)
    assert taken == [0, 1]
    out.close()
    assert closed == [True]


def test_refuses():
    with pytest.raises(RequestError):
        resampled(clip(), 0)
    with pytest.raises(RequestError, match="24 x 16"):
        next(resampled(clip(), (8, 48)))
