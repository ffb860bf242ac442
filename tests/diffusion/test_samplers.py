"""Schedules and samplers over sigmas: check values, an exact solution, and diffusers' UniPC."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from kinema.core.errors import RequestError
from kinema.diffusion.incomplete_beta import beta_cdf, beta_quantile
from kinema.diffusion.samplers import EPSILON, FLOW, SAMPLERS, SigmaSampler, V
from kinema.diffusion.sigma_schedules import SCHEDULES, between, edm_levels, flow_levels, of_the_end, sigmas_of

FLOW_8, SVD = flow_levels(8.0), edm_levels(0.002, 700.0)
UNI_PC_20 = """1 .99387 .98705 .97973 .97151 .96242 .95254 .94126 .92884 .91447 .89803 .87947 .85736 .8312 .80048
.76216 .7153 .65383 .57171 .45933 0"""
KARRAS_20 = """700 510.356 366.573 259.010 179.719 122.215 81.263 52.684 33.193 20.241 11.887 6.6815 3.5664 1.7894
.83253 .35259 .13239 .04237 .01086 .002 0"""


@pytest.mark.parametrize(
    ("schedule", "levels", "steps", "sampler", "expected"),
    [
        ("simple", FLOW_8, 4, "euler", "1 .96 .88889 .72727 0"),
        ("normal", FLOW_8, 4, "euler", "1 .94183 .80377 .06021 0"),
        ("sgm_uniform", FLOW_8, 4, "euler", "1 .96041 .89045 .73348 0"),
        ("beta", FLOW_8, 4, "euler", "1 .974 .88928 .63243 0"),
        ("linear_quadratic", FLOW_8, 4, "euler", "1 .9875 .975 .725 0"),
        ("simple", FLOW_8, 20, "uni_pc", UNI_PC_20), ("karras", SVD, 20, "euler", KARRAS_20),
    ],
)  # fmt: skip
def test_schedules_have_their_check_values(schedule, levels, steps, sampler, expected):
    found = sigmas_of(schedule, levels, steps, sampler)
    assert found == pytest.approx([float(each) for each in expected.split()], rel=2e-4, abs=6e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("levels", [FLOW_8, SVD], ids=["flow", "edm"])
def test_every_schedule_falls_from_the_highest_sigma_to_0(schedule, levels):
    for steps in (1, 2, 7, 30):
        found = SCHEDULES[schedule](levels, steps)
        assert found[-1] == 0 and all(after < before for before, after in itertools.pairwise(found))
        if schedule != "ddim_uniform":
            assert found[0] == pytest.approx(levels.ends[0]) and len(found) == steps + 1
        else:
            assert steps < len(found) <= 1.2 * steps + 2


def test_parts_of_a_schedule():
    whole = sigmas_of("simple", FLOW_8, 10)
    assert between(whole, 0, 10_000, leftover=False) == whole
    first, second = between(whole, 0, 4, leftover=True), between(whole, 4, 10_000, leftover=False)
    assert first == whole[:5] and second == whole[4:]
    assert between(whole, 0, 4, leftover=False) == [*whole[:4], 0.0]
    assert between(whole, 10, 10_000, leftover=False) == between(whole, 7, 3, leftover=True) == []
    assert of_the_end("simple", FLOW_8, 5, 0.5) == whole[-6:] and of_the_end("simple", FLOW_8, 5, 1.0)[0] == 1.0
    with pytest.raises(RequestError, match="simple, normal"):
        sigmas_of("fast", FLOW_8, 4)


SPREAD = 0.6
"""Standard deviation of the clean data of the exact solution, which is Gaussian."""


def run(name, sigmas, prediction, x, model):
    """Sample with a model that maps (x, sigma) to the denoised latents."""
    sampler = SigmaSampler(name, sigmas, prediction, lambda sigma: 1000 * sigma)
    for index, t in enumerate(sampler.timesteps):
        sigma = float(sampler.sigmas[index])
        clean = model(x, sigma)
        if prediction == V:
            output = (x / (sigma**2 + 1) - clean) * math.sqrt(sigma**2 + 1) / sigma
        else:
            output = (x - clean) / sigma
        (x,) = sampler.step(output, t, x)
    return x


def gaussian(prediction):
    """The exact denoiser of Gaussian data in a form, and the exact end of a path."""

    def signal(at):
        return 1 - at if prediction == FLOW else 1.0

    def model(x, sigma):
        return x * signal(sigma) * SPREAD**2 / (signal(sigma) ** 2 * SPREAD**2 + sigma**2)

    def exact(x, sigma, after):
        return x * math.hypot(signal(after) * SPREAD, after) / math.hypot(signal(sigma) * SPREAD, sigma)

    return model, exact


@pytest.mark.parametrize(
    ("name", "order"),
    [("euler", 1), ("dpmpp_2m", 2), ("res_multistep", 2), ("uni_pc", 2), ("uni_pc_bh2", 2)],
)  # fmt: skip
@pytest.mark.parametrize("prediction", [FLOW, V, EPSILON])
def test_samplers_converge_to_the_exact_solution_with_their_order(name, order, prediction):
    model, exact = gaussian(prediction)
    x = torch.linspace(-2, 2, 8, dtype=torch.float64).view(1, 8, 1, 1, 1)
    high, low, errors = 0.9, 0.05, []
    for steps in (32, 64, 128):
        sigmas = [high * (low / high) ** (index / steps) for index in range(steps + 1)]
        end = run(name, sigmas, prediction, x, model)
        if prediction == FLOW:
            end = end * (1 - sigmas[-1])  # a sampler returns clean latents
        errors.append(float((end - exact(x, high, low)).abs().max()))
    slope = math.log2(errors[0] / errors[2]) / 2
    assert slope > order - 0.4 and errors[2] < (2e-2, 2e-4)[order - 1], (errors, slope)


@pytest.mark.parametrize(("name", "solver"), [("uni_pc", "bh1"), ("uni_pc_bh2", "bh2")])
@pytest.mark.parametrize("steps", [2, 3, 8])
def test_uni_pc_is_that_of_diffusers_in_the_variance_exploding_form(name, solver, steps):
    from diffusers import UniPCMultistepScheduler

    model, _ = gaussian(FLOW)
    sigmas = sigmas_of("simple", FLOW_8, steps, name)
    x = torch.randn(1, 4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = run(name, sigmas, FLOW, x, model)

    theirs = UniPCMultistepScheduler(
        prediction_type="sample", solver_order=min(3, max(1, steps - 1)), solver_type=solver, final_sigmas_type="zero"
    )
    theirs.set_timesteps(steps)
    levels = [*sigmas[:-1], 1e-3]
    theirs.sigmas = torch.tensor(levels, dtype=torch.float64)
    theirs.timesteps = torch.arange(steps, 0, -1)
    theirs.set_begin_index(0)
    for index, t in enumerate(theirs.timesteps):
        here, after = (1 / math.sqrt(1 + levels[at] ** 2) for at in (index, index + 1))
        x = theirs.step(model(x, levels[index]), t, x * here, return_dict=False)[0] / after
    torch.testing.assert_close(found, x / (1 - levels[-1]), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("prediction", [FLOW, EPSILON])
@pytest.mark.parametrize("name", ["euler_ancestral", "lcm"])
def test_samplers_with_noise_end_in_the_data(name, prediction):
    """The end has the spread of the data; with lcm a smaller one, because each prediction is a mean."""
    model, _ = gaussian(prediction)
    high, steps = 1.0 if prediction == FLOW else 20.0, 60
    sigmas = [high * (1 - index / steps) ** 2 for index in range(steps)] + [0.0]
    x = high * torch.randn(1, 4, 8, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    end = run(name, sigmas, prediction, x, model)
    assert torch.equal(end, run(name, sigmas, prediction, x, model))
    if name == "euler_ancestral":
        assert abs(float(end.std()) - SPREAD) < 0.1
    else:
        assert 0 < float(end.std()) < SPREAD


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_goes_on_from_its_tensors(name):
    """A kept state holds the tensors, lists of tensors and numbers of a sampler."""
    model, _ = gaussian(FLOW)
    sigmas = sigmas_of("simple", FLOW_8, 6)

    def stepped(sampler, x, first, end):
        for index in range(first, end):
            sigma = float(sampler.sigmas[index])
            (x,) = sampler.step((x - model(x, sigma)) / sigma, None, x)
        return x

    def new():
        return SigmaSampler(name, sigmas, FLOW, lambda sigma: 1000 * sigma, seed=3)

    x = torch.randn(1, 2, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    whole, half, other = new(), new(), new()
    middle = stepped(half, x, 0, 3)
    other.index, other.history, other.start_x = half.index, list(half.history), half.start_x
    assert torch.equal(stepped(other, middle, 3, 6), stepped(whole, x, 0, 6))


def test_what_is_refused():
    for name, sigmas in (("huen", [1.0, 0.0]), ("euler", [1.0]), ("euler", [0.5, 0.5, 0.0]), ("euler", [])):
        with pytest.raises(RequestError):
            SigmaSampler(name, sigmas, FLOW, float)


def test_the_options_name_what_there_is():
    from typing import get_args

    from kinema.core.options import CHECKPOINT, TWICE, Sampler, Schedule

    assert tuple(name for name, solver in SAMPLERS.items() if solver.middle is not None) == TWICE

    assert (CHECKPOINT, *SAMPLERS) == get_args(Sampler) and (CHECKPOINT, *SCHEDULES) == get_args(Schedule)


def test_the_beta_distribution_equals_scipys():
    special = pytest.importorskip("scipy.special")
    for a, b in ((0.6, 0.6), (2.0, 5.0), (0.6, 3.0)):
        for at in range(1, 40):
            x = at / 40
            assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-12)
            assert beta_quantile(x, a, b) == pytest.approx(special.betaincinv(a, b, x), abs=1e-10)
    assert (beta_cdf(0, 0.6, 0.6), beta_cdf(1, 0.6, 0.6), beta_quantile(1.0, 0.6, 0.6)) == (0, 1, 1)
