"""Plain statistics of pixels: each kind of damage moves its own features; and what is not computed is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kinema.core.errors import RequestError
from kinema.evaluation.yardsticks.contract import YardstickSettings
from kinema.evaluation.yardsticks.normalise import SEMANTIC
from kinema.evaluation.yardsticks.table import chosen
from kinema.evaluation.yardsticks.vbench_semantic import NOT_COMPUTED
from kinema.features.pixel_statistics import statistics


def test_each_damage_moves_its_own_features():
    walk = np.random.default_rng(0).integers(0, 200, (6, 8, 8, 3))
    frames = np.stack([cv2.resize(f.astype(np.uint8), (64, 64), interpolation=cv2.INTER_NEAREST) for f in walk])
    plain = statistics(frames)
    colour, detail, change = slice(0, 6), slice(6, 10), slice(10, 14)
    assert np.allclose(statistics(frames[::-1]), plain, atol=1e-4), "the direction of time is not seen"
    blurred = statistics(np.stack([cv2.GaussianBlur(f, (0, 0), 2.0) for f in frames]))
    assert (blurred[detail][:2] < plain[detail][:2] - 0.3).all()
    frozen = statistics(np.repeat(frames[:1], 6, 0))
    assert np.allclose(frozen[change], 0) and (plain[change] > 1).all()
    shifted = statistics(frames + np.uint8(32))
    assert np.allclose(shifted[:3] - plain[:3], 1, atol=1e-3) and np.allclose(shifted[3:], plain[3:], atol=1e-3)
    assert np.allclose(shifted[colour][3:], plain[colour][3:], atol=1e-3)


def test_semantic_dimensions_are_refused_with_what_they_require():
    assert set(NOT_COMPUTED) == set(SEMANTIC)
    for name in SEMANTIC:
        with pytest.raises(RequestError, match=f"VBench's {name} is not computed: it requires"):
            chosen([name], YardstickSettings())
    assert [each.name for each in chosen("psnr,ssim", YardstickSettings())] == ["psnr", "ssim"]
