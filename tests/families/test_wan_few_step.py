"""Published four-step LoRAs: found by their names, used by `fast` with their own noise levels, each by its expert."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from safetensors.torch import save_file
from wan_original import comfy_folder, renamed, transformer

import kinema
from kinema.core.errors import KinemaError
from kinema.core.registry import family_module
from kinema.core.request import Request
from kinema.engine.plan import plan
from kinema.families.wan import few_step
from kinema.weights import store


def both(pattern: str) -> list[str]:
    return [f"loras/{pattern.format(each)}.safetensors" for each in few_step.EXPERTS]


NAMED = [
    ("t2v", ["loras/wan2.1_t2v_14b_lora_rank64_lightx2v_4step.safetensors"]),
    ("t2v", ["loras/Wan21/lightx2v_T2V_14B_cfg_step_distill_v2_lora_rank64_bf16.safetensors"]),
    ("i2v", ["loras/wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors"]),
    ("i2v", ["loras/lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors"]),
    ("t2v-a14b", both("wan2.2_t2v_lightx2v_4steps_lora_v1.1_{}_noise")),
    ("t2v-a14b", both("Wan2.2-T2V-A14B-4steps-lora-rank64-Seko-V1.1/{}_noise_model")),
    ("i2v-a14b", both("wan2.2_i2v_lightx2v_4steps_lora_v1_{}_noise")),
    ("i2v-a14b", both("wan2.2_i2v_A14b_{}_noise_lora_rank64_lightx2v_4step")),
]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(("kind", "names"), NAMED, ids=[row[1][0] for row in NAMED])
def test_published_names_are_found_for_their_network_only(tmp_path, kind, names):
    models = tmp_path / "ComfyUI" / "models"
    for name in names:
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).touch()
    model = models / "diffusion_models" / "wan.safetensors"
    assert few_step.find(kind, model) == tuple(models / name for name in names)
    for other in few_step.NAMES:
        assert other == kind or few_step.find(other, model) == ()
    if len(names) == 2:
        (models / names[1]).unlink()
        assert few_step.find(kind, model) == (), "one of a pair alone is none"
        other = models / names[1].replace("v1.1", "v1").replace("v1_", "v2_").replace("Seko-V1.1", "Seko-V1")
        other.parent.mkdir(parents=True, exist_ok=True)
        other.touch()
        if other != models / names[1]:
            assert few_step.find(kind, model) == (), "nor are two of different versions"


def lora(file, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = "diffusion_model.blocks.0.self_attn.q"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {
            f"{layer}.lora_down.weight": torch.randn(8, 256, generator=generator) * 0.1,
            f"{layer}.lora_up.weight": torch.randn(256, 8, generator=generator) * 0.1,
            f"{layer}.alpha": torch.tensor(1.0),
        },
        file,
    )  # fmt: skip


def test_fast_takes_them_with_their_levels_and_each_expert_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(few_step, "WIDE", 256)
    file = comfy_folder(tmp_path)
    models = file.parent.parent
    high = file.rename(file.with_name("wan2.2_t2v_high_noise_tiny.safetensors"))
    low = file.with_name("wan2.2_t2v_low_noise_tiny.safetensors")
    save_file(renamed(transformer("t2v", head_dim=128, num_layers=2)), low)
    files = [models / name for name in both("wan2.2_t2v_lightx2v_4steps_lora_v1.1_{}_noise")]
    request = {"width": 32, "height": 32, "frames": 5, "seed": 1}
    exact = plan(Request(prompt="a red ball", model=f"{high}:{low}", profile="fast", **request))
    assert exact.student == "" and exact.steps > 4
    for seed, each in enumerate(files):
        lora(each, seed)
    made = plan(Request(prompt="a red ball", model=f"{high}:{low}", profile="fast", **request))
    assert (made.sigmas, made.steps, made.guidance) == (few_step.SIGMAS, 4, 1.0)
    assert (made.options["shift"], made.options["low_guidance"]) == (5.0, 1.0)
    assert made.student == f"{files[0]}:{files[1]}"
    assert any(files[0].name in note and files[1].name in note for note in made.notes)
    engine = kinema.load(f"{high}:{low}", device="cpu")
    family = engine.family
    scheduler = family.scheduler(made)
    assert [round(float(t), 1) for t in scheduler.timesteps] == [1000.0, 937.5, 833.3, 625.0]
    branches = [step.branches for step in family.guidance(made, made.spans[0], scheduler)]
    assert branches == [("high/cond",)] * 2 + [("low/cond",)] * 2, "no guidance, two steps each"
    clip = engine.generate("a red ball", profile="fast", **request)
    for expert, seed in (("high", 0), ("low", 1)):
        layer = family.denoisers[expert].blocks[0].attn1.to_q
        x, generator = torch.randn(1, 256), torch.Generator().manual_seed(seed)
        down, up = (torch.randn(*shape, generator=generator) * 0.1 for shape in ((8, 256), (256, 8)))
        plain = x @ (layer.weight - up @ down / 8).T + layer.bias  # merged: the network is small
        torch.testing.assert_close(layer(x), plain + x @ down.T @ up.T / 8, atol=1e-4, rtol=1e-4)
    digests = engine.digests(clip.plan)
    assert {each.name for each in files} <= {name.rpartition("/")[2] for name in digests}
    other = plan(Request(prompt="a red ball", model=f"{high}:{low}", profile="fast", steps=8, **request))
    assert other.student == "" and any("does not support" in note for note in other.notes)


def test_guidance_never_leaves_what_was_asked_for():
    """Of every card and profile: each step's scale is 1 or that of the plan, and none is inverted."""
    seen = 0
    for card, profile in product(store.built_in_cards(), ("exact", "balanced", "fast")):
        conditions = [{"kind": "image", "image": PICTURE, "at": each.partition(":")[2]} for each in card.needs]
        if card.stage or not hasattr(family_module(card.family), "plan") or any(not each["at"] for each in conditions):
            continue
        try:
            made = plan(Request(prompt="a ball", model=card.id, profile=profile, conditions=conditions, seed=1))
        except KinemaError:
            continue
        start, stop = made.guidance_interval
        assert made.guidance >= 1.0 or made.guidance == 0.0, (card.id, profile)
        assert 0.0 <= start <= stop <= 1.0
        assert made.options.get("low_guidance", 1.0) >= 1.0
        seen += 1
    assert seen > 60


PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
