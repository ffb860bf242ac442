"""AnimateDiff against diffusers' pipelines on tiny random weights; windows for long clips; other image models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_sd import NEGATIVE, PROMPT, image_model, motion_adapter

import kinema
from kinema.core import windows
from kinema.core.errors import ModelError, RequestError, WeightsMissing
from kinema.diffusion.noise import noise
from kinema.engine import context
from kinema.engine.generate import generate, sample
from kinema.engine.load import Engine
from kinema.engine.plan import plan as make_plan
from kinema.families.animatediff import load, recognise

FRAMES, SIDE = 6, 32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animatediff")
    torch.manual_seed(1)
    motion_adapter(folder / "adapter", middle=True)
    image_model(folder / "base")
    image_model(folder / "other", seed=5)
    return folder


@pytest.fixture(scope="module")
def pipeline(place):
    from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter

    pipe = AnimateDiffPipeline.from_pretrained(
        place / "base", motion_adapter=MotionAdapter.from_pretrained(place / "adapter")
    )
    pipe.scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", steps_offset=1, clip_sample=False,
        timestep_spacing="linspace",
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def family(place):
    return load(recognise(place / "adapter"), place / "adapter", "cpu")


def plan_of(place, *, base="base", conditions=(), options=None, **fields):
    asked = {
        "model": str(place / "adapter"), "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": 3, "steps": 5,
        "frames": FRAMES, "guidance": 2.0, "profile": "exact", "conditions": conditions,
        "options": {"base": str(place / base), "context_length": 8, **(options or {})},
    }  # fmt: skip
    return make_plan(kinema.Request(**(asked | fields)), device="cpu")


def latents_of(family, plan):
    return sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])


def theirs(pipe, plan, **more):
    return pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=plan.steps, guidance_scale=plan.guidance,
        height=SIDE, width=SIDE, **more,
    ).frames  # fmt: skip


def test_it_is_diffusers(place, pipeline, family):
    plan = plan_of(place)
    assert (plan.width, plan.height) == (SIDE, SIDE), "the image model gives the size"
    start = noise(plan.seed, "init/0", (1, 4, FRAMES, SIDE // 4, SIDE // 4))
    expected = theirs(pipeline, plan, num_frames=FRAMES, latents=start, output_type="latent")
    assert (latents_of(family, plan) - expected).abs().max() < 1e-4
    made = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    with torch.no_grad():
        pixels = pipeline.video_processor.postprocess_video(pipeline.decode_latents(expected), output_type="np")[0]
    assert made.shape == (FRAMES, SIDE, SIDE, 3) and np.abs(made - pixels * 255).max() <= 1


def test_from_a_clip_it_is_diffusers(place, pipeline, family, tmp_path, monkeypatch):
    from diffusers import AnimateDiffVideoToVideoPipeline
    from diffusers.pipelines.animatediff import pipeline_animatediff_video2video as module

    frames = np.random.default_rng(0).integers(0, 255, (FRAMES, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{index:03d}.png")
    plan = plan_of(place, conditions=({"kind": "source", "video": str(tmp_path)},), options={"strength": 0.6})
    drawn = noise(plan.seed, "init/0", (1, 4, FRAMES, SIDE // 4, SIDE // 4))
    monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: drawn.transpose(1, 2))
    monkeypatch.setattr(module, "retrieve_latents", lambda encoded, **_: encoded.latent_dist.mode())
    parts = {name: part for name, part in pipeline.components.items() if name != "image_encoder"}
    editor = AnimateDiffVideoToVideoPipeline(**{**parts, "feature_extractor": None})
    editor.set_progress_bar_config(disable=True)
    pictures = [Image.fromarray(frame) for frame in frames]
    expected = theirs(editor, plan, video=pictures, strength=0.6, output_type="latent")
    assert (latents_of(family, plan) - expected).abs().max() < 1e-4


def test_motion_modules_matter_and_another_image_model_can_stand_under_them(place, family):
    one, other = (latents_of(family, plan_of(place, base=base)) for base in ("base", "other"))
    assert (one - other).abs().max() > 0.1
    assert torch.equal(latents_of(family, plan_of(place)), one)


def test_the_manifest_names_the_image_model_too(place, family):
    engine = Engine("adapter", family, place / "adapter", "cpu")
    one, other = (engine.digests(plan_of(place, base=base)) for base in ("base", "other"))
    assert len(one) == 4 and len(other) == 4, "the adapter, text encoder, UNet and autoencoder"
    assert sum(one[name] == other[name] for name in one) == 1


def test_predictions_of_windows_are_averaged():
    x = torch.randn(1, 2, 20, 3, 3)
    frames = [slice(each.start, each.stop) for each in windows.context(20, 8, 4)]
    assert [each.stop - each.start for each in frames] == [8] * 4
    assert torch.allclose(context.blend([(each, 2 * x[:, :, each]) for each in frames], x), 2 * x, atol=1e-5)
    ramp = torch.arange(12.0).view(1, 1, 12, 1, 1)
    marked = [(slice(0, 8), torch.zeros(1, 1, 8, 1, 1)), (slice(4, 12), torch.ones(1, 1, 8, 1, 1))]
    blended = context.blend(marked, ramp).flatten()
    assert blended[:4].eq(0).all() and blended[8:].eq(1).all() and (blended[3:9].diff() >= 0).all()


def test_long_clips_begin_alike_in_every_window(place, family):
    drawn = noise(1, "init/0", (1, 4, 24, 2, 2))
    mixed = context.shuffled(drawn, 8, 4, seed=1)
    assert torch.equal(mixed[:, :, :8], drawn[:, :, :8])
    for first in (8, 12, 16, 20):
        before = {tuple(mixed[0, :, at].flatten().tolist()) for at in range(first - 8, first - 4)}
        here = {tuple(mixed[0, :, at].flatten().tolist()) for at in range(first, first + 4)}
        assert here == before, "the same noise in another order"
    long = plan_of(place, frames=20)
    assert any("windows of 8" in note for note in long.notes)
    made = latents_of(family, long)
    assert made.shape[2] == 20 and torch.isfinite(made).all()


def test_refusals(place, tmp_path):
    for options, words in (
        ({"context_overlap": 9}, "cannot overlap"),
        ({"strength": 0.5}, "requires a source clip"),
        ({"context_length": 30}, "context_length"),
    ):
        with pytest.raises(RequestError, match=words):
            plan_of(place, options=options)
    with pytest.raises(RequestError, match="does not support"):
        plan_of(place, conditions=({"kind": "mask", "everything": True},))
    family = load(recognise(place / "adapter"), place / "adapter", "cpu")
    missing = plan_of(place, options={"base": "nobody/nothing"}, width=512, height=512)
    with pytest.raises(WeightsMissing, match="models pull nobody/nothing"):
        family.encode(missing, family.prepare(missing))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="missing: tokenizer"):
        plan_of(place, options={"base": str(tmp_path / "empty")})


def as_published(adapter):
    """A diffusers adapter's tensors with the names and positions of AnimateDiff's original files."""
    from kinema.families.animatediff.adapter_names import original

    state = {f"module.{original(name)}": tensor for name, tensor in adapter.state_dict().items()}
    return {key.replace("pos_embed.pe", "pos_encoder.pe"): tensor.clone() for key, tensor in state.items()}


def test_published_motion_modules_load(place, family, tmp_path):
    from diffusers import MotionAdapter
    from safetensors.torch import save_file

    adapter = MotionAdapter.from_pretrained(place / "adapter")
    state = as_published(adapter)
    block = "module.down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0"
    assert f"{block}.attention_blocks.1.to_out.0.bias" in state and f"{block}.ff_norm.weight" in state
    assert f"{block}.norms.0.weight" in state
    assert "module.mid_block.motion_modules.0.temporal_transformer.proj_in.bias" in state
    width = adapter.config.block_out_channels[0]
    for part in ("attention_blocks.0", "attention_blocks.1"):
        state[f"{block}.{part}.pos_encoder.pe"] = torch.zeros(1, 8, width)
    save_file(state, tmp_path / "mm_tiny.safetensors")
    card = recognise(tmp_path / "mm_tiny.safetensors")
    assert card.id == "mm_tiny" and card.options["context_length"].maximum == 8
    from kinema.families.animatediff.checkpoint import adapter_at

    again = adapter_at(tmp_path / "mm_tiny.safetensors", torch.float32)
    assert again.config.use_motion_mid_block and again.config.motion_max_seq_length == 8
    for name, tensor in adapter.state_dict().items():
        if not name.endswith("pos_embed.pe"):
            assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize("dialect", ["published", "processors", "diffusers"])
def test_motion_loras_in_every_dialect_do_the_same(place, family, tmp_path, dialect):
    from safetensors.torch import save_file

    pytest.importorskip("peft")
    module = "down_blocks.0.motion_modules.0.transformer_blocks.0"
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, 32, generator=generator), torch.randn(32, 2, generator=generator)
    stem = {
        "published": "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0"
        ".processor.to_{}_lora.{}.weight",
        "processors": f"unet.{module}.attn1.processor.to_{{}}_lora.{{}}.weight",
        "diffusers": f"unet.{module}.attn1.to_{{}}.lora.{{}}.weight",
    }[dialect]  # fmt: skip
    out = "out.0" if dialect == "diffusers" else "out"
    state = {stem.format(part, which): tensor.clone() for part in ("q", out) for which, tensor in
             (("down", down), ("up", up))}  # fmt: skip
    save_file(state, tmp_path / "pan_left.safetensors")
    style = {"kind": "style", "adapter": str(tmp_path / "pan_left.safetensors"), "weight": 0.5}
    unet_before = latents_of(family, plan_of(place))
    with_lora = latents_of(family, plan_of(place, conditions=(style,)))
    weights = dict(family.parts.unet.named_parameters())
    assert any("lora" in name and "motion_modules.0" in name for name in weights)
    expected = torch.load(place / "lora.pt", weights_only=True) if (place / "lora.pt").exists() else with_lora
    torch.save(expected, place / "lora.pt")
    assert torch.equal(with_lora, expected) and (with_lora - unet_before).abs().max() > 1e-3
    assert torch.equal(latents_of(family, plan_of(place)), unet_before)


def test_free_init_is_diffusers(place, pipeline, family, monkeypatch):
    """Three passes, each with the same new noise."""
    from diffusers.pipelines import free_init_utils

    plan = plan_of(place, options={"free_init": 3}, steps=3)
    shape = (1, 4, FRAMES, SIDE // 4, SIDE // 4)
    drawn = iter([noise(plan.seed, f"free_init/{number}", shape) for number in (1, 2)])
    monkeypatch.setattr(free_init_utils, "randn_tensor", lambda **_: next(drawn))
    pipeline.enable_free_init(num_iters=3)
    try:
        wanted = theirs(
            pipeline, plan, num_frames=FRAMES, latents=noise(plan.seed, "init/0", shape), output_type="latent"
        )
    finally:
        pipeline.disable_free_init()
    made = []
    prepared = family.prepare(plan)
    cond = family.encode(plan, prepared)
    latents = None
    for index in range(3):
        latents = sample(plan, family, cond, plan.spans[0], index, finished=latents)
        made.append(latents)
    assert (latents - wanted).abs().max() < 1e-4
    assert (made[0] - latents).abs().max() > 1e-2
    frames = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    once = np.concatenate([chunk.frames for chunk in generate(plan_of(place, steps=3), family)])
    assert frames.shape == once.shape and not np.array_equal(frames, once)
