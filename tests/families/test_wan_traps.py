"""Known traps of running Wan, each with the tests that hold it. Numbers are those of the project's list of traps."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from checkpoints_page import PICTURE
from hollow_comfy import gguf
from hollow_files import keys, typed
from safetensors.torch import save_file
from test_wan_variants import EMB_POS
from wan_original import original, transformer

from kinema.core.errors import RequestError
from kinema.core.registry import find_card
from kinema.core.request import Request
from kinema.engine.plan import plan
from kinema.families.wan import ADAPTER_NAMES, CARDS, experts
from kinema.families.wan.model import WanFamily
from kinema.weights import adapters, looked

TRAPS: dict[int, tuple[str, ...]] = {
    1: ("families/test_wan_traps.py: test_the_published_shift_wins_over_the_folder_s",),
    2: (
        "families/test_wan_i2v.py: test_two_experts_equal_the_pipeline",
        "families/test_wan_pairs.py: test_both_files_are_loaded_in_their_places",
        "families/test_wan_pairs.py: test_an_expert_alone_is_refused_before_any_work",
        "families/test_wan_pairs.py: test_what_is_no_pair_is_none",
    ),
    3: ("families/test_wan_i2v.py: test_guidance_of_one_expert_only",),
    4: (
        "families/test_wan_ti2v.py: test_sizes_and_conditions",
        "families/test_wan_traps.py: test_the_5b_has_no_720_rows",
    ),
    5: ("families/test_wan_ti2v.py: test_sizes_and_conditions",),
    6: (
        "families/test_wan_i2v.py: test_first_and_last_frame_equal_the_pipeline",
        "families/test_wan_i2v.py: test_frames_and_what_is_refused",
        "families/test_wan_single_file.py: test_single_files_for_both_ends_and_for_an_expert",
    ),
    7: ("families/test_wan_ti2v.py: test_previews_frames_in_slices_and_a_style",),
    8: ("families/test_wan_traps.py: test_pixels_are_encoded_in_float32_in_every_profile",),
    9: ("families/test_wan_layouts.py: test_fp8_is_multiplied_out",),
    10: ("families/test_wan_traps.py: test_alpha_of_a_four_step_lora",),
    11: ("families/test_wan_traps.py: test_levels_of_four_steps",),
    12: (
        "families/test_wan_i2v.py: test_published_shares_of_the_experts",
        "families/test_wan_traps.py: test_the_published_shift_wins_over_the_folder_s",
    ),
    13: (
        "engine/test_waist.py: test_no_step_is_forecast_across_experts",
        "engine/test_step_reuse.py: test_a_line_is_forecast_exactly",
    ),
    14: ("families/test_wan_traps.py: test_gguf_files_are_told_by_their_shapes",),
    15: ("families/test_wan_traps.py: test_no_attention_backend_is_set",),
    16: (
        "weights/test_residency.py: test_memory_is_pinned_only_if_half_of_what_is_free_suffices",
        "families/test_wan_traps.py: test_weights_are_pinned_in_one_place_which_asks_for_memory_first",
    ),
    17: ("families/test_wan_i2v.py: test_latents_equal_the_pipeline",),
}
TESTS = Path(__file__).resolve().parents[1]
SOURCE = TESTS.parent / "src" / "kinema"


def test_every_trap_has_a_test_that_exists():
    assert list(TRAPS) == list(range(1, 18))
    for file, test in {tuple(name.split(": ")) for names in TRAPS.values() for name in names}:
        assert re.search(rf"^def {test}\(", (TESTS / file).read_text(), re.MULTILINE), (file, test)


def family_with(card, **config) -> WanFamily:
    """A family without networks, with a folder's scheduler."""
    from diffusers import UniPCMultistepScheduler

    family = object.__new__(WanFamily)
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, **config)
    family.card, family.device = card, torch.device("cpu")
    family.parts = SimpleNamespace(scheduler=scheduler, transformer_2=object())
    return family


@pytest.mark.parametrize(("model", "high"), [("wan2.2-t2v-a14b", 26), ("wan2.2-i2v-a14b", 15)])
def test_the_published_shift_wins_over_the_folder_s(model, high):
    """The folders of A14B say 3.0; published are 12 and 5."""
    card = find_card(model, list(CARDS))
    family = family_with(card, flow_shift=3.0)
    picture = {"kind": "image", "image": PICTURE, "at": "first"}
    made = plan(
        Request(prompt="x", model=model, conditions=(picture,) if card.needs else (), profile="exact"), device="cpu"
    )
    scheduler = family._own_scheduler(made)
    found = experts.guidance(made, (float(t) for t in scheduler.timesteps))
    assert (len(found), sum(step.branches[0] == "high/cond" for step in found)) == (40, high)


def test_the_5b_has_no_720_rows():
    with pytest.raises(RequestError, match="multiples of 32"):
        plan(Request(prompt="a hill", model="wan2.2-ti2v-5b", width=1280, height=720), device="cpu")
    assert plan(Request(prompt="a hill", model="wan2.2-ti2v-5b"), device="cpu").size == (1280, 704)


def test_pixels_are_encoded_in_float32_in_every_profile(mini, monkeypatch, tmp_path):
    import numpy as np

    from kinema.weights import device

    monkeypatch.setattr(device, "good_at_bfloat16", lambda _device: True)
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).random((5, 32, 32, 3), dtype=np.float32))
    seen, encode = [], mini.family.encode_pixels

    def watched(pixels):
        seen.append(torch.is_autocast_enabled("cpu"))
        return encode(pixels)

    monkeypatch.setattr(mini.family, "encode_pixels", watched)
    source = {"kind": "source", "video": str(tmp_path / "clip.npy")}
    options = {"strength": 0.5, "unknown_words": "keep"}
    made = mini.plan("a red ball", conditions=(source,), profile="balanced", width=32, height=32, options=options)
    assert made.low_precision
    mini.family.encode(made, mini.family.prepare(made))
    assert len(seen) >= 3 and not any(seen)


def test_alpha_of_a_four_step_lora(tmp_path):
    """Rank 64 with alpha 8: an eighth of B A."""
    network = transformer("t2v", head_dim=64)
    stem = f"diffusion_model.{original('blocks.0.attn1.to_q.weight').removesuffix('.weight')}"
    down_RD, up_DR, x_BLD = torch.randn(64, 128) * 0.1, torch.randn(128, 64) * 0.1, torch.randn(1, 3, 128)
    file = tmp_path / "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors"
    save_file(
        {f"{stem}.lora_down.weight": down_RD, f"{stem}.lora_up.weight": up_DR, f"{stem}.alpha": torch.tensor(8.0)}, file
    )
    with torch.inference_mode():
        plain_BLD = network.blocks[0].attn1.to_q(x_BLD)
        adapters.use(network, ((str(file), 1.0),), names=ADAPTER_NAMES)
        added_BLD = network.blocks[0].attn1.to_q(x_BLD) - plain_BLD
    assert torch.allclose(added_BLD, 0.125 * x_BLD @ down_RD.T @ up_DR.T, atol=1e-5)


def test_levels_of_four_steps():
    """Trained levels 1, .9375, .8333 and .625: shift 5 of equal steps, shifted once, ending at 0."""
    card = find_card("wan2.2-t2v-a14b", list(CARDS))
    family = family_with(card, flow_shift=3.0)
    options = {"shift": 5.0, "sampler": "euler", "schedule": "simple"}
    made = plan(Request(prompt="x", model=card.id, steps=4, options=options, profile="exact"), device="cpu")
    sigmas = [float(each) for each in family.scheduler(made).sigmas]
    assert sigmas == pytest.approx([1.0, 0.9375, 0.83333, 0.625, 0.0], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "shapes", "title"),
    [
        ("wan2.1-t2v-1.3b-Q8_0", keys("1.3B"), "Wan 2.1 text to video, 1.3B"),
        ("wan2.1-t2v-14b-Q4_K_M", keys(), "Wan 2.1 text to video, 14B"),
        ("wan2.1-flf2v-14b-720p-Q5_K_S", keys(channels=36, clip=True, more=EMB_POS), "Wan 2.1 first and last frame"),
        ("Wan2.1-VACE-1.3B-Q6_K", keys("1.3B", vace=15), "Wan 2.1 VACE, edit anything, 1.3B"),
        ("Wan2.2-TI2V-5B-Q4_0", keys("5B", 48, 48), "Wan 2.2 text and image to video, 5B"),
        ("Wan2.2-S2V-14B-Q4_0", keys(more={"casual_audio_encoder.weights": (1, 25, 1, 1)}), "Wan 2.2 S2V"),
    ],
)
def test_gguf_files_are_told_by_their_shapes(tmp_path, name, shapes, title):
    seen = looked.look(str(gguf(tmp_path / f"{name}.gguf", typed(shapes), 12)))
    assert seen.what.startswith(title) and seen.weights == "GGUF Q4_K" and seen.runs is ("S2V" not in title)


@pytest.fixture(scope="module")
def sources():
    rooms = ("families", "weights", "engine", "diffusion")
    return "\n".join(file.read_text() for room in rooms for file in sorted((SOURCE / room).rglob("*.py")))


def test_no_attention_backend_is_set(sources):
    assert "set_attention_backend" not in sources


def test_weights_are_pinned_in_one_place_which_asks_for_memory_first(sources):
    """tests/weights/test_residency.py: only if half of what is free suffices."""
    assert not re.search(r"enable_group_offload|apply_group_offloading", sources)
    assert sources.count("pin_memory(") == 1
