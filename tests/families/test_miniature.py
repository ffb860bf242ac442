"""The card of the built-in miniature matches its folder."""

from __future__ import annotations

import json

import pytest

from kinema.families.wan.cards import MINI
from kinema.weights import store


@pytest.fixture(scope="module")
def folder():
    return store.locate(MINI)


def test_files_are_small_and_whole(folder):
    assert store.check(MINI) == []
    files = list(folder.rglob("*.safetensors"))
    parts = {file.parent.name for file in files}
    assert {"vae", "transformer", "text_encoder"} <= parts
    assert parts <= {"vae", "transformer", "text_encoder", "tiny_decoder", "few_step"}
    assert len(files) == len(parts)
    assert all(file.stat().st_size < 16e6 for file in files)
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 40e6


def test_hashes_are_those_of_its_card(folder):
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    said = {name: digest for name, digest in card["weights_sha256"].items() if name.endswith(".safetensors")}
    assert said == store.digests(folder)


def test_sizes_of_the_networks(mini):
    parts, network = mini.family.parts, MINI.network
    for said, part in (
        (network.parameters, parts.transformer),
        (network.text_parameters, parts.text_encoder),
        (network.autoencoder_parameters, parts.vae),
    ):
        assert sum(p.numel() for p in part.parameters()) == pytest.approx(said, rel=0.01)
    config = parts.transformer.config
    assert network.width == config.num_attention_heads * config.attention_head_dim
    assert (network.layers, network.hint_layers) == (config.num_layers, len(config.vace_layers))


def test_it_draws_what_the_sentence_says(mini):
    """Colour and light from the prompt, and the motion along a drawn path, measured on pixels, three seeds each."""
    import numpy as np

    from kinema.core.request import Request

    def frames(prompt: str, seed: int) -> np.ndarray:
        return mini.generate(Request(prompt=prompt, seed=seed, profile="fast")).frames().astype(float)

    for seed in (1, 2, 3):
        day = frames("a red ball rolls right over a green meadow by day", seed)
        night = frames("a blue ball rolls right over a green meadow at night", seed)
        assert day.mean() > night.mean() + 30, "day is brighter than night"
        redness = np.clip(day[..., 0] - np.maximum(day[..., 1], day[..., 2]), 0, None)
        assert redness.max() > 60, "something is red"
        columns = np.arange(64)
        centre = [(weight.sum(0) * columns).sum() / weight.sum() for weight in np.where(redness > 40, redness, 0)]
        assert centre[-1] > centre[0] + 10, "and it moves to the right"
