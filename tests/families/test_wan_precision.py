"""Wan's transformer under autocast, with float32 weights: torch warns about no layer."""

from __future__ import annotations

import warnings

import pytest
import torch

from kinema.families.wan.forward import MixedRMSNorm
from kinema.weights import device


@pytest.fixture
def loud():
    """Make every warning an error, including torch's warnings that appear once per process."""
    torch.set_warn_always(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    torch.set_warn_always(False)


def test_a_step_of_low_precision_warns_of_nothing(mini, monkeypatch, loud):
    monkeypatch.setattr(device, "good_at_bfloat16", lambda _device: True)
    plan = mini.plan("a red ball", seed=1, frames=1)
    assert plan.low_precision
    cond = mini.family.encode(plan, mini.family.prepare(plan))
    predict = mini.family.predict(cond, plan.spans[0])
    found = predict(torch.randn(mini.family.latent_shape(cond, plan.spans[0])), torch.tensor(500.0), ("cond", "uncond"))
    assert all(output.isfinite().all() for output in found.values())


@pytest.mark.filterwarnings("ignore:Mismatch dtype")
@pytest.mark.parametrize("weight, given", [("float32", "bfloat16"), ("bfloat16", "float32"), ("float32", "float32")])
def test_the_norm_gives_what_torchs_own_gives(weight, given):
    own = torch.nn.RMSNorm(48, eps=1e-6, dtype=getattr(torch, weight))
    torch.nn.init.uniform_(own.weight, 0.5, 1.5)
    x_BLD = torch.randn(2, 5, 48).to(getattr(torch, given))
    found = MixedRMSNorm(own)(x_BLD)
    assert found.dtype == x_BLD.dtype
    wide = torch.nn.functional.rms_norm(x_BLD.double(), (48,), own.weight.double(), 1e-6)
    assert torch.equal(found, wide.to(x_BLD.dtype)) or torch.allclose(found.double(), wide, atol=1e-6, rtol=2**-8)
    if weight == "float32":
        assert torch.equal(found, own(x_BLD)), "bit for bit"
    assert MixedRMSNorm(own).weight is own.weight, "its parameter is the model's"
