"""Each sampler against its published formula, written here as a plain loop in float64 over an analytic denoiser; its
order of convergence; and the distribution that those with noise reach."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from test_samplers import FLOW_8, SPREAD, SVD, gaussian, run

from kinema.diffusion.noise import noise
from kinema.diffusion.samplers import EPSILON, FLOW, SAMPLERS, V
from kinema.diffusion.sigma_schedules import sigmas_of


class Loop:
    """A run along sigmas. draw: the noise of the sampler under test, by the number of the evaluation."""

    def __init__(self, prediction, sigmas):
        self.flow, self.sigmas = prediction == FLOW, sigmas
        self.model, _ = gaussian(prediction)
        self.calls = 0

    def denoised(self, x, sigma):
        self.calls += 1
        return self.model(x, sigma)

    def draw(self, x):
        return noise(0, f"step/{self.calls - 1}", tuple(x.shape)).double()

    def alpha(self, sigma):
        return 1 - sigma if self.flow else 1.0

    def lam(self, sigma):
        return math.log(self.alpha(sigma) / sigma)

    def from_lam(self, lam):
        return 1 / (1 + math.exp(lam)) if self.flow else math.exp(-lam)

    def steps(self):
        return enumerate(itertools.pairwise(self.sigmas))

    def ancestral(self, sigma, after):
        """(sigma to step to, scale, noise): Karras' variance; in a flow the level of which x keeps its scale."""
        if not self.flow:
            up = math.sqrt(after**2 * (1 - after**2 / sigma**2))
            return math.sqrt(after**2 - up**2), 1.0, up
        down = after * (1 + (after / sigma - 1))
        scale = (1 - after) / (1 - down)
        return down, scale, math.sqrt(after**2 - down**2 * scale**2)


def euler(loop, x):
    for _, (sigma, after) in loop.steps():
        x = x + (x - loop.denoised(x, sigma)) / sigma * (after - sigma)
    return x


def heun(loop, x):
    for _, (sigma, after) in loop.steps():
        d = (x - loop.denoised(x, sigma)) / sigma
        there = x + d * (after - sigma)
        if after:
            d = (d + (there - loop.denoised(there, after)) / after) / 2
        x = x + d * (after - sigma)
    return x


def dpm_2(loop, x):
    for _, (sigma, after) in loop.steps():
        d = (x - loop.denoised(x, sigma)) / sigma
        if after:
            middle = math.exp((math.log(sigma) + math.log(after)) / 2)
            half = x + d * (middle - sigma)
            d = (half - loop.denoised(half, middle)) / middle
        x = x + d * (after - sigma)
    return x


def dpm_2_ancestral(loop, x):
    for _, (sigma, after) in loop.steps():
        d = (x - loop.denoised(x, sigma)) / sigma
        if not after:
            return x - d * sigma
        down, scale, up = loop.ancestral(sigma, after)
        middle = math.exp((math.log(sigma) + math.log(down)) / 2)
        half = x + d * (middle - sigma)
        x = x + (half - loop.denoised(half, middle)) / middle * (down - sigma)
        x = x * scale + up * loop.draw(x)
    return x


def dpmpp_2s_ancestral(loop, x):
    """x / alpha moves by exponentials of half the log signal-to-noise ratio."""
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        down, scale, up = loop.ancestral(sigma, after)
        if loop.flow and sigma == 1:
            middle = 0.9999
            half = middle * x + (1 - middle) * found
        else:
            h = loop.lam(down) - loop.lam(sigma)
            middle = loop.from_lam(loop.lam(sigma) + h / 2)
            half = middle / sigma * x - loop.alpha(middle) * math.expm1(-h / 2) * found
        found = loop.denoised(half, middle)
        h = math.inf if loop.flow and sigma == 1 else loop.lam(down) - loop.lam(sigma)
        x = down / sigma * x - loop.alpha(down) * math.expm1(-h) * found
        x = x * scale + up * loop.draw(x)
    return x


def dpmpp_sde(loop, x):
    """Two evaluations; each an ancestral step of x / alpha, whose noise level is sigma / alpha."""
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        begin, s = x, loop.lam(sigma)
        for lam in ((s + loop.lam(after)) / 2, loop.lam(after)):
            down, up = math.exp(s - 2 * lam), math.sqrt(math.exp(-2 * lam) * (1 - math.exp(2 * s - 2 * lam)))
            h, to = -math.log(down) - s, loop.from_lam(lam)
            x = loop.alpha(to) / loop.alpha(sigma) * math.exp(-h) * begin - loop.alpha(to) * math.expm1(-h) * found
            x = x + loop.alpha(to) * up * loop.draw(x)
            if lam != loop.lam(after):
                found = loop.denoised(x, to)
    return x


def dpmpp_2m_sde(loop, x):
    old, before = None, None
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        h = loop.lam(after) - loop.lam(sigma)
        x = after / sigma * math.exp(-h) * x + loop.alpha(after) * (1 - math.exp(-2 * h)) * found
        if old is not None:
            r = before / h
            x = x + 0.5 * loop.alpha(after) * (1 - math.exp(-2 * h)) / r * (found - old)
        x = x + after * math.sqrt(1 - math.exp(-2 * h)) * loop.draw(x)
        old, before = found, h
    return x


def dpmpp_3m_sde(loop, x):
    old, hs = [], []
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        h = loop.lam(after) - loop.lam(sigma)
        x = after / sigma * math.exp(-h) * x + loop.alpha(after) * (1 - math.exp(-2 * h)) * found
        phi2 = (math.exp(-2 * h) - 1) / (2 * h) + 1
        phi3 = phi2 / (2 * h) - 0.5
        if len(old) >= 2:
            r0, r1 = hs[-1] / h, hs[-2] / h
            d0, d1 = (found - old[-1]) / r0, (old[-1] - old[-2]) / r1
            x = x + loop.alpha(after) * phi2 * (d0 + (d0 - d1) * r0 / (r0 + r1))
            x = x - loop.alpha(after) * phi3 * (d0 - d1) / (r0 + r1)
        elif old:
            x = x + loop.alpha(after) * phi2 * (found - old[-1]) / (hs[-1] / h)
        x = x + after * math.sqrt(1 - math.exp(-2 * h)) * loop.draw(x)
        old, hs = [*old, found], [*hs, h]
    return x


def lms(loop, x):
    """The integrals of Lagrange's polynomials by Gauss' rule, exact for cubics."""
    points, weights = np.polynomial.legendre.leggauss(4)
    ds, at = [], []
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        ds, at = [*ds, (x - found) / sigma][-4:], [*at, sigma][-4:]
        places = (sigma + after) / 2 + points * (after - sigma) / 2
        for d, own in zip(ds, at, strict=True):
            basis = np.prod([(places - other) / (own - other) for other in at if other != own], axis=0)
            x = x + d * float((weights * basis).sum() * (after - sigma) / 2)
    return x


def ipndm(loop, x):
    ds = []
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        ds = [*ds, (x - found) / sigma][-4:]
        match ds:
            case [a]:
                mean = a
            case [b, a]:
                mean = (3 * a - b) / 2
            case [c, b, a]:
                mean = (23 * a - 16 * b + 5 * c) / 12
            case [d, c, b, a]:
                mean = (55 * a - 59 * b + 37 * c - 9 * d) / 24
        x = x + (after - sigma) * mean
    return x


def gradient_estimation(loop, x):
    old = None
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        d = (x - found) / sigma
        x = x + (d if old is None else 2 * d - old) * (after - sigma)
        old = d
    return x


def deis(loop, x):
    """Polynomials in the time of the variance-preserving diffusion, integrated by adaptive quadrature over time."""
    quad = pytest.importorskip("scipy.integrate").quad
    low, high, epsilon = math.log(0.002**2 + 1), math.log(80**2 + 1), 1e-3
    rise = 2 * (low / epsilon - high) / (epsilon - 1)
    start = high - rise / 2

    def time(sigma):
        return (math.sqrt(start**2 + 2 * rise * math.log(sigma**2 + 1)) - start) / rise

    def growth(t):
        """d sigma / dt of sigma = sqrt(exp(rise t^2 / 2 + start t) - 1)."""
        whole = math.exp(rise * t**2 / 2 + start * t)
        return (rise * t + start) * whole / (2 * math.sqrt(whole - 1))

    assert abs(time(0.002) - 1e-3) < 1e-9 and abs(time(80.0) - 1) < 1e-9
    ds, at = [], []
    for _, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        ds, at = [*ds, (x - found) / sigma][-3:], [*at, time(sigma)][-3:]
        for d, own in zip(ds, at, strict=True):
            others = [other for other in at if other != own]

            def under(t, own=own, others=others):
                return growth(t) * math.prod((t - other) / (own - other) for other in others)

            x = x + d * quad(under, time(sigma), time(after), epsabs=1e-11, epsrel=1e-11)[0]
    return x


def er_sde(loop, x):
    """The noise scale phi(u), u = sigma / alpha; stages 1 to 3, with sums of 200 rectangles."""

    def phi(u):
        return u * (math.exp(u**0.3) + 10)

    u, old, slopes = [math.exp(-loop.lam(sigma)) for sigma in loop.sigmas if sigma], [], []
    for i, (sigma, after) in loop.steps():
        found = loop.denoised(x, sigma)
        if not after:
            return found
        r, alpha, dt = phi(u[i + 1]) / phi(u[i]), loop.alpha(after), u[i + 1] - u[i]
        x = alpha / loop.alpha(sigma) * r * x + alpha * (1 - r) * found
        places = u[i + 1] + np.arange(200) * (-dt / 200)
        below = places * (np.exp(places**0.3) + 10)
        if i >= 1:
            slopes.append((found - old[-1]) / (u[i] - u[i - 1]))
            x = x + alpha * (dt + (1 / below).sum() * (-dt / 200) * phi(u[i + 1])) * slopes[-1]
        if i >= 2:
            bend = (slopes[-1] - slopes[-2]) / ((u[i] - u[i - 2]) / 2)
            area = ((places - u[i]) / below).sum() * (-dt / 200)
            x = x + alpha * (dt**2 / 2 + area * phi(u[i + 1])) * bend
        x = x + alpha * math.sqrt(max(0.0, u[i + 1] ** 2 - u[i] ** 2 * r**2)) * loop.draw(x)
        old.append(found)
    return x


def ddpm(loop, x):
    """With the products of alpha of a variance-preserving diffusion, and the predicted noise."""
    for _, (sigma, after) in loop.steps():
        noise_of_x = (x - loop.denoised(x, sigma)) / sigma
        bar, bar_after = 1 / (1 + sigma**2), 1 / (1 + after**2)
        alpha = bar / bar_after
        mean = (x * math.sqrt(bar) - (1 - alpha) / math.sqrt(1 - bar) * noise_of_x) / math.sqrt(alpha)
        if after:
            mean = mean + math.sqrt((1 - alpha) * (1 - bar_after) / (1 - bar)) * loop.draw(x)
        x = mean * math.sqrt(1 + after**2)
    return x


LOOPS = {
    "heun": heun, "dpm_2": dpm_2, "dpm_2_ancestral": dpm_2_ancestral, "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpmpp_sde": dpmpp_sde, "dpmpp_2m_sde": dpmpp_2m_sde, "dpmpp_3m_sde": dpmpp_3m_sde, "lms": lms, "ipndm": ipndm,
    "dpmpp_sde_gpu": dpmpp_sde, "dpmpp_2m_sde_gpu": dpmpp_2m_sde, "dpmpp_3m_sde_gpu": dpmpp_3m_sde,
    "gradient_estimation": gradient_estimation, "ddim": euler, "ddpm": ddpm, "deis": deis,
    "er_sde": er_sde,
}  # fmt: skip
FLOW_SIGMAS = sigmas_of("simple", FLOW_8, 7)
NEED_SIGNAL = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "er_sde")


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("prediction", [FLOW, V])
def test_each_step_is_the_published_one(name, prediction):
    """Also when the run ends above 0, where clean latents are x / alpha."""
    x = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = FLOW_SIGMAS if prediction == FLOW else sigmas_of("karras", SVD, 9)
    for sigmas in (whole, whole[1:], whole[:-1]):
        begin = x * sigmas[0]
        moved = [0.9999, *sigmas[1:]] if name.removesuffix("_gpu") in NEED_SIGNAL and sigmas[0] == 1 else sigmas
        loop = Loop(prediction, moved)
        expected = LOOPS[name](loop, begin)
        expected = expected / loop.alpha(sigmas[-1])
        torch.testing.assert_close(run(name, sigmas, prediction, begin, loop.model), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "order"), [("heun", 2), ("dpm_2", 2), ("lms", 2), ("deis", 2), ("gradient_estimation", 1)]
)
@pytest.mark.parametrize("prediction", [FLOW, EPSILON])
def test_solvers_converge_with_their_order(name, order, prediction):
    model, exact = gaussian(prediction)
    x = torch.linspace(-2, 2, 8, dtype=torch.float64).view(1, 8, 1, 1, 1)
    high, low, errors = 0.9, 0.05, []
    for steps in (32, 64, 128):
        sigmas = [high * (low / high) ** (index / steps) for index in range(steps + 1)]
        end = run(name, sigmas, prediction, x, model) * (1 - low if prediction == FLOW else 1)
        errors.append(float((end - exact(x, high, low)).abs().max()))
    slope = math.log2(errors[0] / errors[2]) / 2
    assert slope > order - 0.4, (errors, slope)


@pytest.mark.parametrize("name", ["dpm_2_ancestral", "dpmpp_2s_ancestral", *NEED_SIGNAL])
@pytest.mark.parametrize("prediction", [FLOW, EPSILON])
def test_solvers_with_noise_end_in_the_data(name, prediction):
    model, _ = gaussian(prediction)
    high, steps = 1.0 if prediction == FLOW else 20.0, 60
    sigmas = [high * (1 - index / steps) ** 2 for index in range(steps)] + [0.0]
    x = high * torch.randn(1, 4, 8, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    end = run(name, sigmas, prediction, x, model)
    assert abs(float(end.std()) - SPREAD) < 0.1 and abs(float(end.mean())) < 0.05


def test_every_sampler_is_tested():
    assert {*LOOPS, "euler", "euler_ancestral", "lcm", "dpmpp_2m", "res_multistep", "uni_pc", "uni_pc_bh2"} == {
        *SAMPLERS
    }
