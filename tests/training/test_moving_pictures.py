"""Triplets for interpolation have exact flow and are deterministic."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kinema.post.film.warp import warp
from kinema.training.data.moving_pictures import MovingPictures, Triplets
from kinema.training.data.textures import Bank, make_bank

SIDE = 96


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(3, 14, 14)


def draw(bank: Bank, seed: int, count: int = 12) -> Triplets:
    return MovingPictures(bank, SIDE).draw(count, torch.Generator().manual_seed(seed))


def test_the_same_generator_gives_the_same_ones(bank):
    one, again, other = draw(bank, 0), draw(bank, 0), draw(bank, 1)
    assert torch.equal(one.frames_BTCHW, again.frames_BTCHW) and torch.equal(one.motion_B4HW, again.motion_B4HW)
    assert not torch.equal(one.frames_BTCHW, other.frames_BTCHW)
    assert one.frames_BTCHW.shape == (12, 3, 3, SIDE, SIDE) and one.motion_B4HW.shape == (12, 4, SIDE, SIDE)
    assert one.frames_BTCHW.min() >= 0 and one.frames_BTCHW.max() <= 1
    assert set(one.time_B.tolist()) > {0.5} and one.time_B.min() >= 0.12 and one.time_B.max() <= 0.88


def test_the_flow_leads_from_the_middle_to_both_ends(bank):
    """Where both ends warped to the middle agree with each other, they agree with the middle; with slightly wrong or
    reversed motion or that of another triplet they do not."""
    drawn = draw(bank, 5, count=32)
    share = drawn.time_B.view(-1, 1, 1, 1)

    def off(motion_B4HW: torch.Tensor) -> float:
        first = warp(drawn.frames_BTCHW[:, 0], motion_B4HW[:, :2] * share)
        last = warp(drawn.frames_BTCHW[:, 2], motion_B4HW[:, 2:] * (1 - share))
        error = torch.minimum(
            *(x.abs().mean(1) for x in (first - drawn.frames_BTCHW[:, 1], last - drawn.frames_BTCHW[:, 1]))
        )
        return float(F.avg_pool2d(error[:, None], 3, 1)[..., 8:-8, 8:-8].median())

    right = off(drawn.motion_B4HW)
    assert right < 0.02
    for wrong in (drawn.motion_B4HW.flip(0), drawn.motion_B4HW[:, [2, 3, 0, 1]], drawn.motion_B4HW * 0.7):
        assert off(wrong) > 1.5 * right
    assert drawn.motion_B4HW.abs().mean() > 5


def test_a_bank_is_whole(bank):
    assert bank.textures.shape == (14, 3, 256, 256) and bank.masks.shape == (14, 1, 256, 256)
    covered = bank.masks.float().mean((1, 2, 3)) / 255
    assert bool(((covered > 0.005) & (covered < 0.9)).all())
    assert bool((bank.textures.float().flatten(1).std(1) > 2).all())
