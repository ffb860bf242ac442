"""Training computes the same numbers as the published pipeline: latents in one pass, VACE conditions, text padding."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanVACEPipeline
from PIL import Image
from small_networks import small_text_encoder, small_transformer

from kinema.training.data import parallel_vae
from kinema.training.data.latents import encoder, object_weight
from kinema.training.data.parallel_vae import denormalize, normalize
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.data.vace import context, letterbox, object_crop
from kinema.training.tasks.export import export_pipeline
from kinema.training.tasks.flow import draw_times, mix, weighted_error
from kinema.training.tasks.vae import initialize

VAE = {
    "base_dim": 4, "z_dim": 16, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1,
    "temperal_downsample": [True, True, False],
    "latents_mean": [0.1] * 16, "latents_std": [0.7] * 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def pipeline():
    torch.manual_seed(0)
    tokenizer = build_tokenizer(["a red ball rolls to the left over green hills", "a blue star, at night"])
    vae = AutoencoderKLWan(**VAE, is_residual=True)
    initialize(vae, torch.Generator().manual_seed(0))
    transformer = small_transformer()
    text = small_text_encoder(len(tokenizer))
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    pipe = WanVACEPipeline(
        tokenizer=tokenizer,
        text_encoder=text.eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=scheduler,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("residual", [True, False])
@torch.no_grad()
def test_one_pass_equals_the_chunked_autoencoder(residual):
    torch.manual_seed(1)
    vae = AutoencoderKLWan(**VAE, is_residual=residual).eval()
    frames = torch.rand(1, 3, 9, 32, 32) * 2 - 1
    mean, _ = parallel_vae.encode(vae, frames)
    assert torch.allclose(mean, vae.encode(frames).latent_dist.mean, atol=1e-3)
    decoded = parallel_vae.decode(vae, mean).clamp(-1, 1)
    assert decoded.shape == frames.shape
    assert torch.allclose(decoded, vae.decode(mean).sample, atol=2e-3)


@torch.no_grad()
@pytest.mark.parametrize("num_frames", [1, 9])
def test_a_spatial_level_is_still_the_librarys_autoencoder(num_frames):
    """Layers with zero earlier taps run frame by frame, also for single images; patches are folded and unfolded."""
    torch.manual_seed(1)
    patches = {"patch_size": 2, "in_channels": 12, "out_channels": 12, "dim_mult": [1, 2, 2]}
    for changes in ({}, patches):
        vae = AutoencoderKLWan(**{**VAE, **changes}, is_residual=True).eval()
        parallel_vae.make_spatial(
            vae.encoder.conv_in, vae.encoder.down_blocks[0].resnets, vae.decoder.up_blocks[-1].resnets
        )
        frames = torch.rand(1, 3, num_frames, 32, 32) * 2 - 1
        mean, _ = parallel_vae.encode(vae, frames)
        if changes:
            num_frames = 1  # a VAE of two halvings of time would need other truthy entries for more
            frames = frames[:, :, :1]
            mean, _ = parallel_vae.encode(vae, frames)
        assert torch.allclose(mean, vae.encode(frames).latent_dist.mean, atol=1e-3)
        assert torch.allclose(parallel_vae.decode(vae, mean).clamp(-1, 1), vae.decode(mean).sample, atol=2e-3)


@torch.no_grad()
def test_conditions_equal_the_pipelines(pipeline):
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    keep = np.zeros((9, 32, 32), bool)
    keep[1:, 4:20, 8:30] = True
    reference = rng.integers(0, 256, (24, 16, 3), dtype=np.uint8)  # the pipeline first rounds sides to eights
    frames, mask, references = pipeline.preprocess_conditions(
        [Image.fromarray(frame) for frame in video], [Image.fromarray(m.astype(np.uint8) * 255) for m in keep],
        [Image.fromarray(reference)], 1, 32, 32, 9, torch.float32, torch.device("cpu"),
    )  # fmt: skip
    theirs = torch.cat(
        [
            pipeline.prepare_video_latents(frames, mask, references, None, torch.device("cpu")),
            pipeline.prepare_masks(mask, references),
        ],
        dim=1,
    )
    ours = context(
        encoder(pipeline.vae),
        torch.from_numpy(video).permute(3, 0, 1, 2)[None].float() / 127.5 - 1,
        torch.from_numpy(keep)[None].float(),
        letterbox(reference, 32, 32)[None],
    )
    assert ours.shape == theirs.shape == (1, 96, 4, 4, 4)
    assert torch.allclose(ours, theirs, atol=2e-3)


@torch.no_grad()
def test_text_is_padded_as_the_pipeline_pads_and_unknown_words_are_met(pipeline):
    from kinema.training.tasks.video import VideoTask

    task = VideoTask.__new__(VideoTask)
    task.tokenizer, task.text_encoder, task.tokens, task.device, task.forget = (
        pipeline.tokenizer, pipeline.text_encoder, 64, "cpu", 0.0,
    )  # fmt: skip
    prompts = ["A RED zebra rolls, left!", ""]
    theirs, _ = pipeline.encode_prompt(prompts, do_classifier_free_guidance=False, max_sequence_length=64)
    assert torch.allclose(task.embed(prompts), theirs, atol=1e-5)
    ids = pipeline.tokenizer("a zebra").input_ids
    assert ids[-2:] == [2, 1] and pipeline.tokenizer.pad_token_id == 0


def test_an_export_opens_in_diffusers_and_keeps_its_weights(pipeline, tmp_path):
    before = pipeline.transformer.patch_embedding.weight.clone()
    hashes = export_pipeline(
        tmp_path / "mini", vae=pipeline.vae, transformer=pipeline.transformer, text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer, scheduler=pipeline.scheduler,
    )  # fmt: skip
    assert len(hashes) == 3 and torch.equal(before, pipeline.transformer.patch_embedding.weight)
    again = WanVACEPipeline.from_pretrained(tmp_path / "mini")
    again.set_progress_bar_config(disable=True)
    assert torch.allclose(again.transformer.patch_embedding.weight, before, atol=1e-3)
    assert next(again.text_encoder.parameters()).dtype == torch.float32
    frames = again(
        "a red ball", height=32, width=32, num_frames=5, num_inference_steps=2, max_sequence_length=64,
        generator=torch.Generator().manual_seed(0),
    ).frames  # fmt: skip
    assert frames.shape == (1, 5, 32, 32, 3) and np.isfinite(frames).all()


def test_latents_are_normalised_back_and_forth(pipeline):
    z = torch.randn(1, 16, 2, 2, 2)
    assert torch.allclose(denormalize(pipeline.vae, normalize(pipeline.vae, z)), z, atol=1e-6)


def test_flow_ends_are_data_and_noise():
    x0, noise = torch.randn(2, 3, 1, 2, 2), torch.randn(2, 3, 1, 2, 2)
    noisy, target = mix(x0, noise, torch.tensor([0.0, 1.0]))
    assert torch.equal(noisy[0], x0[0]) and torch.equal(noisy[1], noise[1])
    assert weighted_error(target, target, torch.ones(2, 1, 2, 2)) == 0
    generator = torch.Generator().manual_seed(0)
    times = draw_times(2000, 1.0, generator)
    assert times.min() > 0 and times.max() < 1 and times.mean() > draw_times(2000, 0.0, generator).mean() + 0.1


def test_crops_and_weights():
    masks = np.zeros((1, 17, 64, 64), bool)
    masks[0, :, 20:30, 10:22] = True
    crop = object_crop(np.full((64, 64, 3), 7, np.uint8), masks[0, 0])
    assert crop.shape == (16, 16, 3) and crop[0, 0, 0] == 255 and crop[8, 8, 0] == 7
    assert object_crop(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool)) is None
    weight = object_weight(torch.from_numpy(masks[0])[None])
    assert weight.shape == (1, 5, 8, 8) and 0 < weight.max() <= 1
