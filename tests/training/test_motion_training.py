"""Training of motion: AnimateDiff's modules, LoRA layers, Stable Video Diffusion, its decoder and its image encoder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_clips
import torch
from diffusers import EulerDiscreteScheduler, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

import kinema
from kinema.core.errors import ModelError
from kinema.sd import temporal_layers
from kinema.sd.bases import layers_in
from kinema.sd.inflate import digest, inflate, is_spatial, is_temporal
from kinema.sd.spatio_temporal import inflate as inflate_svd
from kinema.sd.spatio_temporal import inflate_decoder
from kinema.toyland.scene import WORLD_SMALL
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data.captioner import CachedCaptioner, Captioner, toyland_captions
from kinema.training.tasks import edm, lora, temporal
from kinema.training.tasks.ddpm import Schedule, weighted_error
from kinema.training.tasks.image_text import ImageTextTask
from kinema.training.tasks.image_to_video import Buckets, ImageToVideoTask, motion_of
from kinema.training.tasks.temporal import CombinedTasks, TemporalTask
from kinema.training.tasks.temporal_decoder import TemporalDecoderTask, measure

MEAN, STD = [0.5] * 3, [0.3] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_clips.tokenizer()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_clips.clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def vae():
    return tiny_clips.autoencoder(32)


@pytest.fixture(scope="module")
def latents(vae, store, tmp_path_factory):
    return tiny_clips.latents_of(vae, store, tmp_path_factory.mktemp("latents"))


@pytest.fixture(scope="module")
def eye():
    torch.manual_seed(4)
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, image_size=224,
            patch_size=56, projection_dim=32,
        )
    ).eval()  # fmt: skip


def words(tokenizer, kind=Captioner):
    return kind(tokenizer, tiny_clips.text_encoder(tokenizer), toyland_captions(WORLD_SMALL))


def moving_unet():
    torch.manual_seed(5)
    adapter = MotionAdapter(
        block_out_channels=(32, 32), motion_layers_per_block=1, motion_num_attention_heads=2,
        motion_norm_num_groups=16, motion_max_seq_length=8, use_motion_mid_block=False,
    )  # fmt: skip
    return UNetMotionModel.from_unet2d(tiny_clips.image_model(), adapter)


def is_motion(name: str) -> bool:
    return "motion_modules." in name


def settings(folder, steps: int, **more) -> LoopConfig:
    return LoopConfig(out=folder, max_steps=steps, ema=0.3, evaluate_minutes=9, warmup_steps=1, **more)


def test_motion_modules_learn_and_the_image_model_stays(latents, tokenizer, tmp_path):
    network = moving_unet()
    task = TemporalTask(
        network, words(tokenizer), latents, latents, schedule=Schedule(), batch=2, trained=is_motion,
        text_by_frame=True,
    )  # fmt: skip
    before = task.evaluate(0)
    after = train(task, settings(tmp_path, 8))
    assert after["error_850"] < before["error_850"]
    assert task.proof()["frozen_after"] == task.before


def test_low_rank_layers_learn_and_come_out_as_matrices(latents, tokenizer, tmp_path):
    network = moving_unet()
    inputs = (torch.randn(1, 4, 3, 16, 16), torch.tensor(400), torch.randn(3, tiny_clips.TOKENS, 32))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if is_motion(name) and "proj_out" in name:
                parameter.normal_(std=0.1)
        plain = network(*inputs, return_dict=False)[0]
        names = lora.add(network, rank=4, alpha=8, where="motion_modules.")
        assert names and all("motion_modules." in name for name in names)
        assert torch.allclose(network(*inputs, return_dict=False)[0], plain, atol=1e-6), "the adapter starts at zero"
    tasks = [
        TemporalTask(network, words(tokenizer, CachedCaptioner), latents, latents, schedule=Schedule(), batch=2,
                     trained=lora.is_trained, pictures=False, text_by_frame=True)
        for _ in range(2)
    ]  # fmt: skip
    several = CombinedTasks(tasks)
    train(several, settings(tmp_path, 4, lr_adam=1e-2))
    assert several.samples == 8 and tasks[0].samples > 0 and tasks[1].samples > 0
    tasks[0].proof()
    found = lora.layers(network)
    assert set(found) == set(names)
    assert all(down.shape[0] == up.shape[1] == 4 and up.abs().max() > 0 for down, up in found.values())
    with torch.no_grad():
        learnt = network(*inputs, return_dict=False)[0]
        assert (learnt - plain).abs().max() > 1e-5
        lora.remove(network)
        assert torch.allclose(network(*inputs, return_dict=False)[0], plain, atol=1e-5)
    with pytest.raises(ValueError, match="No attention layer"):
        lora.add(network, rank=2, alpha=2, where="nowhere")


def test_captions_are_read_once(tokenizer):
    remembering, plain = words(tokenizer, CachedCaptioner), words(tokenizer)
    asked = ["a red ball", "", "a red ball"]
    with torch.no_grad():
        assert torch.allclose(remembering.embed(asked), plain.embed(asked), atol=1e-6)
    assert len(remembering.cache) == 2


def test_noise_levels_are_those_of_eulers_scheduler():
    """The scheduler's own formula recovers x0 from the network's target."""
    scheduler = EulerDiscreteScheduler(prediction_type="v_prediction", timestep_type="continuous", sigma_min=0.002,
                                       sigma_max=700.0, use_karras_sigmas=True)  # fmt: skip
    scheduler.set_timesteps(5)
    x0, noise = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 3, 4, 8, 8)
    sigma = scheduler.sigmas[2]
    seen, c_noise, target = edm.mix(x0, noise, sigma.expand(2))
    assert torch.allclose(c_noise, scheduler.timesteps[2].expand(2), atol=1e-5)
    assert torch.allclose(seen, scheduler.scale_model_input(x0 + sigma * noise, scheduler.timesteps[2]), atol=1e-5)
    step = scheduler.step(target, scheduler.timesteps[2], x0 + sigma * noise)
    assert torch.allclose(step.pred_original_sample, x0, atol=1e-3)
    drawn = edm.NoiseLevels(0.7, 1.6).draw(4000, torch.Generator().manual_seed(0)).log()
    assert drawn.mean() == pytest.approx(0.7, abs=0.1) and drawn.std() == pytest.approx(1.6, abs=0.1)


def test_a_video_network_begins_with_the_noise_levels_of_its_image_model():
    """With the shipped image model: at 0.25 ln s, the video network's output is the image model's at the timestep of
    s."""
    folder = Path(kinema.__file__).parent / "miniatures" / "mini_image" / "unet"
    image = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
    video, schedule = inflate_svd(image, num_frames=3), Schedule()
    assert edm.align_times(video, image, schedule.alphas_bar) < 0.05
    x, states = torch.randn(1, 3, 4, 16, 16), torch.randn(1, 5, 128)
    both = torch.cat([x, torch.zeros_like(x)], 2)
    for t in (100, 600, 950):
        sigma = ((1 - schedule.alphas_bar[t]) / schedule.alphas_bar[t]).sqrt()
        with torch.no_grad():
            each = image(x[0], torch.tensor(t), states.expand(3, -1, -1), return_dict=False)[0]
            found = video(both, 0.25 * sigma.log(), states, torch.zeros(1, 3), return_dict=False)[0][0]
        assert (found - each).square().mean() < 0.05 * each.square().mean()


def test_a_picture_is_made_to_move(latents, store, vae, eye, tmp_path):
    image = tiny_clips.image_model(norm_num_groups=32)
    video = inflate_svd(image, num_frames=4)
    edm.align_times(video, image, Schedule().alphas_bar, steps=20)
    task = ImageToVideoTask(
        video, vae, eye, latents, latents, store.pictures, store.pictures, clip_mean=MEAN, clip_std=STD,
        levels=edm.NoiseLevels(0.5, 1.2), num_frames=4, fps=8.0, batch=2,
    )  # fmt: skip
    before = task.evaluate(0)
    after = train(task, settings(tmp_path, 6, lr_muon=4e-3))
    assert after["error_8"] < before["error_8"] and task.samples == 12
    generator = torch.Generator().manual_seed(0)
    x0, weight, picture, embedding, numbers = task.take(
        latents, store.pictures, torch.tensor([0, 3]), 0, 2, 2, generator, torch.tensor([0.02, 0.1])
    )
    assert x0.shape == (2, 2, 4, 16, 16) and weight.shape == (2, 2, 16, 16) and embedding.shape == (2, 1, 32)
    assert torch.allclose(x0[:, 1], latents.latents[[0, 3], 2].float()), "every second frame"
    assert numbers[:, 0].tolist() == [3.0, 3.0] and torch.allclose(numbers[:, 2], torch.tensor([0.02, 0.1]))
    assert (picture[0] * vae.config.scaling_factor - x0[0, 0]).abs().mean() < 0.1, (
        "latents of the first frame, unscaled"
    )


def test_buckets_rise_with_motion(latents):
    motions = [motion_of(each) for each in latents.latents]
    buckets = Buckets.of(motions)
    found = [buckets(motion) for motion in sorted(motions)]
    assert found == sorted(found) and found[0] == 0 and found[-1] == 255
    assert buckets(1e9) == 255 and Buckets(buckets.bounds.tolist())(sorted(motions)[2]) == found[2]


def test_a_decoder_learns_over_time(latents, store, vae, tmp_path):
    temporal = inflate_decoder(vae)
    encoder = digest(temporal, lambda name: name.startswith("encoder."))
    task = TemporalDecoderTask(temporal, latents, store, latents, store, frames=3, batch=2)
    before = task.evaluate(0)
    after = train(task, settings(tmp_path, 15, lr_muon=2e-3))
    assert after["psnr_db"] > before["psnr_db"] and "flicker" in after
    assert digest(temporal, lambda name: name.startswith("encoder.")) == encoder

    def perfect(latents_BTChw):
        index = next(i for i, own in enumerate(latents.latents) if torch.equal(own, latents_BTChw[0]))
        return store.take([index])[0].permute(0, 1, 4, 2, 3).float() / 127.5 - 1

    ideal = measure(perfect, latents, store)
    assert ideal["flicker"] == 0 and ideal["psnr_db"] > 60


def test_pictures_find_their_words(store, tokenizer, eye, tmp_path):
    task = ImageTextTask(eye, words(tokenizer), store, store, clip_mean=MEAN, clip_std=STD, batch=6)
    generator = torch.Generator().manual_seed(0)
    before = float(task.loss(0, 0.0, generator)[0])
    train(task, settings(tmp_path, 15, lr_muon=4e-3))
    assert float(task.loss(0, 0.0, torch.Generator().manual_seed(0))[0]) < before
    assert task.evaluate(0)["among"] == 6


def test_temporal_layers_are_kept_apart_and_stand_on_another_image_model(tmp_path):
    image, other = tiny_clips.image_model(), tiny_clips.image_model()
    with torch.no_grad():
        other.conv_in.weight.add_(0.1)
    video = inflate(image)
    with torch.no_grad():
        for name, parameter in video.named_parameters():
            if is_temporal(name):
                parameter.normal_(std=0.05)
    temporal_layers.write(tmp_path, video, image, base="kinema-mini-image", num_frames=4, dtype=torch.float32)
    told = layers_in(tmp_path)
    assert told is not None and (told["base"], told["num_frames"]) == ("kinema-mini-image", 4)
    assert digest(temporal_layers.read(tmp_path, image), lambda name: True) == digest(video, lambda name: True)
    carried = temporal_layers.read(tmp_path, other)
    assert digest(carried, is_temporal) == digest(video, is_temporal)
    assert digest(carried, is_spatial) == digest(inflate(other), is_spatial)
    assert layers_in(tmp_path / "nowhere") is None
    with pytest.raises(ModelError, match="cannot be inflated"):
        temporal_layers.read(tmp_path, tiny_clips.image_model(use_linear_projection=False))
    with torch.no_grad():
        from safetensors.torch import load_file, save_file

        tensors = load_file(tmp_path / temporal_layers.FILE)
        lost = sorted(tensors)[0]
        save_file({name: tensor for name, tensor in tensors.items() if name != lost}, tmp_path / temporal_layers.FILE)
    with pytest.raises(ModelError, match="is missing"):
        temporal_layers.read(tmp_path, image)


def test_frames_that_are_left_out_keep_the_others_in_their_places():
    """Motion modules use positions 1, 4 and 6 for these frames, not 0 to 2."""
    from diffusers.models.embeddings import SinusoidalPositionalEmbedding

    table, frames = SinusoidalPositionalEmbedding(8, 16), torch.tensor([1, 4, 6])
    whole, x = table.pe.clone(), torch.zeros(2, 3, 8)
    with temporal.at_positions(torch.nn.ModuleList([table]), frames):
        assert torch.equal(table(x)[0], whole[0, frames])
    assert torch.equal(table.pe, whole) and torch.equal(table(x)[0], whole[0, :3])


@pytest.mark.parametrize(
    ("settings", "step", "progress", "count"),
    [
        ({"few": 3}, 0, 0.1, 3),
        ({"few": 3}, 0, 0.8, 6),
        ({"few": 3}, 7, 0.1, 1),
        ({"window": 4}, 1, 0.9, 4),
        ({}, 0, 0.1, 6),
    ],
)
def test_how_many_frames_a_step_sees(settings, step, progress, count):
    task = object.__new__(temporal.TemporalTask)
    task.store = SimpleNamespace(num_frames=6)
    task.few, task.window, task.pictures = settings.get("few", 0), settings.get("window", 0), True
    drawn = [task.frames_of_step(step, progress, torch.Generator().manual_seed(n)).tolist() for n in range(40)]
    assert {len(frames) for frames in drawn} == {count} and all(sorted(set(f)) == f for f in drawn)
    assert {frame for frames in drawn for frame in frames} == set(range(6)), "every frame has its turn"
    if "window" in settings:
        assert all(frames == list(range(frames[0], frames[0] + count)) for frames in drawn)


def test_short_clips_and_lone_frames_teach_to_keep_a_picture(latents, store, vae, eye):
    video = inflate_svd(tiny_clips.image_model(norm_num_groups=32), num_frames=4)
    task = ImageToVideoTask(
        video, vae, eye, latents, latents, store.pictures, store.pictures, clip_mean=MEAN, clip_std=STD,
        levels=edm.NoiseLevels(0.5, 1.2), num_frames=4, fps=8.0, batch=2, lengths=(1, 2, 4),
    )  # fmt: skip
    seen = []
    real, task.predict = task.predict, lambda x, *rest: seen.append(tuple(x.shape[:2])) or real(x, *rest)
    for step, progress in ((0, 0.1), (1, 0.1), (2, 0.1), (0, 0.9)):
        loss, _ = task.loss(step, progress, torch.Generator().manual_seed(step))
        assert torch.isfinite(loss)
    assert seen == [(8, 1), (4, 2), (2, 4), (2, 4)], (
        "the number of frames in a batch does not depend on the clips' length"
    )


def test_what_does_not_move_can_count_less():
    """A time-symmetric error has the weight `still`, an antisymmetric one full weight; the optimum does not change."""
    target, weight = torch.zeros(1, 2, 6, 4, 4), torch.ones(1, 6, 4, 4)
    same = torch.ones_like(target)
    turning = torch.linspace(-1, 1, 6).view(1, 1, 6, 1, 1).expand_as(target)
    full = {name: float(weighted_error(error, target, weight)) for name, error in (("same", same), ("turn", turning))}
    assert float(weighted_error(same, target, weight, still=0.1)) == pytest.approx(0.1 * full["same"])
    assert float(weighted_error(turning, target, weight, still=0.1)) == pytest.approx(full["turn"])
    both = float(weighted_error(same + turning, target, weight, still=0.1))
    assert both == pytest.approx(0.1 * full["same"] + full["turn"], rel=1e-5)
    assert float(weighted_error(target, target, weight, still=0.1)) == 0.0


def test_noise_levels_of_a_task_stay_within_its_bounds(tokenizer, latents):
    """least and most bound the noise levels."""
    seen = []
    task = TemporalTask(
        moving_unet(), words(tokenizer), latents, latents, schedule=Schedule(zero_snr=True), batch=4,
        trained=is_motion, text_by_frame=True, pictures=False, least=0.6, most=0.9, still=0.1,
    )  # fmt: skip
    plain = task.predict
    task.predict = lambda x, t_B, states: (seen.append(t_B), plain(x, t_B, states))[1]
    for step in range(6):
        loss, _ = task.loss(step, 0.1, torch.Generator().manual_seed(step))
        assert torch.isfinite(loss)
    steps = torch.cat(seen)
    assert steps.min() >= 600 and steps.max() < 900 and steps.max() - steps.min() > 100
