"""Training on clips of several sizes and lengths: equal tokens per batch, exact resume, generation at each."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rehearsal import by_steps

from kinema.core.chunk import Chunk
from kinema.core.request import Request
from kinema.engine.load import load
from kinema.engine.plan import plan
from kinema.media.write import write
from kinema.sd.inflate import digest
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data import own_clips, token_buckets
from kinema.training.data.captioner import Captioner
from kinema.training.data.token_buckets import Shape, TokenBuckets
from kinema.training.tasks.easyanimate import EasyAnimateTask
from kinema.weights import store

sys.path.insert(0, str(Path(__file__).parents[1] / "families" / "easyanimate"))
import tiny_paper

sys.path.pop(0)


class Store:
    """Random latents of one size."""

    def __init__(self, clips, frames, rows, columns):
        g = torch.Generator().manual_seed(clips)
        self.latents = torch.randn((clips, frames, 4, rows, columns), generator=g)
        self.weight, self.seed = torch.rand((clips, frames, rows, columns), generator=g), torch.arange(clips)

    def __len__(self):
        return len(self.seed)


STORES = Store(40, 3, 4, 4), Store(10, 5, 4, 6), Store(6, 1, 8, 8)
"""Two sizes with two lengths, and pictures."""


def task(parts, phase="video"):
    words = Captioner(parts["tokenizer"], parts["text_encoder"], lambda seed, *_: tiny_paper.CAPTIONS[seed % 2])
    sizes = TokenBuckets(STORES, 240)
    return EasyAnimateTask(parts["transformer"], words, STORES[0], STORES[1], phase=phase, batch=2, late=0.0,
                           sizes=sizes)  # fmt: skip


def test_batches_have_equal_tokens_and_every_clip_its_share():
    sizes = TokenBuckets(STORES, 240)
    generator = torch.Generator().manual_seed(0)
    seen = {id(store): torch.zeros(len(store)) for store in STORES}
    for _ in range(4000):
        store, index = sizes.draw(generator)
        tokens = len(index) * store.latents[0, :, 0].numel()
        assert 240 - store.latents[0, :, 0].numel() < tokens <= 240
        seen[id(store)] += torch.bincount(index, minlength=len(store))
    per_clip = torch.cat(list(seen.values()))
    assert (per_clip / per_clip.mean() - 1).abs().max() < 0.25
    assert {sizes.count(store) for store in STORES} == {5, 2, 3}
    assert {sizes.count(store, single=True) for store in STORES} == {15, 10, 3}


def test_it_trains_on_all_and_resumes_exactly(tmp_path, monkeypatch):
    def config(name, steps, **more):
        return LoopConfig(out=tmp_path / name, max_steps=steps, warmup_steps=1, evaluate_minutes=1e9, decay_from=1.0,
                          **more)  # fmt: skip

    shapes = set()
    predict = EasyAnimateTask.predict

    def watched(self, noisy, *given):
        shapes.add(tuple(noisy.shape[2:]))
        return predict(self, noisy, *given)

    monkeypatch.setattr(EasyAnimateTask, "predict", watched)
    whole, again = tiny_paper.parts(sample_size=4), tiny_paper.parts(sample_size=4)
    before = whole["transformer"].pos_embed["proj"].weight.clone()
    train(task(whole), config("whole", 4))
    train(task(tiny_paper.parts(sample_size=4)), config("halves", 2))
    train(task(again), config("halves", 4, resume=True))
    assert {(3, 4, 4), (5, 4, 6)} <= shapes
    assert not torch.equal(before, whole["transformer"].pos_embed["proj"].weight)
    for name in ("transformer", "text_encoder"):
        assert digest(again[name], lambda name: True) == digest(whole[name], lambda name: True)
    folder = tiny_paper.write(tmp_path / "model", sample_size=4)
    whole["transformer"].save_pretrained(folder / "transformer")
    engine = load(str(folder))
    for width, height, frames in ((32, 32, 9), (48, 32, 17), (64, 64, 1)):
        made = plan(Request(prompt="a red ball rolls left", model=str(folder), steps=1, seed=0, frames=frames,
                            width=width, height=height))  # fmt: skip
        assert engine.generate(made).frames().shape == (frames, height, width, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips and a picture."""
    place = tmp_path_factory.mktemp("own")
    for name, (frames, height, width) in {
        "long": (24, 64, 64), "wide": (12, 64, 96), "short": (10, 32, 32), "tall": (20, 96, 64), "still": (1, 64, 64),
    }.items():  # fmt: skip
        pixels = np.full((frames, height, width, 3), 90, np.uint8)
        for frame in range(frames):
            pixels[frame, 8:20, 2 + frame : 12 + frame] = 230
        write([Chunk(pixels, 0, 8.0)], place / f"{name}.mp4")
        (place / f"{name}.txt").write_text(f"a {name} square")
    return place


SHAPES = token_buckets.parse("64x64x17,32x32x9,64x64x1,96x64x9", 16, 8)


def test_clips_go_to_the_buckets_that_they_fill(folder, tmp_path):
    found = own_clips.find(folder, tmp_path, frames=1, fps=8.0)
    names = [item.path.stem for item in found.items]
    held = {shape: [names[n] for n in numbers] for shape, numbers in
            token_buckets.assign(found.items, SHAPES, 8.0).items()}  # fmt: skip
    assert held == {
        Shape(64, 64, 17): ["long", "tall"], Shape(32, 32, 9): ["long", "short", "tall"],
        Shape(64, 64, 1): ["long", "still", "tall"], Shape(96, 64, 9): ["wide"],
    }  # fmt: skip
    made = token_buckets.fill(
        found, SHAPES, lambda frames: torch.from_numpy(frames[::4, ::8, ::8]).permute(0, 3, 1, 2).float(),
        tmp_path / "cache", fps=8.0, encoder_id="every eighth pixel",
    )  # fmt: skip
    assert {str(shape): tuple(each.latents.shape[1:]) for shape, each in made.items()} == {
        "64x64x17": (5, 3, 8, 8), "32x32x9": (3, 3, 4, 4), "64x64x1": (1, 3, 8, 8), "96x64x9": (3, 3, 8, 12),
    }  # fmt: skip
    assert [names[n] for n in made[Shape(96, 64, 9)].item] == ["wide"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("64x64", "WIDTHxHEIGHTxFRAMES"), ("64x60x17", "multiples of 16"), ("64x64x12", "legal are 1, 9, 17"),
        ("64x64x9,64x64x9", "each once"),
    ],
)  # fmt: skip
def test_refused_buckets(text, words):
    with pytest.raises(ValueError, match=words):
        token_buckets.parse(text, 16, 8)


@pytest.mark.slow
@pytest.mark.parametrize("own", (True, False), ids=("folder", "toyland"))
def test_the_recipe(folder, tmp_path, own, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "recipes"))
    from mini_easyanimate_networks import TRANSFORMER, VAE

    few = {"VAE": {**VAE, "channels": (8, 8, 8)}, "REHEARSAL": (1, 1), "CAPTIONS": 100,
           "TRANSFORMER": {**TRANSFORMER, "num_attention_heads": 1, "motion_heads": 1, "num_layers": 3}}  # fmt: skip
    more = ("--data", str(folder)) if own else ()
    by_steps("mini_easyanimate", tmp_path, "--set", "buckets=64x64x17,96x64x9,64x64x1", *more, clips=2, batch=2, **few)
    card = store.find(str(tmp_path / "export"))
    assert set(card.size.trained) == {(64, 64), (96, 64)} and card.domain == ("" if own else "toyland")
    made = plan(Request(prompt="a wide square", model=str(tmp_path / "export"), steps=1, seed=0, width=96, height=64,
                        frames=9))  # fmt: skip
    assert load(str(tmp_path / "export")).generate(made).frames().shape == (9, 64, 96, 3)
