"""Training the upscaler: aligned pairs, the two sides of the adversary, and the recipe in small."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from rehearsal import by_steps

from kinema.post.super_resolution.network import CompactConfig, CompactNetwork
from kinema.post.super_resolution.weights import open_network
from kinema.toyland.scene import WORLD_MINI
from kinema.training.data.upscale_pairs import UpscalePairs, write_pairs
from kinema.training.tasks.upscale import UpscaleTask, edge_weight, relativistic, sharpness

SIZE = {"num_frames": 5, "side": 32, "scale": 4}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder, WORLD_MINI, range(2), lambda true, scenes, seed: true, **SIZE)
    return UpscalePairs(folder)


def test_pairs_lie_over_each_other(pairs):
    """Without a model in between, a large crop reduced by four is its small middle frame, mirrored alike."""
    batch = pairs.draw(12, 16, torch.Generator().manual_seed(0))
    assert batch.small_BTCHW.shape == (12, 3, 3, 16, 16) and batch.large_BCHW.shape == (12, 3, 64, 64)
    reduced = torch.nn.functional.avg_pool2d(batch.large_BCHW, 4)
    error = (reduced - batch.small_BTCHW[:, 1]).abs().mean((1, 2, 3))
    assert error.max() < 0.01, "renders of the same scene at both sizes"
    assert (reduced - batch.small_BTCHW[:, 1].flip(-1)).abs().mean((1, 2, 3)).max() > 0.02


def test_blurred_crops_lie_over_the_large_ones(pairs):
    """All crops blurred: softer than the true small frames, in the same place, and the three frames alike."""
    sharp, soft = (pairs.draw(8, 16, torch.Generator().manual_seed(3), share) for share in (0.0, 1.0))
    assert torch.equal(sharp.large_BCHW, soft.large_BCHW)
    error = (sharp.small_BTCHW - soft.small_BTCHW).abs().mean((2, 3, 4))
    assert error.min() > 0.004 and error.max() < 0.06
    assert soft.small_BTCHW.diff(dim=-1).square().mean() < 0.8 * sharp.small_BTCHW.diff(dim=-1).square().mean()
    part = pairs.draw(8, 16, torch.Generator().manual_seed(3), 0.5)
    assert torch.equal(part.small_BTCHW[4:], sharp.small_BTCHW[4:])


def test_neighbours_and_ends(pairs):
    first, middle = pairs.whole(0, 0).small_BTCHW[0], pairs.whole(0, 1).small_BTCHW[0]
    clip = torch.from_numpy(np.array(pairs.small[0][0])).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(first, clip[[0, 0, 1]]) and torch.equal(middle, clip[[2, 3, 4]])


def task(pairs, tmp_path, adversarial: float) -> UpscaleTask:
    torch.manual_seed(0)
    network = CompactNetwork(CompactConfig(features=4, convs=1))
    return UpscaleTask(network, pairs, pairs, tmp_path, batch=2, side=16, adversarial=adversarial)


def test_each_side_of_the_adversary_reaches_its_own_weights(pairs, tmp_path):
    work = task(pairs, tmp_path, 0.1)
    batch = pairs.draw(2, 16, torch.Generator().manual_seed(0))
    fooled, told = work.adversary(work.network(batch.small_BTCHW), batch)
    # not biases: the relativistic loss does not change with the last one
    critic, network = ([p for p in each.parameters() if p.ndim > 1] for each in (work.critic, work.network))
    assert all(grad is None for grad in torch.autograd.grad(fooled, critic, allow_unused=True, retain_graph=True))
    assert all(float(grad.abs().sum()) for grad in torch.autograd.grad(fooled, network))
    told.backward()
    assert all(each.grad is None for each in network) and all(float(each.grad.abs().sum()) for each in critic)


def test_losses():
    real, made = torch.full((4,), 3.0), torch.full((4,), -3.0)
    assert relativistic(real, made) < 0.01 < 5 < relativistic(made, real)
    step = torch.zeros(1, 3, 8, 8)
    step[..., 4:] = 1.0
    ramp = torch.linspace(0, 1, 8).expand(1, 3, 8, 8)
    weight = edge_weight(torch.nn.functional.pad(step, (8, 8, 0, 0), mode="replicate"))
    assert weight.mean() == pytest.approx(1) and weight[0, 0, 4, 12] == pytest.approx(5 * float(weight[0, 0, 4, 0]))
    assert sharpness(step) > 3 * sharpness(ramp), "the same rise over one pixel and over seven"


def test_the_critic_joins_late(pairs, tmp_path):
    work, generator = task(pairs, tmp_path, 0.1), torch.Generator()
    assert set(work.loss(0, 0.1, generator.manual_seed(0))[1]) == {"l1", "l2"}
    assert set(work.loss(0, 0.9, generator.manual_seed(0))[1]) == {"l1", "l2", "fooled", "told"}
    assert set(task(pairs, tmp_path, 0.0).loss(0, 0.9, generator)[1]) == {"l1", "l2"}


def test_the_recipe(tmp_path):
    """Pairs by the shipped miniature, a step, and the exported folder, which loads as a network."""
    out = tmp_path / "run"
    done = by_steps("mini_upscale", out, steps=2, SHARD=2)
    assert "autoencoder_db" in done
    pairs = UpscalePairs(out / "pairs")
    assert pairs.small[0].shape == (2, 17, 64, 64, 3) and pairs.large[0].shape == (2, 6, 256, 256, 3)
    true = pairs.large[0][:, 0].reshape(2, 64, 4, 64, 4, 3).mean((2, 4))
    off = np.abs(pairs.small[0][:, 0] - true).mean((1, 2, 3))
    assert (off > 0).all() and off[0] < 8 and off[1] < 20, "round trip, and part of the way from noise"
    network = open_network(out / "export")
    assert (network.scale, network.frames) == (4, 3)
    assert json.loads((out / "export" / "card.json").read_text())["parameters"] == 127_888
    assert (out / "export" / "model.safetensors").stat().st_size < 2_500_000
    assert list((out / "sheets").glob("upscale_*.png"))
