"""Stable Video Diffusion against diffusers' pipeline on tiny random weights, its plan, and the original single file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import kinema
from kinema.core.errors import ModelError, RequestError
from kinema.core.registry import built_in_cards
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate, sample
from kinema.engine.plan import plan as make_plan
from kinema.families.svd import layouts, load, recognise
from kinema.families.svd.prepare import for_clip
from kinema.sd import original

FRAMES, SIDE, SEED = 5, 64, 7


@pytest.fixture(scope="module")
def pipeline():
    """A small random pipeline of the published classes."""
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    from kinema.families.svd.single_file import CLIP_MEAN, CLIP_STD, _scheduler

    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=16, block_out_channels=(64, 128), layers_per_block=1, num_attention_heads=(1, 2),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=48,
        addition_time_embed_dim=16, projection_class_embeddings_input_dim=48, num_frames=FRAMES,
    )  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32, 64), down_block_types=("DownEncoderBlock2D",) * 3, layers_per_block=1
    )
    vision = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=80, intermediate_size=96, num_hidden_layers=2, num_attention_heads=1, patch_size=56,
            image_size=224, projection_dim=48, hidden_act="gelu",
        )
    )  # fmt: skip
    with torch.no_grad():  # blends that do something, on either side of a half
        for part in (unet, vae):
            for name, parameter in part.named_parameters():
                if name.endswith("mix_factor"):
                    parameter.copy_(torch.randn(parameter.shape))
    pipe = StableVideoDiffusionPipeline(
        vae=vae.eval(), image_encoder=vision.eval(), unet=unet.eval(), scheduler=_scheduler(),
        feature_extractor=CLIPImageProcessorPil(image_mean=CLIP_MEAN, image_std=CLIP_STD),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def folder(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny-svd"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).save(path)
    return str(path)


def request(folder, photo, **fields):
    conditions = ({"kind": "image", "image": photo, "at": "first"},)
    return kinema.Request(
        **{"model": str(folder), "conditions": conditions, "seed": SEED, "steps": 4, "profile": "exact"} | fields
    )


def theirs(pipeline, plan, monkeypatch, output="latent"):
    """Run diffusers' pipeline with the same noise on the image and at the start."""
    from diffusers.pipelines.stable_video_diffusion import pipeline_stable_video_diffusion as module

    monkeypatch.setattr(module, "randn_tensor", lambda shape, **_: noise(plan.seed, "augment", tuple(shape)))
    start = noise(plan.seed, "init/0", (1, 4, plan.frames, SIDE // 4, SIDE // 4)).transpose(1, 2)
    picture = Image.open(next(c.image for c in plan.conditions if c.kind == "image"))
    return pipeline(
        picture, height=plan.height, width=plan.width, num_frames=plan.frames, num_inference_steps=plan.steps,
        min_guidance_scale=plan.options["first_guidance"], max_guidance_scale=plan.guidance, fps=plan.fps,
        motion_bucket_id=plan.options["motion"], noise_aug_strength=plan.options["augmentation"],
        decode_chunk_size=plan.options["decode_chunk"], latents=start, output_type=output,
    ).frames  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{}, {"options": {"motion": 40, "augmentation": 0.3, "first_guidance": 1.5}, "fps": 12, "guidance": 2.5}],
    ids=["defaults", "everything else"],
)
def test_latents_and_frames_are_those_of_diffusers(pipeline, folder, photo, monkeypatch, fields):
    family = load(recognise(folder), folder, "cpu")
    plan = make_plan(request(folder, photo, **fields), device="cpu")
    assert (plan.frames, plan.width, plan.height) == (FRAMES, SIDE, SIDE)
    ours = sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0]).transpose(1, 2)
    assert (ours - theirs(pipeline, plan, monkeypatch)).abs().max() < 1e-4
    plan = plan.model_copy(update={"options": {**plan.options, "decode_chunk": 2}})
    frames = np.concatenate([chunk.frames for chunk in generate(plan, family)])
    expected = theirs(pipeline, plan, monkeypatch, "np")[0] * 255
    assert frames.shape == (FRAMES, SIDE, SIDE, 3) and np.abs(frames - expected).max() <= 1


def test_guidance_rises_or_makes_a_triangle(folder, photo):
    family = load(recognise(folder), folder, "cpu")
    line = make_plan(request(folder, photo), device="cpu")
    assert family.scales(line, line.spans[0]).flatten().tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    roof = make_plan(request(folder, photo, options={"guidance_shape": "triangle"}), device="cpu")
    assert family.scales(roof, roof.spans[0]).flatten().tolist() == [1.0, 2.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize("size", [(576, 1024), (224, 224), (100, 333), (60, 50)])
def test_pictures_for_clip_are_reduced_as_diffusers_does(size):
    from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing

    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = (_resize_with_antialiasing(picture, (224, 224)) + 1) / 2
    assert (for_clip(picture, [0.0] * 3, [1.0] * 3) - expected).abs().max() < 1e-5


def test_what_it_cannot_do_is_refused_and_what_is_odd_is_said(folder, photo):
    with pytest.raises(RequestError, match="image:first"):
        make_plan(kinema.Request(model=str(folder), prompt="a cat"), device="cpu")
    with pytest.raises(RequestError, match="motion"):
        make_plan(request(folder, photo, options={"motion": 2000}), device="cpu")
    plan = make_plan(request(folder, photo, prompt="a cat", fps=60, options={"motion": 300}), device="cpu")
    notes = " ".join(plan.notes)
    assert "ignores the prompt" in notes and "60 fps" in notes and "above 255" in notes


def test_the_picture_gives_the_shape(tmp_path):
    Image.new("RGB", (300, 500)).save(tmp_path / "tall.png")
    card = next(card for card in built_in_cards() if card.id == "svd-xt")
    wanted = kinema.Request(model="svd-xt", conditions=({"kind": "image", "image": str(tmp_path / "tall.png")},))
    plan = make_plan(wanted, card, "H200")
    assert plan.height > plan.width and plan.width % 64 == plan.height % 64 == 0 and plan.frames == 25
    assert abs(plan.width * plan.height / (1024 * 576) - 1) < 0.15


def as_published(pipeline) -> dict[str, torch.Tensor]:
    """The pipeline's tensors under the names of the original file."""
    state = {}
    for name, tensor in pipeline.unet.named_parameters():
        state[original.unet_name(name, 1, (True, False))] = tensor.data
    for name, tensor in pipeline.vae.named_parameters():
        for found in {original.vae_name(name, 3), layouts.vae_name(name, 3)}:
            state[found] = tensor.data
    thirds: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in pipeline.image_encoder.named_parameters():
        found, third = layouts.vision_name(name)
        if third:
            thirds.setdefault(found, {})[third] = tensor.data
        else:
            state[found] = tensor.data.T if found.endswith(".proj") else tensor.data
    for found, parts in thirds.items():
        state[found] = torch.cat([parts[third] for third in "qkv"])
    for name in list(state):  # attention of the autoencoder is made of 1 x 1 convolutions there
        if ".attn_1." in name and name.endswith("weight") and ".norm." not in name:
            state[name] = state[name][:, :, None, None]
    return {name: tensor.contiguous().clone() for name, tensor in state.items()}


def test_the_original_single_file_loads(pipeline, tmp_path, photo):
    from safetensors.torch import save_file

    state = as_published(pipeline)
    file = tmp_path / "svd_xt_tiny.safetensors"
    save_file(state, file)
    for name in (
        "model.diffusion_model.input_blocks.1.1.time_stack.0.attn1.to_q.weight",
        "model.diffusion_model.input_blocks.1.1.time_pos_embed.2.weight",
        "model.diffusion_model.input_blocks.1.0.time_mixer.mix_factor",
        "model.diffusion_model.input_blocks.2.0.op.weight",
        "model.diffusion_model.label_emb.0.2.bias",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "first_stage_model.decoder.mid.block_1.mix_factor",
        "first_stage_model.decoder.conv_out.time_mix_conv.weight",
        "first_stage_model.decoder.up.2.block.0.time_stack.in_layers.2.weight",
        "conditioner.embedders.3.encoder.quant_conv.weight",
        "conditioner.embedders.0.open_clip.model.visual.transformer.resblocks.1.attn.in_proj_weight",
    ):
        assert name in state, name
    card = recognise(file)
    assert card is not None and card.family == "svd"
    family = load(card, file, "cpu")
    for part in ("unet", "vae", "image_encoder"):
        own, given = getattr(family.parts, part).state_dict(), getattr(pipeline, part).state_dict()
        assert own.keys() == given.keys()
        assert all(torch.equal(own[name], given[name]) for name in own), part
    scheduler = family.scheduler(make_plan(request(file, photo), device="cpu"))
    ramp = torch.linspace(0, 1, 4, dtype=torch.float64)
    karras = (700 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 700 ** (1 / 7))) ** 7  # EDM, rho = 7
    assert torch.allclose(scheduler.sigmas[:4].double(), karras, rtol=1e-4)
    assert torch.allclose(scheduler.timesteps.double(), 0.25 * karras.log(), atol=1e-4)


def test_a_single_file_that_lacks_a_tensor_says_which(pipeline, tmp_path):
    from safetensors.torch import save_file

    state = as_published(pipeline)
    lost = "first_stage_model.decoder.mid.attn_1.q.weight"
    del state[lost]
    save_file(state, tmp_path / "svd.safetensors")
    with pytest.raises(ModelError, match=lost):
        load(recognise(tmp_path / "svd.safetensors"), tmp_path / "svd.safetensors", "cpu")


def test_the_published_sizes():
    """Parameters, distinct names, and the cost of a forward, on the published configuration without weights."""
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    network = next(card.network for card in built_in_cards() if card.id == "svd-xt")
    with FakeTensorMode():
        unet = UNetSpatioTemporalConditionModel()
        vae = AutoencoderKLTemporalDecoder(
            block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=2
        )
        assert sum(parameter.numel() for parameter in unet.parameters()) == network.parameters
        assert sum(parameter.numel() for parameter in vae.parameters()) == network.autoencoder_parameters
        rows, columns, frames = 72, 128, 25
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            unet(
                torch.zeros(1, frames, 8, rows, columns), torch.tensor(1.0), torch.zeros(1, 1, 1024),
                added_time_ids=torch.zeros(1, 3),
            )  # fmt: skip
    cell = counter.get_total_flops() / (frames * rows * columns)
    assert cell == pytest.approx(network.flop_per_cell, rel=0.02)
    names = [original.unet_name(name, 2, (True, True, True, False)) for name, _ in unet.named_parameters()]
    names += [original.vae_name(name, 4) for name, _ in vae.named_parameters()]
    assert len(names) == len(set(names))
    assert "model.diffusion_model.output_blocks.11.1.time_mixer.mix_factor" in names
    assert "model.diffusion_model.output_blocks.2.1.conv.weight" in names
    assert "model.diffusion_model.output_blocks.8.2.conv.weight" in names
