"""kinema-mini-tora: its card is correct, and `kinema generate` follows a drawn path with it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

import kinema
from kinema.core.registry import built_in_cards
from kinema.families.cogvideox import recognise
from kinema.families.cogvideox.tora.cards import MINI
from kinema.media.read import read_video
from kinema.weights.headers import tensors
from kinema.weights.store import digests

sys.path.insert(0, str(Path(__file__).parents[2] / "cli"))
from cli_tools import answer, run

FOLDER = Path(kinema.__file__).parent / str(MINI.builtin)
needs_weights = pytest.mark.skipif(
    not any(FOLDER.rglob("*.safetensors")), reason="the weights of kinema-mini-tora are not in this checkout"
)
PROMPT, SEED = "a red ball over the grass", "1"
MOST_PERCENT, LEAST_PERCENT_WITHOUT = 12.0, 15.0
"""Bounds of the trajectory error, in % of the side. Measured, seeds 1 and 2: 6.1 and 6.0 with the path, 22.8 and 23.5
without."""
CIRCLE = [(0.5 + 0.25 * math.cos(math.pi * n / 8), 0.5 + 0.25 * math.sin(math.pi * n / 8)) for n in range(17)]


@needs_weights
def test_the_card_is_the_training_s():
    card = next(card for card in built_in_cards() if card.id == "kinema-mini-tora")
    assert (card.size.trained, card.frames.trained, card.domain) == (((64, 64),), 17, "toyland")
    plan = kinema.plan(PROMPT, model="mini-tora", profile="exact")
    assert (plan.steps, plan.guidance, plan.fps) == (25, 4.0, 8.0)
    assert plan.options["solver"] == "ddim" and not plan.options["dynamic_guidance"]
    assert plan.options["trajectory_sigma"] == 4.0
    with pytest.raises(kinema.RequestError, match="camera"):
        kinema.plan(PROMPT, model="mini-tora", conditions=[kinema.Camera(move="pan_left")])
    assert "knows no words" in kinema.plan("quarterly tax figures", model="mini-tora").outside[0]


@needs_weights
def test_the_card_describes_the_files():
    facts = json.loads((FOLDER / "card.json").read_text())
    assert facts["weights_sha256"] == digests(FOLDER) and facts["license"] == MINI.licence
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 8_000_000
    counts = {
        part: sum(
            math.prod(shape) for file in (FOLDER / part).glob("*.safetensors") for shape in tensors(file).values()
        )
        for part in ("transformer", "text_encoder", "vae")
    }
    network = MINI.network
    assert counts == {
        "transformer": network.parameters, "text_encoder": network.text_parameters,
        "vae": network.autoencoder_parameters,
    }  # fmt: skip
    config = json.loads((FOLDER / "transformer" / "config.json").read_text())
    assert config["motion_sigma_px"] == MINI.options["trajectory_sigma"].default
    assert config["max_text_seq_length"] == network.text_length


@needs_weights
def test_a_folder_of_its_shape_is_sampled_like_it():
    """Such as the recipe's export: not with the settings of CogVideoX or of the published Tora."""
    found = recognise(FOLDER)
    assert found.defaults == MINI.defaults and found.profiles == MINI.profiles and found.domain == "toyland"
    assert not found.options["dynamic_guidance"].default and found.options["solver"].default != "dpm"
    assert found.builtin is None and found.id not in (MINI.id, "tora") and found.licence == "unknown"


@needs_weights
def test_the_command_follows_a_circle(tmp_path, monkeypatch):
    """The red ball is on the drawn circle; as text and as JSON the path gives the same frames. Without it, the same
    seed gives another clip, which is far from the circle. `kinema evaluate` agrees by the clip's manifest."""
    monkeypatch.chdir(tmp_path)
    Path("circle.txt").write_text("".join(f"{256 * x:.4f},{256 * y:.4f}\n" for x, y in CIRCLE))
    rounded = [(round(256 * x, 4) / 256, round(256 * y, 4) / 256) for x, y in CIRCLE]
    Path("circle.json").write_text(json.dumps({"points": rounded}))
    given = ("generate", PROMPT, "--model", "kinema-mini-tora", "--seed", SEED, "--profile", "exact")
    for name, more in (
        ("text", ("--trajectory", "circle.txt")), ("json", ("--trajectory", "circle.json")), ("free", ()),
    ):  # fmt: skip
        assert run(*given, *more, "-o", f"{name}/").exit_code == 0
    clips = {name: read_video(Path(name))[0] for name in ("text", "json", "free")}
    assert clips["text"].shape == (17, 64, 64, 3)
    assert np.array_equal(clips["text"], clips["json"]) and not np.array_equal(clips["text"], clips["free"])

    from kinema.evaluation.motion import trajectory_error
    from kinema.evaluation.probes import load_probes
    from kinema.evaluation.track import track_object

    readings = {name: load_probes().read(clips[name]) for name in ("text", "free")}
    errors = {
        name: trajectory_error(track_object(reading, "ball", "red"), np.array(CIRCLE))
        for name, reading in readings.items()
    }
    assert errors["text"] < MOST_PERCENT and (errors["free"] is None or errors["free"] > LEAST_PERCENT_WITHOUT), errors
    any_object = trajectory_error(track_object(readings["text"]), np.array(CIRCLE))
    said = answer(run("evaluate", "text", "--metrics", "trajectory_error", "--json"))["metrics"]["trajectory_error"]
    assert said["tracker"] == "probes" and said["value"] == pytest.approx(any_object, abs=0.05)
    assert said["value"] < LEAST_PERCENT_WITHOUT
