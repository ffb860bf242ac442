"""Training of a small CogVideoX: its schedule, autoencoder, cached latents, and transformer."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
from torch.nn.attention import SDPBackend
from transformers import T5Config, T5EncoderModel

from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data import cogvideox_codec
from kinema.training.data.captioner import Captioner, toyland_captions
from kinema.training.data.clip_latents import encode_clips, write_clip_latents
from kinema.training.data.frame_latents import FrameLatents
from kinema.training.data.parallel_vae import to_network
from kinema.training.data.store import ClipStore, write_shards
from kinema.training.data.tokenizers import build_tokenizer
from kinema.training.tasks import cogvideox, cogvideox_vae
from kinema.training.tasks.cogvideox import CogVideoXTask, initialize
from kinema.training.tasks.cogvideox_vae import CogVideoXVaeTask, scale_latents
from kinema.training.tasks.ddpm import Schedule

SIDE, TOKENS = 32, 24


def new_vae() -> AutoencoderKLCogVideoX:
    torch.manual_seed(0)
    return AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=4, sample_height=SIDE,
        sample_width=SIDE, scaling_factor=0.7,
    ).eval()  # fmt: skip


@pytest.fixture
def vae():
    found = new_vae()
    cogvideox_vae.initialize(found, torch.Generator().manual_seed(0))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    write_shards(folder, WORLD_MINI, range(3), num_frames=17, height=SIDE, width=SIDE)
    return ClipStore(folder)


def new_transformer(**changes) -> CogVideoXTransformer3DModel:
    torch.manual_seed(0)
    found = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, num_layers=2, time_embed_dim=16, in_channels=4, out_channels=4,
        text_embed_dim=16, sample_height=SIDE // 8, sample_width=SIDE // 8, sample_frames=17,
        max_text_seq_length=TOKENS, use_rotary_positional_embeddings=True, **changes,
    )  # fmt: skip
    initialize(found)
    return found


@pytest.fixture
def words():
    tokenizer = build_tokenizer([describe(sample_scene(seed, WORLD_MINI), seed) for seed in range(100)], 1024, TOKENS)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=1, dropout_rate=0.0,
        is_encoder_decoder=False,
    )  # fmt: skip
    return Captioner(tokenizer, T5EncoderModel(config), toyland_captions(WORLD_MINI))


@pytest.fixture
def latents(vae, store, tmp_path):
    write_clip_latents(vae, store, tmp_path / "latents")
    return FrameLatents(tmp_path / "latents")


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_schedule_is_that_of_cogvideox(shift):
    scheduler = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=shift, timestep_spacing="trailing"
    )
    schedule = Schedule.of(scheduler)
    assert (schedule.alphas_bar - scheduler.alphas_cumprod).abs().max() < 1e-5
    assert schedule.alphas_bar[-1] == 0
    x0, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    noisy, target = schedule.mix(x0, noise, torch.tensor([999, 400]))
    clean = scheduler.step(target[1], torch.tensor(400), noisy[1]).pred_original_sample if _steps(scheduler) else x0[1]
    assert torch.equal(noisy[0], noise[0]) and torch.allclose(clean, x0[1], atol=1e-4)


def _steps(scheduler) -> bool:
    scheduler.set_timesteps(10)
    return True


def test_convolutions_of_one_frame_are_the_librarys(vae):
    """Restricted layers compute what diffusers' class computes with the same weights, and their taps stay zero."""
    clip = torch.rand(1, 3, 17, SIDE, SIDE) * 2 - 1
    parts = (vae.encoder.conv_in, vae.decoder.up_blocks[-1].resnets, vae.encoder.down_blocks[0].resnets[0].conv2)
    cogvideox_codec.make_spatial(*parts)
    mean, _ = cogvideox_codec.encode(vae, clip)
    out = cogvideox_codec.decode(vae, mean)
    out.square().mean().backward()
    plain = new_vae()
    plain.load_state_dict(vae.state_dict())
    with torch.no_grad():
        assert torch.allclose(plain.encode(clip).latent_dist.mean, mean, atol=1e-5)
        assert torch.allclose(plain.decode(mean).sample, out, atol=1e-5)
    for conv in (vae.encoder.conv_in.conv, vae.decoder.up_blocks[-1].resnets[0].conv1.conv, parts[2].conv):
        assert not conv.weight[:, :, :2].any() and not conv.weight.grad[:, :, :2].any()
        assert conv.weight.grad[:, :, 2].any()
    assert vae.decoder.up_blocks[0].resnets[0].conv1.conv.weight[:, :, :2].any(), "other layers keep theirs"


def test_a_new_autoencoder_starts_with_a_small_variance_and_depends_little_on_the_latents(vae):
    mean, logvar = cogvideox_codec.encode(vae, torch.rand(1, 3, 9, SIDE, SIDE) * 2 - 1)
    assert (logvar + 5).abs().max() < 2 and 0.1 < mean.std() < 10
    norm = vae.decoder.mid_block.resnets[0].norm1
    assert (norm.conv_y.conv.bias == 1).all() and norm.conv_y.conv.weight.abs().max() < 0.5


def test_scaled_latents_have_one_size_and_the_same_pictures(vae, store):
    vae.encoder.conv_out.conv.weight.data[1] *= 5
    frames_BFHWC, _ = store.take([0, 1, 2])
    pixels = to_network(frames_BFHWC)
    with torch.no_grad():
        mean, logvar = cogvideox_codec.encode(vae, pixels)
        before = cogvideox_codec.decode(vae, mean)
        deviations = scale_latents(vae, store)
        scaled, scaled_logvar = cogvideox_codec.encode(vae, pixels)
        after = cogvideox_codec.decode(vae, scaled)
        latents = encode_clips(vae, frames_BFHWC)
    assert max(deviations) > 2 * min(deviations)
    assert torch.allclose(before, after, atol=1e-4)
    factor = scaled.flatten(2).std(2) / mean.flatten(2).std(2)
    assert torch.allclose((scaled_logvar - logvar).flatten(2).mean(2), 2 * factor.log(), atol=1e-3)
    assert latents.shape == (3, 5, 4, SIDE // 8, SIDE // 8)
    assert torch.allclose(latents.transpose(1, 2).transpose(0, 1).flatten(1).std(1), torch.ones(4), atol=1e-2)


def test_the_autoencoder_learns_clips_and_drawn_motion(vae, store, tmp_path):
    drawn = []

    def draw(tracks_BNF2, generator):
        drawn.append(tracks_BNF2.shape)
        return torch.ones(len(tracks_BNF2), 3, 17, SIDE, SIDE)

    task = CogVideoXVaeTask(vae, store, store, draw, num_held_out=1)
    assert {frames for frames, _ in task.groups} == {1, 9, 17}, "the lengths that the class decodes to as many frames"
    task.groups = ((1, 3), (9, 1))
    config = LoopConfig(out=tmp_path, max_steps=12, warmup_steps=2, ema=0.1, lr_muon=4e-3, lr_adam=2e-3)
    before = task.evaluate(0)["psnr_db"]
    found = train(task, config)
    assert found["psnr_db"] > before + 1
    assert drawn and all(shape[1:] == (2, 17, 2) for shape in drawn)


def test_cached_latents_are_the_clips_and_a_second_run_keeps_them(vae, store, tmp_path):
    write_clip_latents(vae, store, tmp_path, limit=2)
    first = (tmp_path / "00000.pt").stat().st_mtime_ns
    write_clip_latents(vae, store, tmp_path, limit=2)
    assert (tmp_path / "00000.pt").stat().st_mtime_ns == first
    write_clip_latents(vae, store, tmp_path)
    found = FrameLatents(tmp_path)
    assert found.seed.tolist() == [0, 1, 2]
    frames_BFHWC, mask_BFHW = store.take([2])
    assert torch.allclose(found.latents[2].float(), encode_clips(vae, frames_BFHWC)[0], atol=5e-3)
    assert torch.allclose(found.weight[2].float().mean(), mask_BFHW.float().mean(), atol=0.02)


def test_a_new_transformer_predicts_nearly_nothing_and_its_first_loss_is_that_of_the_targets(words, latents):
    task = CogVideoXTask(new_transformer(), words, latents, latents, schedule=Schedule(zero_snr=True), batch=8)
    task.object_weight = 0.0
    latents.latents = torch.randn(latents.latents.shape)
    loss, _ = task.loss(0, 0.0, torch.Generator().manual_seed(0))
    assert loss.item() == pytest.approx(1.0, abs=0.2)
    again, _ = task.loss(0, 0.0, torch.Generator().manual_seed(0))
    assert loss.item() == again.item()
    other, _ = task.loss(1, 0.0, torch.Generator().manual_seed(1))
    assert loss.item() != other.item()


def test_transformer_and_text_encoder_learn_and_resume_to_the_same_step(words, latents, tmp_path):
    def run(out, steps, resume=False):
        torch.manual_seed(0)
        words.text_encoder.load_state_dict(start)
        task = CogVideoXTask(
            new_transformer(), words, latents, latents, schedule=Schedule(zero_snr=True), batch=4, late=0.0
        )
        config = LoopConfig(
            out=out, max_steps=steps, warmup_steps=1, ema=0.5, decay_from=1.0, final_lr=1.0, resume=resume, lr_adam=5e-3
        )
        return train(task, config), {k: v.clone() for k, v in task.transformer.state_dict().items()}

    start = {k: v.clone() for k, v in words.text_encoder.state_dict().items()}
    found, whole = run(tmp_path / "whole", 12)
    assert found["error_600"] < 1.0 and found["samples"] == 48
    assert not torch.equal(words.text_encoder.shared.weight, start["shared.weight"])
    run(tmp_path / "parts", 6)
    _, parts = run(tmp_path / "parts", 12, resume=True)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_attention_in_training_is_plain_on_a_cpu(monkeypatch):
    asked = []
    monkeypatch.setattr(cogvideox, "sdpa_kernel", lambda backend: asked.append(backend))
    cogvideox.fast_backward("cpu")
    cogvideox.fast_backward("cuda:0")
    assert asked == [SDPBackend.MATH]
