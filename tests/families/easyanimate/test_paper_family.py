"""A model of the paper's design in the engine: clips, pictures, a given first frame, long clips, previews, refusals."""

import json

import numpy as np
import pytest
import tiny_paper
import torch

from kinema.conditions.inputs import inline_png
from kinema.core.errors import ModelError, RequestError
from kinema.core.request import Request
from kinema.diffusion.flow import euler
from kinema.diffusion.noise import noise
from kinema.engine.load import load
from kinema.engine.plan import plan
from kinema.weights import store

PICTURE = inline_png(np.full((64, 64, 3), (200, 40, 40), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_paper.write(tmp_path_factory.mktemp("paper") / "model")


@pytest.fixture(scope="module")
def engine(folder):
    return load(str(folder))


def planned(folder, **changes):
    own = {"prompt": "a red ball", "seed": 1, "steps": 2, "profile": "exact", "frames": 9, "model": str(folder)}
    return plan(Request(**{**own, **changes}))


def frames(engine, folder, **changes):
    return engine.generate(planned(folder, **changes)).frames()


def test_it_is_the_flow_from_the_named_noise_with_guidance(engine, folder):
    """Against the networks themselves, step by step."""
    request = planned(folder, guidance=3.0)
    parts = tiny_paper.parts()
    networks = {name: parts[name].eval() for name in ("vae", "transformer", "text_encoder")}

    def states(text):
        ids = parts["tokenizer"]([text], padding="max_length", max_length=32, truncation=True, return_tensors="pt")
        return networks["text_encoder"](ids.input_ids)[0]

    pattern = parts["scheduler"]
    pattern.set_timesteps(2)
    scheduler = euler([float(t) / 1000 for t in pattern.timesteps], torch.device("cpu"))
    with torch.no_grad():
        x, words, none = noise(1, "init/0", (1, 4, 3, 8, 8)), states("a red ball"), states("")
        for t in scheduler.timesteps:
            both = [networks["transformer"](x, each, t.expand(1)) for each in (words, none)]
            x = scheduler.step(both[1] + 3.0 * (both[0] - both[1]), t, x, return_dict=False)[0]
        pixels = networks["vae"].decode(x).sample[0].permute(1, 2, 3, 0)
    expected = ((pixels + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    made = engine.generate(request).frames()
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_clips_pictures_and_sizes(engine, folder):
    assert frames(engine, folder).shape == (9, 64, 64, 3)
    assert frames(engine, folder, frames=1).shape == (1, 64, 64, 3)
    assert frames(engine, folder, frames=1, width=96, height=32).shape == (1, 32, 96, 3)


def test_a_given_first_frame_changes_the_clip(engine, folder):
    plain = frames(engine, folder)
    given = frames(engine, folder, conditions=[{"kind": "image", "image": PICTURE}])
    assert not np.array_equal(plain, given)


def test_without_motion_modules_frames_are_pictures_of_their_own(engine, folder):
    still = frames(engine, folder, options={"motion_module": False})
    assert not np.array_equal(still, frames(engine, folder))
    assert engine.family.parts.transformer.moving, "the setting of one request does not stay"


def test_the_longest_clip_of_the_paper_at_once_and_in_windows(engine, folder):
    made = frames(engine, folder, frames=145, steps=1)
    assert made.shape == (145, 64, 64, 3)
    windows = frames(engine, folder, frames=145, steps=1, options={"context_length": 17, "context_overlap": 8})
    assert windows.shape == made.shape and not np.array_equal(windows, made)
    with pytest.raises(RequestError) as refused:
        planned(folder, frames=144)
    assert refused.value.nearest == 145


@pytest.mark.parametrize(
    ("options", "field"),
    [({"context_length": 16}, "options.context_length"),
     ({"context_length": 17, "context_overlap": 17}, "options.context_overlap")],
)  # fmt: skip
def test_illegal_windows_are_refused(folder, options, field):
    with pytest.raises(RequestError) as refused:
        planned(folder, options=options)
    assert refused.value.field == field and refused.value.legal


def test_previews_show_the_clip_and_change_nothing(engine, folder):
    seen = []

    def on_event(event):
        if type(event).__name__ == "Preview":
            seen.append(event.frames())

    made = engine.generate(planned(folder), on_event=on_event).frames()
    assert [each.shape for each in seen] == [(9, 64, 64, 3)] * 2
    assert np.abs(seen[-1].astype(int) - made).max() <= 1, "the last step predicts the result"
    assert np.array_equal(made, frames(engine, folder))


def test_damaged_and_foreign_folders_are_refused(folder, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model_index.json").write_text((folder / "model_index.json").read_text())
    with pytest.raises(ModelError, match="missing parts: transformer, vae"):
        store.find(str(broken))
    other = tiny_paper.write(tmp_path / "other")
    file = other / "vae" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": "AutoencoderKLMagvit"}))
    with pytest.raises(ModelError, match="unsupported class AutoencoderKLMagvit"):
        store.find(str(other))


def test_a_model_without_image_input_takes_no_picture(tmp_path):
    plain = tiny_paper.write(tmp_path / "plain", image_input=False)
    assert load(str(plain)).generate(planned(plain, frames=1)).frames().shape == (1, 64, 64, 3)
    with pytest.raises(RequestError, match="image"):
        planned(plain, conditions=[{"kind": "image", "image": PICTURE}])
