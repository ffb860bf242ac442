"""Low-rank training of CogVideoX on own clips, on tiny random weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny_cogvideox as tiny
import torch

import kinema
from kinema.core.chunk import Chunk
from kinema.core.registry import built_in_cards
from kinema.media.write import write
from kinema.training.core import stages
from kinema.training.data.buckets import Bucket
from kinema.training.families import learner, why_not
from kinema.training.recipes import lora
from kinema.weights.store import find


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips in which a bright square goes right."""
    place = tmp_path_factory.mktemp("clips")
    for number in range(2):
        pixels = np.full((9, 32, 32, 3), 60 + 40 * number, np.uint8)
        for frame in range(9):
            pixels[frame, 8:20, 2 + 2 * frame : 12 + 2 * frame] = 230
        write([Chunk(pixels, 0, 8.0)], place / f"{number}.mp4")
        (place / f"{number}.txt").write_text("a square", encoding="utf-8")
    return place


@pytest.mark.parametrize("layout", ("2b", "1.5"))
def test_the_adapter_changes_a_clip(clips, tmp_path, layout):
    folder = tmp_path / "model"
    tiny.pipeline(layout).save_pretrained(folder)
    options = {"model": str(folder), "steps": "2", "rank": "4", "lr": "0.05", "frames": "9", "area": "1024",
               "data": str(clips), "dialect": "diffusers+kohya", "samples": "1", "crops": "1"}  # fmt: skip
    settings = stages.Settings(out=tmp_path / "out", minutes=1.0, options=options)
    stages.run(lora.stages(settings), settings, ())
    record = json.loads((tmp_path / "out" / "stages.json").read_text())
    assert record["train"]["step"] == 2 and record["train"]["frozen_before"] == record["train"]["frozen_after"]
    engine = kinema.load(str(folder), device="cpu")
    fields = {"frames": 9, "steps": 2, "seed": 1, "profile": "exact"}
    plain = engine.generate("a square", **fields).frames()
    made = [
        engine.generate("a square", conditions=[{"kind": "style", "adapter": str(tmp_path / "out" / name)}], **fields)
        for name in ("lora.safetensors", "lora.kohya.safetensors")
    ]
    found = [clip.frames() for clip in made]
    assert (found[0] != plain).any() and np.array_equal(*found)


@pytest.mark.parametrize("layout", ("2b", "5b", "1.5"))
def test_the_task_is_the_authors(tmp_path, layout):
    """The error of the velocity is theirs of the clean latents, weighted by 1 / (1 - alpha_bar)."""
    tiny.pipeline(layout).save_pretrained(tmp_path / "model")
    found = learner(find(str(tmp_path / "model")), "", "cpu", 9, 8.0)
    frames = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), dtype=np.uint8)
    latents = found.encode(frames)
    assert latents.shape == (3, 4, 8, 8)
    store = Bucket(
        32, 32, latents[None], torch.zeros(1, 32, 32, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.long)
    )
    task = found.task(store, store, lambda *_: "a square", batch=1, drop=0.0, still=1.0)
    x0 = task.clips(store, torch.tensor([0]))
    assert x0.shape[2] == (4 if layout == "1.5" else 3)
    torch.manual_seed(0)
    noise, times = torch.randn(x0.shape), torch.tensor([0.6])
    noisy, target = task.mix(x0, noise, times)
    scheduler = found.family.parts.scheduler
    bar = scheduler.alphas_cumprod[600]
    assert torch.allclose(noisy, scheduler.add_noise(x0, noise, torch.tensor([600])), atol=1e-5)
    with torch.no_grad():
        output = task.predict(noisy, times, task.states(["a square"]))
        engines = found.family.predict(_cond(found, x0), None)(noisy, torch.tensor(600), ("cond",))["cond"]
        assert (output - engines).abs().max() < 1e-5
        clean = scheduler.get_velocity(output, noisy, torch.tensor([600]))
    theirs = ((clean - x0).square() / (1 - bar)).mean()
    assert float((output - target).square().mean()) == pytest.approx(float(theirs), rel=1e-4)


def _cond(found, x0):
    from kinema.families.cogvideox.model import CogVideoXCond

    text = {"cond": found.family.text_states("a square")}
    return CogVideoXCond(text, None, None, None, tuple(x0.shape[-2:]), (), False)


def test_models_that_start_from_an_image_are_refused():
    cards = {card.id: card for card in built_in_cards()}
    for name, frames in (("cogvideox-5b-i2v", 49), ("wan2.1-i2v-14b-480p", 81)):
        assert "starts from an image" in why_not(cards[name], frames, False)
    for name in ("wan2.1-flf2v-14b-720p", "wan2.1-fun-inp-1.3b", "wan2.2-t2v-a14b", "wan2.2-ti2v-5b"):
        assert "LoRA training for wan takes t2v, vace," in why_not(cards[name], cards[name].frames.trained, False)
    for name in ("wan2.1-vace-1.3b", "wan2.2-t2v-a14b-low"):
        assert why_not(cards[name], 81, True) is None
    assert why_not(cards["cogvideox-5b"], 49, True) is None
    assert "8n+1" in why_not(cards["cogvideox-5b"], 48, True)
