"""Training of Tora's parts: the loss is CogVideoX's, only the parts train, a resumed run takes the same steps."""

from __future__ import annotations

import numpy as np
import pytest
import small_tora
import torch
from small_tora import FRAMES, SIDE, tiny

from kinema.families.cogvideox.tora import motion_map
from kinema.families.cogvideox.tora.fusers import FUSERS
from kinema.training.core.checkpoints import read
from kinema.training.core.loop import LoopConfig, train
from kinema.training.data import key_points, motion_clips
from kinema.training.tasks.ddpm import Schedule

LATENTS = (FRAMES - 1) // 4 + 1


@pytest.fixture(scope="module")
def parts():
    return tiny.parts("5b")


@pytest.fixture(scope="module")
def store(parts, tmp_path_factory):
    return small_tora.clips(tmp_path_factory.mktemp("clips"), parts)


def config(out, steps, **changes) -> LoopConfig:
    settings = {"max_steps": steps, "lr_adam": 1e-3, "warmup_steps": 1, "ema": 0.9, **changes}
    return LoopConfig(out=out, **settings)


# -- the clips ---------------------------------------------------------------------------------------------------------


def test_clips_hold_the_latents_of_their_maps(parts, store, tmp_path):
    assert store.latents.shape == (4, LATENTS, 4, 8, 8) and store.dense.shape == store.latents.shape
    assert store.sparse.shape == (4, 2, LATENTS, 4, 8, 8) and store.picture is None
    from kinema.toyland.render import render
    from kinema.toyland.scene import WORLD_MINI, sample_scene

    drawn = render([sample_scene(1, WORLD_MINI)], num_frames=FRAMES, height=SIDE, width=SIDE, fps=8.0, truth=True)
    map_FHWC = motion_map.draw_dense(drawn.flow_BFHW2[0, :-1].numpy())
    pixels = torch.from_numpy(map_FHWC).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    wanted = small_tora.encode_with(parts["vae"])(pixels)
    found = store.motion(torch.tensor([1]), None)
    assert found.shape == wanted.shape and (found - wanted).abs().max() < 2e-2 * wanted.abs().max()
    again = small_tora.clips(tmp_path, parts)
    assert torch.equal(again.sparse, store.sparse), "key points are the same in every run"
    other = small_tora.clips(tmp_path, parts, seed=1)
    assert torch.equal(other.dense, store.dense) and not torch.equal(other.sparse, store.sparse)


def test_sparse_maps_show_the_tracked_points():
    flow = np.zeros((8, 32, 32, 2), np.float32)
    flow[:, 8:24, 8:24] = (1, 0)
    encoder = motion_clips.MotionEncoder(lambda x: x, 4, sigma_px=2.0, most_points=1)
    drawn = encoder.sparse(flow, np.random.default_rng(5))
    (path,) = key_points.track(flow, key_points.choose(flow, np.random.default_rng(5), 1))
    assert (drawn[0] == 255).all() and len(drawn) == 9
    for f in range(1, 9):
        x, y = path[f - 1].round().astype(int)
        assert drawn[f, y, x].tolist() == [255, 0, 0], "full red: to the right, at its place in the frame before"
    still = encoder.sparse(np.zeros_like(flow), np.random.default_rng(5))
    assert still.shape == (9, 32, 32, 3) and (still == 255).all()


@pytest.mark.parametrize(("compression", "value"), [("sample", 2.0), ("pool", 0.5)])
def test_compressions_without_the_autoencoder(compression, value):
    """The fourth frame of each four, or their mean; both averaged over the latent cell."""
    map_FHWC = np.zeros((9, 16, 16, 3), np.uint8)
    map_FHWC[4, :, :8], map_FHWC[8, :4, :8] = 255, 255
    encoder = motion_clips.MotionEncoder(lambda x: x, 4, 2.0, compression=compression)
    found = encoder.compress(map_FHWC, (3, 2, 2)) + 1
    assert found.shape == (1, 3, 3, 2, 2) and encoder.channels == 3
    assert found[0, 0, 0].abs().max() == 0 and found[0, :, 1, :, 1].abs().max() == 0
    assert torch.allclose(found[0, :, 1, :, 0], torch.tensor(value)), "frame 4 alone or a fourth of it"
    assert torch.allclose(found[0, :, 2, 0, 0], torch.tensor(value / 2))
    padded = encoder.compress(map_FHWC, (4, 2, 2)) + 1
    assert torch.equal(padded[:, :, 1:], found) and torch.equal(padded[:, :, 0], found[:, :, 0])
    with pytest.raises(ValueError, match="vae, sample, pool"):
        motion_clips.MotionEncoder(lambda x: x, 4, 2.0, compression="zip").compress(map_FHWC, (3, 2, 2))


# -- the loss ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["2b", "5b"])
def test_the_schedule_and_the_velocity_are_those_of_the_checkpoints_scheduler(layout):
    scheduler = tiny.scheduler(layout)
    schedule = Schedule.of(scheduler)
    assert np.abs(schedule.alphas_bar.numpy() - scheduler.alphas_cumprod.numpy()).max() < 1e-6
    x0, noise = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 3, 4, 8, 8)
    t_B = torch.tensor([100, 700])
    noisy, target = schedule.mix(x0, noise, t_B)
    assert torch.allclose(noisy, scheduler.add_noise(x0, noise, t_B), atol=1e-4)
    assert torch.allclose(target, scheduler.get_velocity(x0, noise, t_B), atol=1e-4)
    bar = scheduler.alphas_cumprod[t_B].float().view(-1, 1, 1, 1, 1)
    output = target + 0.1 * torch.randn_like(target)
    clean = scheduler.get_velocity(output, noisy, t_B)  # the published code's prediction of the clean latents
    assert torch.allclose((clean - x0) ** 2 / (1 - bar), (output - target) ** 2, atol=1e-3)


@pytest.mark.parametrize("layout", list(tiny.LAYOUTS))
@pytest.mark.parametrize("stage", ["dense", "sparse"])
def test_every_layout_trains(tmp_path, layout, stage):
    """Two steps; the error falls from that of the model itself, which new parts do not change."""
    parts = tiny.parts(layout)
    task = small_tora.task(parts, small_tora.clips(tmp_path / "clips", parts, count=2), stage)
    generator = torch.Generator().manual_seed(0)
    loss, _ = task.loss(0, 0.0, generator)
    index = torch.arange(2)
    with torch.no_grad():
        x0, states = task.store.latents[index].float(), task.states([tiny.PROMPT] * 2)
        picture = None if task.store.picture is None else task.store.picture.float()
        assert (picture is None) == (not layout.endswith("i2v"))
        plain = task.predict(x0, torch.tensor([500, 500]), states, None, picture)
        guided = task.predict(x0, torch.tensor([500, 500]), states, task.store.motion(index, None), picture)
    assert loss.requires_grad and torch.equal(plain, guided), "bit for bit"
    found = train(task, config(tmp_path / "out", 2))
    assert found["step"] == 2 and all(np.isfinite(found[f"error_{t}"]) for t in (300, 600, 900))
    assert task.proof()["frozen_before"] == task.proof()["frozen_after"]


@pytest.mark.parametrize("fuser", list(FUSERS))
@pytest.mark.parametrize("compression", motion_clips.COMPRESSIONS)
def test_all_fusers_and_compressions_train_alone(tmp_path, parts, fuser, compression):
    """Every trained tensor changes, no other does, and the prediction then depends on the motion."""
    store = small_tora.clips(tmp_path / "clips", parts, count=3, compression=compression)
    task = small_tora.task(parts, store, fuser=fuser)
    own = {name: p.detach().clone() for name, p in task.guidance.named_parameters()}
    frozen = {
        f"{name}.{key}": tensor.clone()
        for name in ("transformer", "vae", "text_encoder")
        for key, tensor in parts[name].state_dict().items()
    }
    train(task, config(tmp_path / "out", 3, lr_adam=1e-2))
    changed = [name for name, p in task.guidance.named_parameters() if not torch.equal(p, own[name])]
    assert sorted(changed) == sorted(own)
    for name in ("transformer", "vae", "text_encoder"):
        assert all(torch.equal(tensor, frozen[f"{name}.{key}"]) for key, tensor in parts[name].state_dict().items())
        assert not any(p.requires_grad for p in parts[name].parameters())
    x0, states = store.latents[:1].float(), task.states([tiny.PROMPT])
    with torch.no_grad():
        one, other = (
            task.predict(x0, torch.tensor([500]), states, store.motion(torch.tensor([n]), None)) for n in (0, 1)
        )
        assert not torch.equal(one, other)
        task.let_go()
        plain = parts["transformer"](x0, states, torch.tensor([500]), image_rotary_emb=None, return_dict=False)[0]
    assert plain.shape == x0.shape, "the transformer itself has no fusers left"
    assert not any(block.norm1._forward_hooks for block in parts["transformer"].transformer_blocks)


def test_a_changed_frozen_weight_is_reported(parts, store):
    task = small_tora.task(parts, store)
    with torch.no_grad():
        parts["vae"].decoder.conv_out.conv.bias.add_(1.0)
        try:
            with pytest.raises(RuntimeError, match="Frozen layers changed"):
                task.proof()
        finally:
            parts["vae"].decoder.conv_out.conv.bias.sub_(1.0)


def test_a_resumed_run_takes_the_identical_steps(parts, store, tmp_path):
    """Five steps in one run, and three steps, a new process's objects, two more: bit-equal weights, averages, batch
    statistics and optimizer states."""
    whole = small_tora.task(parts, store, "sparse")
    train(whole, config(tmp_path / "whole", 5, decay_from=1.0))
    first = small_tora.task(parts, store, "sparse")
    train(first, config(tmp_path / "parts", 3, decay_from=1.0))
    second = small_tora.task(parts, store, "sparse", seed=7)  # another start, which the checkpoint replaces
    train(second, config(tmp_path / "parts", 5, decay_from=1.0, resume=True))
    one, other = (read(tmp_path / name / "checkpoint.pt") for name in ("whole", "parts"))
    assert one["step"] == other["step"] == 5 and one["samples"] == other["samples"] == 10
    for name, tensor in one["modules"]["guidance"].items():
        assert torch.equal(tensor, other["modules"]["guidance"][name]), name
    assert all(torch.equal(tensor, other["ema"][name]) for name, tensor in one["ema"].items())
    for mine, its in zip(one["optimizers"], other["optimizers"], strict=True):
        for key, state in mine["state"].items():
            assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(its["state"][key][n])) for n, v in state.items())
    assert any("running_mean" in name for name in one["modules"]["guidance"])


def test_gradient_checkpointing_gives_the_same_gradients(parts, store):
    found = []
    for checkpointing in (False, True):
        task = small_tora.task(parts, store)
        network = parts["transformer"]
        network.gradient_checkpointing = False
        if checkpointing:
            network.enable_gradient_checkpointing()
        network.train(checkpointing)
        with torch.no_grad():
            for fuser in task.guidance.fuser:
                fuser.flow_beta_temporal.weight.fill_(0.01)
        loss, _ = task.loss(0, 0.0, torch.Generator().manual_seed(3))
        loss.backward()
        found.append({name: p.grad.clone() for name, p in task.guidance.named_parameters() if p.grad is not None})
    parts["transformer"].disable_gradient_checkpointing()
    parts["transformer"].eval()
    assert found[0].keys() == found[1].keys() and found[0]
    assert max((found[0][name] - found[1][name]).abs().max() for name in found[0]) < 1e-6


def test_clips_are_drawn_by_their_weight(parts, store):
    from dataclasses import replace

    seen = []
    task = small_tora.task(parts, replace(store, weight=torch.tensor([0.0, 1.0, 0.0, 3.0])))
    task.caption_of = lambda item, number, place: seen.append(item) or tiny.PROMPT
    for step in range(30):
        with torch.no_grad():
            task.loss(step, 0.0, torch.Generator().manual_seed(step))
    assert set(seen) == {1, 3} and seen.count(3) > 1.5 * seen.count(1)


def test_samples_follow_the_weights_and_repeat(parts, store):
    task = small_tora.task(parts, store)
    settings = {"seed": 1, "steps": 3, "scheduler": parts["scheduler"]}
    motion = store.motion(torch.tensor([0]), None)[0]
    one, again, plain = (task.sample(tiny.PROMPT, each, **settings) for each in (motion, motion, None))
    assert one.shape == store.latents.shape[1:] and torch.equal(one, again) and torch.equal(one, plain)


def test_what_cannot_be_trained_is_refused(parts, store):
    with pytest.raises(ValueError, match="dense, sparse"):
        small_tora.task(parts, store, "both")
    with pytest.raises(ValueError, match="adaptive_norm, extra_channels, cross_attention"):
        small_tora.task(parts, store, fuser="concat")
    with pytest.raises(ValueError, match="velocity"):
        small_tora.ToraTask(
            parts["transformer"], small_tora.new_guidance(parts["transformer"].config, channels=8), None, None, store,
            store, schedule=Schedule(prediction="epsilon"), stage="dense",
        )  # fmt: skip
