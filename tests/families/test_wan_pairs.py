"""The experts of Wan 2.2 A14B as two single files: found by each other, given as HIGH:LOW, refused alone."""

from __future__ import annotations

import re

import pytest
import torch
from hollow_files import keys, typed, write
from safetensors.torch import save_file
from wan_original import comfy_folder, renamed, transformer

from kinema.core.errors import KinemaError, ModelError, RequestError
from kinema.core.request import Request
from kinema.engine.plan import plan
from kinema.families.wan import load, pair_of
from kinema.weights import store

REF = {"ref_conv.weight": (5120, 16, 2, 2)}
CAMERA = {"control_adapter.conv.weight": (5120, 1536, 2, 2)}

NAMES = [
    ("wan2.2_t2v_{}_noise_14B_fp16", ("high", "low"), "wan2.2_t2v_14B_fp16"),
    ("wan2.2_i2v_{}_noise_14B_fp8_scaled", ("high", "low"), "wan2.2_i2v_14B_fp8_scaled"),
    ("Wan2_2-T2V-A14B-{}_fp8_e4m3fn_scaled_KJ", ("HIGH", "LOW"), "Wan2_2-T2V-A14B_fp8_e4m3fn_scaled_KJ"),
    ("Wan22-T2V-A14B-{}Noise", ("High", "Low"), "Wan22-T2V-A14B"),
    ("{0}Noise/Wan2.2-T2V-A14B-{0}Noise-bf16", ("High", "Low"), "Wan2.2-T2V-A14B-bf16"),
    ("Wan2.2-T2V-A14B/{}_noise_model/diffusion_pytorch_model", ("high", "low"), "Wan2.2-T2V-A14B"),
    ("slow lowland wan2.2 t2v {} noise", ("high", "low"), "slow lowland wan2.2 t2v"),
]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))


def two(place, pattern, words, shapes=None):
    return [
        write(place / f"{pattern.format(word)}.safetensors", typed(keys() if shapes is None else shapes))
        for word in words
    ]


@pytest.mark.parametrize(("pattern", "words", "name"), NAMES, ids=[row[0] for row in NAMES])
def test_two_files_find_each_other(tmp_path, pattern, words, name):
    high, low = two(tmp_path, pattern, words)
    assert pair_of(high) == pair_of(low) == (high, low)
    for given in (high, low, f"{high}:{low}"):
        card = store.find(str(given))
        assert (card.variant, card.network.experts, card.stage, card.id) == ("t2v-a14b", 2, False, name)
        assert (card.path, card.second_path) == (str(high), str(low))
        assert (card.options["boundary"].default, card.options["low_guidance"].default) == (0.875, 3.0)
    assert store.find(f"{low}:").variant == "t2v-a14b-low", "one alone, for a workflow's sampler"


@pytest.mark.parametrize(
    ("kind", "shapes", "boundary"),
    [
        ("vace-a14b", {"vace": 8}, 0.875), ("i2v-a14b", {"channels": 36}, 0.9), ("inp-2.2-pair", {"channels": 36}, 0.9),
        ("fun-control-2.2-pair", {"channels": 52, "more": REF}, 0.9),
        ("fun-camera-2.2-pair", {"channels": 36, "more": CAMERA}, 0.9),
    ],
)  # fmt: skip
def test_pairs_of_every_kind(tmp_path, kind, shapes, boundary):
    name = "wan2.2_fun_inpaint_{}_noise" if kind.startswith("inp") else "wan2.2_{}_noise_14B"
    high, _ = two(tmp_path, name, ("high", "low"), keys(**shapes))
    card = store.find(str(high))
    assert (card.variant, card.options["boundary"].default, card.stage) == (kind, boundary, False)
    assert card.network.parameters > 14e9 and not any("unpublished" in note for note in card.notes)


def test_what_is_no_pair_is_none(tmp_path):
    high, low = two(tmp_path, "wan2.2_t2v_{}_noise_14B", ("high", "low"))
    other = write(tmp_path / "wan2.2_i2v_low_noise_14B.safetensors", typed(keys(channels=36)))
    plain = write(tmp_path / "wan2.1_t2v_14B.safetensors", typed(keys()))
    for text, words in (
        (f"{low}:{high}", "in this order|HIGH:LOW"), (f"{high}:{high}", "one file"), (f"{high}:{other}", "not two exp"),
        (f"{high}:{plain}", "not one of the two experts"), (f"{high}:{tmp_path / 'gone'}", "gone: no such file"),
        (f"{tmp_path / 'gone'}:{low}", "gone: no such file"), (f"{tmp_path / 'a'}:{tmp_path / 'b'}", "No model"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=words):
            store.find(text)
    unnamed = [write(tmp_path / f"{name}.safetensors", typed(keys())) for name in "ab"]
    assert store.find(f"{unnamed[0]}:{unnamed[1]}").id == "a:b", "names that tell nothing: the order does"
    write(tmp_path / "wan2.2_t2v_LOW_noise_14B.safetensors", typed(keys()))
    assert pair_of(high) is None, "two that could be the other one"
    assert store.find(str(high)).stage


def test_an_expert_alone_is_refused_before_any_work(tmp_path):
    alone = write(tmp_path / "wan2.2_t2v_high_noise_14B.safetensors", typed(keys()))
    request = Request(prompt="a hill", model=str(alone))
    with pytest.raises(RequestError) as caught:
        plan(request, device="cpu")
    assert (caught.value.field, caught.value.value) == ("model", "wan2.2_t2v_high_noise_14B")
    assert "HIGH:LOW" in str(caught.value) and "wan2.2-t2v-a14b" in caught.value.models
    assert plan(request, device="cpu", stage=True).model == "wan2.2_t2v_high_noise_14B"
    low = write(tmp_path / "wan2.2_t2v_low_noise_14B.safetensors", typed(keys()))
    assert plan(request, device="cpu").options["low_guidance"] == 3.0
    with pytest.raises(RequestError, match=re.escape(f"{alone}:{low}")):
        plan(Request(prompt="a hill", model=f"{alone}:"), device="cpu")
    with pytest.raises(KinemaError, match=r"wan2\.2-i2v-a14b"):
        plan(Request(prompt="a hill", model="wan2.2-i2v-a14b-low"), device="cpu")


def test_a_pair_is_added_as_one_model_and_two_for_workflows(tmp_path):
    from kinema.workflow.nodes.model_files import card_of

    high, low = two(tmp_path, "wan2.2_t2v_{}_noise_14B_fp16", ("high", "low"))
    write(tmp_path / "wan_2.1_vae.safetensors", {})
    write(tmp_path / "umt5_xxl_fp16.safetensors", {"spiece_model": ("U8", (9,))})
    card = store.add(high)
    assert (card.id, store.find(card.id).second_path) == ("wan2.2_t2v_14B_fp16", str(low))
    assert store.add(low).id == card.id and len(store.added_cards()) == 3, "added once"
    assert card_of(high.name).path == str(high) and card_of(low.name).variant == "t2v-a14b-low"
    assert store.alone(str(low)) == f"{low}:" and store.find(f"{low}:").path == str(low)
    low.unlink()
    with pytest.raises(ModelError, match=r"low_noise.*no such file"):
        store.find(card.id)
    assert card.id in store.troubles()


def test_both_files_are_loaded_in_their_places(tmp_path):
    """The networks are those of the files, to the last bit; each computes the steps on its side of the boundary."""
    from kinema.engine.generate import sample

    file = comfy_folder(tmp_path)
    networks = {}
    for expert, factor in (("high", 1.0), ("low", 0.9)):
        networks[expert] = transformer("t2v", head_dim=128, num_layers=2)
        for parameter in networks[expert].parameters():
            parameter.data *= factor
        save_file(renamed(networks[expert]), file.with_name(f"wan2.2_t2v_{expert}_noise_tiny.safetensors"))
    high = file.with_name("wan2.2_t2v_high_noise_tiny.safetensors")
    card = store.find(str(high))
    family = load(card, store.locate(card), "cpu")
    for ours, expert in ((family.parts.transformer, "high"), (family.parts.transformer_2, "low")):
        theirs = networks[expert].state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.state_dict().items()), expert
    assert "wan2.2_t2v_low_noise_tiny.safetensors" in {each.name for each in family.parts.files}
    made = plan(
        Request(prompt="a red ball", model=str(high), width=128, height=128, frames=5, steps=3, seed=1), device="cpu"
    )
    latents = sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])
    assert latents.isfinite().all()
    steps = family.guidance(made, made.spans[0], family.scheduler(made))
    assert {step.branches[0].split("/")[0] for step in steps} == {"high", "low"}
