"""Wan 2.2 TI2V-5B against its oracle: a tiny random checkpoint in diffusers' layout, and the same weights as single
files in ComfyUI's layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from test_wan_i2v import NEGATIVE, PROMPT, TEXT_LENGTH, TOLERANCE, WORDS, latents, randomised, tokenizer
from wan_original import clean_text_state, original_vae_22, renamed, spiece

from kinema.core.errors import ModelError, RequestError
from kinema.core.request import Request
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate
from kinema.families.wan import autoencoder_22, forward, load, plan, recognise, two_times
from kinema.families.wan.autoencoder_22 import MEAN, STD

SIDE, FRAMES, STEPS, GUIDANCE, SHIFT, SEED = 64, 9, 4, 4.0, 5.0, 11


def transformer():
    from diffusers import WanTransformer3DModel

    return randomised(
        WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=128, in_channels=48, out_channels=48, text_dim=32, freq_dim=32,
            ffn_dim=64, num_layers=2,
        )
    )  # fmt: skip


def autoencoder():
    from diffusers import AutoencoderKLWan

    return randomised(
        AutoencoderKLWan(
            base_dim=4, decoder_base_dim=8, z_dim=48, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
            scale_factor_spatial=16, scale_factor_temporal=4, latents_mean=list(MEAN), latents_std=list(STD),
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def pipeline():
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    text = UMT5Config(
        vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    made = WanImageToVideoPipeline(
        tokenizer=tokenizer(), text_encoder=randomised(UMT5EncoderModel(text)), transformer=transformer(),
        vae=autoencoder(), expand_timesteps=True,
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT),
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("ti2v") / "tiny_ti2v"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def family(folder):
    return load(recognise(folder), folder, "cpu")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("picture") / "first.png"
    Image.fromarray(np.kron(rng.integers(0, 255, (8, 8, 3)), np.ones((SIDE // 8, SIDE // 8, 1))).astype("u1")).save(
        path
    )
    return path


def planned(folder, picture=None, **fields):
    settings = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "model": str(folder), "width": SIDE, "height": SIDE,
        "frames": FRAMES, "steps": STEPS, "guidance": GUIDANCE, "seed": SEED, "profile": "exact",
        "conditions": ({"kind": "image", "image": str(picture), "at": "first"},) if picture else (),
        "options": {"shift": SHIFT, "text_length": TEXT_LENGTH},
    }  # fmt: skip
    return plan(Request(**{**settings, **fields}), recognise(folder))


def common(shape, **more):
    return {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "height": SIDE, "width": SIDE, "num_frames": FRAMES,
        "num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "latents": noise(SEED, "init/0", shape),
        "max_sequence_length": TEXT_LENGTH, "output_type": "latent", **more,
    }  # fmt: skip


def test_a_clip_from_a_picture_equals_the_pipeline(pipeline, folder, family, picture):
    made = planned(folder, picture)
    ours = latents(family, made)
    frames = np.concatenate([chunk.frames for chunk in family.decode(ours, made, made.spans[0])])
    image = Image.open(picture).convert("RGB")
    theirs = pipeline(image=image, **common(tuple(ours.shape))).frames
    assert ours.shape == theirs.shape == (1, 48, 3, SIDE // 16, SIDE // 16)
    assert (ours - theirs).abs().max() < TOLERANCE
    assert (theirs - noise(SEED, "init/0", tuple(ours.shape))).abs().max() > 0.1
    seen = pipeline(image=image, **common(tuple(ours.shape), output_type="np")).frames[0]
    assert frames.shape == seen.shape == (FRAMES, SIDE, SIDE, 3)
    assert np.abs(frames / 255.0 - seen).max() < 1.01 / 255


def test_a_clip_from_text_equals_the_pipeline(pipeline, folder, family):
    from diffusers import WanPipeline

    made = planned(folder)
    ours = latents(family, made)
    parts = ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")
    text = WanPipeline(**{name: getattr(pipeline, name) for name in parts}, expand_timesteps=True)
    text.set_progress_bar_config(disable=True)
    theirs = text(**common(tuple(ours.shape))).frames
    assert (ours - theirs).abs().max() < TOLERANCE


def test_the_first_frame_stays_in_every_profile_and_sampler(folder, family, picture):
    """Also with roundings, forecast steps, and ComfyUI's samplers."""
    exact = planned(folder, picture)
    first = family.encode(exact, family.prepare(exact)).known_BCTHW
    for fields in (
        {"profile": "fast", "steps": 8},
        {"options": {"shift": SHIFT, "sampler": "euler", "schedule": "simple"}},
    ):
        ours = latents(family, planned(folder, picture, **fields))
        assert (ours[:, :, :1] - first).abs().max() < 0.02
        assert (ours[:, :, 1:2] - first).abs().max() > 0.1


def test_two_times_cost_no_memory_per_token(family, picture, folder, monkeypatch):
    """No modulation of every token is computed: two rows, whatever the number of tokens."""
    made, rows = planned(folder, picture), []
    embedder = family.parts.transformer.condition_embedder.time_proj
    embedder.register_forward_hook(lambda _m, _i, out: rows.append(out.shape[0]))
    latents(family, made)
    assert set(rows) == {2}


def test_previews_frames_in_slices_and_a_style(folder, family, picture, tmp_path):
    """A preview is one frame; slices hold the frames of one latent frame; a LoRA changes the clip and leaves again."""
    made = planned(folder, picture)
    base = latents(family, made)
    shown = family.preview(base, torch.zeros_like(base), 0.0, made, made.spans[0])
    assert shown.shape == (1, SIDE, SIDE, 3) and shown.dtype == np.uint8
    assert [len(chunk.frames) for chunk in family.decode(base, made, made.spans[0])] == [1, 4, 4]
    style, key = tmp_path / "style.safetensors", "diffusion_model.blocks.0.self_attn.q"
    save_file({f"{key}.lora_down.weight": torch.ones(2, 256) * 0.1, f"{key}.lora_up.weight": torch.ones(256, 2)}, style)
    conditions = ({"kind": "style", "adapter": str(style)}, {"kind": "image", "image": str(picture), "at": "first"})
    styled = latents(family, planned(folder, conditions=conditions))
    assert (styled[:, :, 1:] - base[:, :, 1:]).abs().max() > 0.01
    assert torch.equal(latents(family, made), base)


def test_a_clip_to_start_from_keeps_its_first_picture(folder, family, picture, tmp_path):
    clip = tmp_path / "clip.npy"
    np.save(clip, np.random.default_rng(1).random((FRAMES, SIDE, SIDE, 3), dtype=np.float32))
    source = {"kind": "source", "video": str(clip)}
    picked = {"kind": "image", "image": str(picture), "at": "first"}
    options = {"shift": SHIFT, "text_length": TEXT_LENGTH, "strength": 0.5}
    both = planned(folder, conditions=(source, picked), options=options)
    ours = latents(family, both)
    assert (ours[:, :, :1] - family.encode(both, family.prepare(both)).known_BCTHW).abs().max() < 1e-4
    plain = latents(family, planned(folder, conditions=(source,), options=options))
    assert (ours - plain).abs().max() > 0.1
    assert (plain - latents(family, planned(folder))).abs().max() > 0.1


def test_windows_after_the_first_have_no_known_frame(folder, family, picture):
    from kinema.core.plan import Span

    made = planned(folder, picture)
    cond = family.encode(made, family.prepare(made))
    x, t = noise(1, "x", (1, 48, 2, 4, 4)), torch.tensor(500.0)
    later = family.predict(cond, Span(start=4, stop=9))(x, t, ("cond",))["cond"]
    bare = type(cond)(**{**vars(cond), "known_BCTHW": None})
    assert torch.equal(later, family.predict(bare, Span(start=4, stop=9))(x, t, ("cond",))["cond"])


def test_modulation_at_any_place_equals_one_per_token():
    """Known tokens in the middle (after a reference) too."""
    network = transformer()
    forward.prepare(network)
    x_BLD, text = noise(1, "x", (1, 7, 256)), forward.TextStates(noise(1, "t", (1, 5, 256)), None, keep=False)
    two_2ND = noise(1, "m", (2, 6, 256))
    angles = torch.rand(1, 7, 1, 64).repeat_interleave(2, -1)
    rope = (angles.cos(), angles.sin())
    known = slice(2, 5)
    ours = network.blocks[0](x_BLD, text, two_times.TwoTimes(two_2ND, known), rope)
    every_1L6D = two_2ND[:1, None].expand(1, 7, 6, 256).clone()
    every_1L6D[:, known] = two_2ND[1]
    theirs = type(network.blocks[0]).forward(network.blocks[0], x_BLD, text, every_1L6D, rope)
    assert (ours - theirs).abs().max() < 1e-5
    assert (
        theirs - type(network.blocks[0]).forward(network.blocks[0], x_BLD, text, two_2ND[:1], rope)
    ).abs().max() > 0.1


def test_sizes_and_conditions(folder, picture):
    card = recognise(folder)
    assert (card.variant, card.accepts, card.needs) == ("ti2v", ("image:first", "source", "style"), ())
    assert card.size.multiple == 32
    with pytest.raises(RequestError, match="multiples of 32"):
        planned(folder, width=80)
    with pytest.raises(RequestError, match="image:last"):
        planned(folder, conditions=({"kind": "image", "image": str(picture), "at": "last"},))


def test_the_published_autoencoder_s_sizes_come_from_its_file():
    """All names and shapes of the published network, without values."""
    from diffusers import AutoencoderKLWan

    published = {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "dim_mult": [1, 2, 4, 4],
        "temperal_downsample": [False, True, True], "is_residual": True, "in_channels": 12, "out_channels": 12,
        "patch_size": 2, "scale_factor_spatial": 16, "scale_factor_temporal": 4,
    }  # fmt: skip
    with torch.device("meta"):
        network = AutoencoderKLWan(**published, latents_mean=list(MEAN), latents_std=list(STD))
    state = {original_vae_22(name): value for name, value in network.state_dict().items()}
    assert "encoder.downsamples.2.downsamples.2.time_conv.weight" in state
    assert "decoder.upsamples.0.upsamples.3.resample.1.weight" in state
    assert autoencoder_22.config(state) == {**published, "latents_mean": list(MEAN), "latents_std": list(STD)}
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    assert {name: value.shape for name, value in autoencoder_22.renamed(state).items()} == wanted
    assert sum(value.numel() for value in state.values()) == 704_688_668
    assert len(set(MEAN)) == len(MEAN) - 1 and min(STD) > 0.3, "48 numbers each; -0.2799 occurs twice"


def test_single_files_in_comfyui_s_folders_give_the_same_latents(pipeline, folder, family, picture, tmp_path):
    models = tmp_path / "models"
    for name in ("diffusion_models", "vae", "text_encoders"):
        (models / name).mkdir(parents=True)
    file = models / "diffusion_models" / "wan2.2_ti2v_5B_tiny.safetensors"
    save_file(renamed(pipeline.transformer), file)
    pieces = torch.tensor(list(spiece()), dtype=torch.uint8)
    save_file(
        clean_text_state(pipeline.text_encoder) | {"spiece_model": pieces},
        models / "text_encoders" / "umt5_xxl_fp16.safetensors",
    )
    with pytest.raises(ModelError, match=r"vae 2.2 \(wan2.2_vae.safetensors"):
        load(recognise(file), file, "cpu")
    save_file(renamed(pipeline.vae, original_vae_22), models / "vae" / "wan2.2_vae.safetensors")
    single = load(recognise(file), file, "cpu")
    # The tokenizers differ; the text states do not matter here.
    single.parts.tokenizer = family.parts.tokenizer
    made = planned(folder, picture)
    assert (latents(single, made) - latents(family, made)).abs().max() < 1e-5
    assert sum(len(chunk.frames) for chunk in generate(made, single)) == FRAMES
    wrong = renamed(pipeline.vae, original_vae_22)
    del wrong["encoder.middle.0.residual.2.weight"]
    save_file(wrong, models / "vae" / "wan2.2_vae.safetensors")
    with pytest.raises(ModelError, match=r"wan2.2_vae.*encoder.mid_block.resnets.0.conv1.weight is missing"):
        load(recognise(file), file, "cpu")
