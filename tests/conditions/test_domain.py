"""Warnings before a miniature runs: pictures unlike Toyland, and prompts without known words."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kinema
from kinema.core.chunk import Chunk
from kinema.engine.plan import plan
from kinema.media.read import read_chunks
from kinema.media.write import write
from kinema.toyland.likeness import foreignness
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene

FIRST = 40_000_000
"""Seeds held out from the fit of the measure."""


def clips_of(seeds: range, side: int = 64) -> np.ndarray:
    """(B, 2, H, W, 3): the first and the last frame of clips."""
    scenes = [sample_scene(FIRST + seed, WORLD_MINI) for seed in seeds]
    size = {"num_frames": 2, "height": side, "width": side + side // 2 * (seeds.start // 25 % 2), "fps": 0.5}
    return render(scenes, **size).frames_BFHWC.numpy()


def frames_of(path: Path) -> list[np.ndarray]:
    frames = np.concatenate([chunk.frames for chunk in read_chunks(path, stop=25, audio=False)])
    return [frames[index] for index in (0, len(frames) // 2, len(frames) - 1)]


def test_false_alarms_on_toyland_clips():
    """At most 2 % of 200 clips, in four sizes and two shapes."""
    clips = [clip for n in range(8) for clip in clips_of(range(25 * n, 25 * n + 25), (64, 96, 128, 160)[n % 4])]
    assert len(clips) == 200
    assert sum(foreignness(list(clip)) > 0 for clip in clips) <= 4


def test_what_the_miniature_makes_is_no_stranger(tmp_path):
    """Generated clips are edited and continued."""
    made = kinema.generate("a blue star over the sea at night", seed=4, profile="fast").frames()
    assert foreignness([made[0], made[8], made[16]]) < 0


def test_misses_on_real_pictures_and_clips(real_data):
    """At most 5 % of the pictures of scikit-image's package and the real inputs. A rocket before an even blue sky is
    the one that is missed."""
    folder = Path(pytest.importorskip("skimage").__file__).parent / "data"
    named = [path for kind in ("png", "jpg") for path in sorted(folder.glob(f"*.{kind}")) if "chess" not in path.name]
    pictures = {path.name: [np.array(Image.open(path).convert("RGB"))] for path in (*named, real_data / "doll.png")}
    pictures |= {path.name: frames_of(path) for path in sorted(real_data.glob("*.mp4"))}
    missed = [name for name, frames in pictures.items() if foreignness(frames) <= 0]
    assert len(pictures) >= 25
    assert len(missed) <= 0.05 * len(pictures), missed


def photo(folder: Path) -> str:
    """Fine gray grain, which no drawing has."""
    noise = np.random.default_rng(0).integers(40, 215, (96, 96, 1), np.uint8)
    Image.fromarray(np.repeat(noise, 3, 2)).save(folder / "photo.png")
    return str(folder / "photo.png")


def test_a_plan_says_what_lies_outside(tmp_path):
    drawn = tmp_path / "drawn.png"
    Image.fromarray(clips_of(range(1))[0, 0]).save(drawn)
    clip = write(
        [Chunk(np.repeat(np.array(Image.open(photo(tmp_path)))[None, :64, :64], 5, 0), 0, 8.0)], tmp_path / "c.mp4"
    )
    within = kinema.plan("a red ball in a meadow", image=str(drawn))
    assert within.outside == ()
    found = kinema.plan("a red ball in a meadow", image=photo(tmp_path))
    assert len(found.outside) == 1
    for word in ("photo.png", "Toyland", "kinema-mini-wan", "wan2.1", "kinema models pull"):
        assert word in found.outside[0]
    removed = kinema.Request(
        conditions=({"kind": "source", "video": str(clip)}, {"kind": "mask", "boxes": ((0.2, 0.2, 0.5, 0.5),)}),
        canvas="source",
    )
    assert "c.mp4 does not look like Toyland" in plan(removed).outside[0]
    assert "vace" in plan(removed).outside[0], "a model that edits, not any"
    words = kinema.plan("robots dancing in Tokyo").outside
    assert len(words) == 1 and "knows no words of the prompt" in words[0]
    assert kinema.plan("a cat walks through snow").outside == (), "it knows the snow"
    assert kinema.plan("robots", model="wan2.1-t2v-1.3b").outside == (), "published models know the world"


@pytest.mark.parametrize("model", [card.id for card in kinema.models() if card.builtin is not None])
def test_every_miniature_has_a_domain(model):
    from kinema.weights.store import find

    assert find(model).domain == "toyland"


def test_from_python_it_is_a_warning(tmp_path):
    engine = kinema.load("kinema-mini-wan")
    with pytest.warns(kinema.OutsideDomainWarning, match="does not look like Toyland") as told:
        engine.generate("a red ball", image=photo(tmp_path))
    assert told[0].filename == __file__, "it points to the caller"
    with pytest.warns(kinema.OutsideDomainWarning, match="knows no words of the prompt") as told:
        kinema.generate("robots")
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", kinema.OutsideDomainWarning)
        engine.generate("a red ball")
