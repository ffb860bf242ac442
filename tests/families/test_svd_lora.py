"""Low-rank training of Stable Video Diffusion on own clips, on the tiny pipeline of test_svd."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from test_svd import FRAMES, folder, pipeline  # noqa: F401

import kinema
from kinema.core.chunk import Chunk
from kinema.media.write import write
from kinema.training.core import stages
from kinema.training.recipes import lora


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips in which a bright square goes right, of two shapes."""
    place = tmp_path_factory.mktemp("clips")
    for number, size in enumerate([(64, 64), (64, 64), (64, 96)]):
        pixels = np.full((12, *size, 3), 60 + 40 * number, np.uint8)
        for frame in range(12):
            pixels[frame, 10:30, 2 + 2 * frame : 20 + 2 * frame] = 230
        write([Chunk(pixels, 0, 7.0)], place / f"{number}.mp4")
    return place


def test_what_it_learns_moves_a_picture_otherwise(folder, clips, tmp_path):  # noqa: F811
    options = {"model": str(folder), "steps": "3", "rank": "4", "lr": "0.05", "frames": str(FRAMES), "area": "4096",
               "data": str(clips), "dialect": "diffusers+kohya"}  # fmt: skip
    settings = stages.Settings(out=tmp_path, minutes=1.0, options=options)
    stages.run(lora.stages(settings), settings, ())
    record = json.loads((tmp_path / "stages.json").read_text())
    assert record["train"]["step"] == 3 and record["train"]["frozen_before"] == record["train"]["frozen_after"]
    # Two clips of one shape and one of another; of each two windows, cut four ways.
    assert {name: count for name, count in record["cache"].items() if "x" in name} == {"64x64": 16, "72x56": 8}

    assert (tmp_path / "sheets" / "samples_000003.png").is_file()
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(picture)
    engine = kinema.load(str(folder))
    fields = {"image": str(picture), "frames": FRAMES, "steps": 2, "seed": 1, "profile": "exact", "width": 64,
              "height": 64}  # fmt: skip
    plain = engine.generate("", **fields).frames()
    made = [
        engine.generate("", conditions=[{"kind": "style", "adapter": str(tmp_path / name)}], **fields).frames()
        for name in ("lora.safetensors", "lora.kohya.safetensors")
    ]
    assert (made[0] != plain).any() and np.array_equal(*made)
