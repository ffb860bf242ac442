"""Sigma schedules equal the reference values of ComfyUI's, and the beta quantile equals SciPy's."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kinema.diffusion.incomplete_beta import beta_cdf, beta_quantile
from kinema.diffusion.sigma_schedules import SCHEDULES, edm, flow, sigmas

FLOW, EDM = flow(8.0), edm()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simple", (1, 0.96, 0.88889, 0.72727, 0)),
        ("normal", (1, 0.94183, 0.80377, 0.06021, 0)),
        ("sgm_uniform", (1, 0.96041, 0.89045, 0.73348, 0)),
        ("beta", (1, 0.974, 0.88928, 0.63243, 0)),
        ("linear_quadratic", (1, 0.9875, 0.975, 0.725, 0)),
    ],
)
def test_four_steps_of_flow_with_shift_8(name, expected):
    assert sigmas(name, FLOW, 4) == pytest.approx(expected, abs=6e-6)


def test_uni_pc_loses_the_level_before_0_of_one_step_more():
    expected = (1, 0.99387, 0.98705, 0.97973, 0.97151, 0.96242, 0.95254, 0.94126, 0.92884, 0.91447, 0.89803, 0.87947,
                0.85736, 0.8312, 0.80048, 0.76216, 0.7153, 0.65383, 0.57171, 0.45933, 0)  # fmt: skip
    assert sigmas("simple", FLOW, 20, sampler="uni_pc") == pytest.approx(expected, abs=6e-6)
    assert sigmas("simple", FLOW, 20) != pytest.approx(expected, abs=6e-6)


def test_karras_of_stable_video_diffusion():
    expected = (700, 510.356, 366.573, 259.010, 179.719, 122.215, 81.263, 52.684, 33.193, 20.241, 11.887, 6.6815,
                3.5664, 1.7894, 0.83253, 0.35259, 0.13239, 0.04237, 0.01086, 0.002, 0)  # fmt: skip
    assert sigmas("karras", EDM, 20) == pytest.approx(expected, rel=1e-4, abs=6e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("scale", [FLOW, EDM, flow(1.0)], ids=["flow 8", "edm", "flow 1"])
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_levels_fall_from_the_models_highest_to_0(name, scale, steps):
    found = sigmas(name, scale, steps)
    assert len(found) == steps + 1 and found[0] == pytest.approx(scale.sigmas[-1]) and found[-1] == 0
    assert all(one > other for one, other in pairwise(found))


def test_the_times_of_a_scale_are_inverse_where_they_are():
    assert [EDM.sigma_of(EDM.time_of(each)) for each in (0.002, 1.0, 700.0)] == pytest.approx([0.002, 1.0, 700.0])
    assert (EDM.sigmas[0], EDM.sigmas[-1]) == pytest.approx((0.002, 700.0))


def test_denoise_runs_the_last_steps_of_a_longer_schedule():
    assert sigmas("simple", FLOW, 4, denoise=0.5) == sigmas("simple", FLOW, 8)[4:]
    assert sigmas("simple", FLOW, 4, denoise=1.0) == sigmas("simple", FLOW, 4)


def test_the_parts_of_a_run_in_two_stages_meet():
    whole = sigmas("simple", FLOW, 20)
    first, second = sigmas("simple", FLOW, 20, end=10, leftover=True), sigmas("simple", FLOW, 20, start=10, end=10_000)
    assert (first, second) == (whole[:11], whole[10:])
    assert sigmas("simple", FLOW, 20, end=10) == [*whole[:10], 0.0]  # nothing may be left over


def test_what_is_not_legal_is_named():
    for arguments, message in ((("magic", FLOW, 4), "simple, normal"), (("simple", FLOW, 0), "0 steps")):
        with pytest.raises(ValueError, match=message):
            sigmas(*arguments)
    with pytest.raises(ValueError, match="denoise 0"):
        sigmas("simple", FLOW, 4, denoise=0)


def test_the_beta_distribution_equals_scipys():
    special = pytest.importorskip("scipy.special")
    for a, b in ((0.6, 0.6), (2.0, 5.0), (0.6, 3.0)):
        for at in range(1, 40):
            x = at / 40
            assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-12)
            assert beta_quantile(x, a, b) == pytest.approx(special.betaincinv(a, b, x), abs=1e-10)
    assert (beta_cdf(0, 0.6, 0.6), beta_cdf(1, 0.6, 0.6), beta_quantile(1.0, 0.6, 0.6)) == (0, 1, 1)
