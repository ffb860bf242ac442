"""Low-rank training of EasyAnimate V5.1 on own clips, on tiny random weights."""

from __future__ import annotations

import json

import numpy as np
import tiny_easyanimate as tiny

import kinema
from kinema.core.chunk import Chunk
from kinema.core.registry import built_in_cards
from kinema.media.write import write
from kinema.training.core import stages
from kinema.training.families import why_not
from kinema.training.recipes import lora


def test_the_adapter_changes_a_clip(tmp_path):
    folder, data = tmp_path / "model", tmp_path / "clips"
    tiny.pipeline("t2v").save_pretrained(folder)
    data.mkdir()
    for number in range(2):
        pixels = np.full((9, 32, 32, 3), 60 + 40 * number, np.uint8)
        for frame in range(9):
            pixels[frame, 8:20, 2 + 2 * frame : 12 + 2 * frame] = 230
        write([Chunk(pixels, 0, 8.0)], data / f"{number}.mp4")
        (data / f"{number}.txt").write_text("a square", encoding="utf-8")
    options = {"model": str(folder), "steps": "2", "rank": "4", "lr": "0.05", "frames": "9", "area": "1024",
               "data": str(data), "samples": "0", "crops": "1"}  # fmt: skip
    settings = stages.Settings(out=tmp_path / "out", minutes=1.0, options=options)
    stages.run(lora.stages(settings), settings, ())
    record = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert record["train"]["step"] == 2 and record["train"]["frozen_before"] == record["train"]["frozen_after"]
    engine = kinema.load(str(folder), device="cpu")
    fields = {"frames": 9, "steps": 2, "seed": 1, "profile": "exact"}
    style = {"kind": "style", "adapter": str(tmp_path / "out" / "lora.safetensors")}
    plain, made = (engine.generate("a square", conditions=each, **fields).frames() for each in ((), (style,)))
    assert (made != plain).any()


def test_other_variants_are_refused():
    cards = {card.variant: card for card in built_in_cards() if card.id.startswith("easyanimate-5.1-7b")}
    assert why_not(cards["t2v"], 49, True) is None
    assert "of the kind inp" in str(why_not(cards["inp"], 49, True))
