"""Training of Stable Diffusion miniatures: tokenizer, noise schedules, VAE, image and temporal tasks."""

from __future__ import annotations

import pytest
import tiny_clips
import torch
from diffusers import DDIMScheduler
from tiny_clips import TOKENS, image_model, text_encoder
from transformers import CLIPTokenizer

from kinema.sd.inflate import digest, inflate, is_spatial, is_temporal
from kinema.toyland.scene import WORLD_SMALL
from kinema.training.core.cpu_unet import optimize_for_cpu
from kinema.training.core.frozen import everything
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data.captioner import Captioner, toyland_captions
from kinema.training.tasks import kl_vae
from kinema.training.tasks.ddpm import Schedule, weighted_error
from kinema.training.tasks.image_model import ImageTask
from kinema.training.tasks.temporal import TemporalTask


@pytest.fixture(scope="module")
def captions():
    return tiny_clips.captions()


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_clips.tokenizer()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_clips.clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def vae():
    return tiny_clips.autoencoder()


@pytest.fixture(scope="module")
def latents(vae, store, tmp_path_factory):
    return tiny_clips.latents_of(vae, store, tmp_path_factory.mktemp("latents"))


def test_words_of_captions_are_one_token_and_others_fall_apart(tokenizer, captions, tmp_path):
    ids = tokenizer("a red ball in the meadow").input_ids
    assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id == max(ids) and len(ids) == 8
    assert len(tokenizer("a zebra").input_ids) > 4
    assert tokenizer.decode(tokenizer(captions[0]).input_ids, skip_special_tokens=True).replace(" ", "") == (
        captions[0].lower().replace(" ", "")
    )
    tokenizer.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    assert all(again(text).input_ids == tokenizer(text).input_ids for text in captions[:20])


@pytest.mark.parametrize("kind", ["linear", "scaled_linear"])
def test_the_schedule_is_that_of_diffusers(kind):
    ours = Schedule(kind=kind)
    theirs = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule=kind)
    assert torch.allclose(ours.alphas_bar, theirs.alphas_cumprod, atol=1e-6)
    x0, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    t = torch.tensor([100, 900])
    noisy, velocity = ours.mix(x0, noise, t)
    assert torch.allclose(noisy, theirs.add_noise(x0, noise, t), atol=1e-5)
    assert torch.allclose(velocity, theirs.get_velocity(x0, noise, t), atol=1e-5)
    assert torch.equal(Schedule(kind=kind, prediction="epsilon").mix(x0, noise, t)[1], noise)


def test_late_times_are_later_and_weights_count():
    schedule, even = Schedule(), torch.Generator().manual_seed(0)
    early, late = (schedule.draw(4000, even, share).float().mean() for share in (0.0, 1.0))
    assert 480 < early < 520 and late > 640
    error = torch.zeros(1, 2, 2, 2)
    error[..., 0, 0] = 1
    weight = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]])
    assert weighted_error(error, torch.zeros_like(error), weight) == pytest.approx(3 / 6)


def test_the_autoencoder_learns(store, tmp_path):
    fresh = tiny_clips.autoencoder().train()
    task = kl_vae.KlVaeTask(fresh, store, store, num_held_out=3, permute=0.0)
    before = task.evaluate(0)["psnr_db"]
    config = LoopConfig(out=tmp_path, max_steps=25, lr_muon=3e-3, lr_adam=2e-3, ema=0.5, evaluate_minutes=9)
    assert train(task, config)["psnr_db"] > before + 2.5
    kl_vae.set_scaling_factor(fresh, store)
    assert fresh.config.scaling_factor != 0.18215


def test_latents_are_scaled_frame_by_frame(vae, store, latents):
    assert latents.latents.shape == (6, 4, 4, 16, 16) and latents.num_frames == 4 and len(latents) == 6
    frames, mask = store.take([2])
    with torch.no_grad():
        expected = vae.encode(kl_vae.to_network(frames[0])).latent_dist.mean * vae.config.scaling_factor
    assert (latents.latents[2].float() - expected).abs().max() < 0.01
    assert latents.weight[2].float().mean() == pytest.approx(mask.float().mean().item(), abs=1e-3)
    assert latents.seed.tolist() == [store.seed(index) for index in range(6)]


def test_an_image_model_learns_its_pictures(latents, tokenizer, tmp_path):
    parts = {"unet": image_model(), "text_encoder": text_encoder(tokenizer)}
    task = ImageTask(
        parts["unet"],
        parts["text_encoder"],
        tokenizer,
        latents,
        latents,
        toyland_captions(WORLD_SMALL),
        schedule=Schedule(),
        batch=8,
    )
    before = task.evaluate(0)
    config = LoopConfig(out=tmp_path, max_steps=12, ema=0.5, evaluate_minutes=9, warmup_steps=2)
    after = train(task, config)
    assert after["error_850"] < before["error_850"] and task.samples == 96


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_temporal_training_leaves_the_image_model_or_not(latents, tokenizer, tmp_path, whole):
    video = inflate(image_model())
    encoder = text_encoder(tokenizer)
    words, spatial = [p.clone() for p in encoder.parameters()], digest(video, is_spatial)
    temporal = digest(video, is_temporal)
    task = TemporalTask(
        video, Captioner(tokenizer, encoder, toyland_captions(WORLD_SMALL)), latents, latents, schedule=Schedule(),
        batch=2, trained=everything if whole else is_temporal,
    )  # fmt: skip
    before = task.evaluate(0)
    assert before["shuffled_percent"] == pytest.approx(0, abs=0.01), (
        "an image model is independent of the order of frames"
    )
    after = train(task, LoopConfig(out=tmp_path, max_steps=5, ema=0.3, evaluate_minutes=9, warmup_steps=1))
    assert (digest(video, is_spatial) == spatial) is not whole
    assert digest(video, is_temporal) != temporal
    assert all(torch.equal(old, new) for old, new in zip(words, encoder.parameters(), strict=True))
    assert after["error_600"] < before["error_600"]
    assert whole or task.proof()["frozen_after"] == spatial


def test_a_frozen_layer_that_moved_is_found_out(latents, tokenizer):
    video = inflate(image_model())
    task = TemporalTask(
        video,
        Captioner(tokenizer, text_encoder(tokenizer), toyland_captions(WORLD_SMALL)),
        latents,
        latents,
        schedule=Schedule(),
        batch=2,
    )
    with torch.no_grad():
        video.conv_in.bias[0] += 1e-3
    with pytest.raises(RuntimeError, match="Frozen layers changed"):
        task.proof()


def test_quick_layers_compute_the_same(tokenizer):
    """optimize_for_cpu replaces attention and temporal convolutions, with equal outputs and gradients."""
    torch.manual_seed(3)
    video = inflate(image_model())
    for name, parameter in video.named_parameters():
        if is_temporal(name) and parameter.ndim > 1:
            parameter.data.normal_(std=0.05)
    inputs = (torch.randn(2, 4, 5, 16, 16), torch.tensor([100, 700]), torch.randn(2, TOKENS, 32))

    def run():
        video.zero_grad()
        out = video(*inputs, return_dict=False)[0]
        out.square().mean().backward()
        return out.detach(), {name: p.grad.clone() for name, p in video.named_parameters()}

    out, gradients = run()
    assert optimize_for_cpu(video) is video
    again, others = run()
    assert (out - again).abs().max() < 1e-5
    assert all((others[name] - value).abs().max() < 1e-5 for name, value in gradients.items())
