"""diffusers' pipeline with the built-in weights, and inputs for both it and Kinema."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracle import SHIFT
from PIL import Image


@pytest.fixture(scope="module")
def pipeline(mini_path):
    from diffusers import WanVACEPipeline

    pipe = WanVACEPipeline.from_pretrained(mini_path, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, flow_shift=SHIFT)
    return pipe


@pytest.fixture
def inputs(tmp_path):
    """A clip, a mask and a reference as files, and as the arrays diffusers takes."""
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (17, 8, 8, 3), dtype=np.uint8), 8, 1), 8, 2)
    (tmp_path / "clip").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{index:05d}.png")
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[10:50, 20:60] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    reference = Image.fromarray(np.repeat(np.repeat(rng.integers(0, 255, (5, 9, 3), dtype=np.uint8), 8, 0), 8, 1))
    reference.save(tmp_path / "reference.png")
    return tmp_path, frames, mask, reference
