"""Samplers over sigmas, as k-diffusion and ComfyUI name them, in the form of a diffusers scheduler.

All work on (x, sigma, denoised): x = sigma * noise + signal * clean, where signal is 1 - sigma for flow matching and 1
otherwise. Both forms take the same exponential steps: for constant predictions
x' = (sigma' / sigma) x + (1 - sigma' / sigma) denoised.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from ..core.errors import RequestError
from ..core.options import CHECKPOINT, Sampling
from ..core.plan import Plan
from .noise import NoiseInTurn, noise
from .prediction import EPSILON, FLOW, SigmaModel, V, denoised, signal
from .sigma_schedules import sigmas_of

__all__ = ["EPSILON", "FLOW", "SAMPLERS", "SigmaSampler", "V", "chosen"]

SMALLEST = 1e-3
"""The last sigma of UniPC, which cannot step to 0."""


class SigmaSampler:
    """Steps latents along sigmas. x: (B, C, T, H, W), or any other shape.

    name: see SAMPLERS. sigmas: from `sigma_schedules`, the last one usually 0. prediction: FLOW, V or EPSILON.
    timestep: what the network takes for a sigma. seed: of the noise that a sampler adds. in_turn: this noise is drawn
    in turn from one generator (`NoiseInTurn`, also for frames_first), and not from a stream for each step.
    Raises RequestError for an unknown sampler or sigmas that do not fall.
    """

    order = 1

    def __init__(
        self, name: str, sigmas: list[float], prediction: str, timestep: Callable[[float], float], *, seed: int = 0,
        device: torch.device | str = "cpu", in_turn: bool = False, frames_first: bool = False,
    ) -> None:  # fmt: skip
        if name not in SAMPLERS:
            raise RequestError(f"sampler = {name!r}.", field="sampler", value=name, legal=", ".join(SAMPLERS))
        if len(sigmas) < 2 or any(after >= before for before, after in itertools.pairwise(sigmas)):
            raise RequestError(
                "The sigmas of a run fall.", field="sigmas", value=str(sigmas[:8]), legal="1.0, ..., 0.0"
            )
        if name in UNI_PC and sigmas[-1] == 0:
            sigmas = [*sigmas[:-1], SMALLEST]
        self.name, self.prediction, self.seed = name, prediction, seed
        self.in_turn, self.frames_first, self.num_drawn = in_turn, frames_first, 0
        self._internal_noise: NoiseInTurn | None = None
        """Not part of a saved state."""
        self.sigmas = torch.tensor(sigmas, dtype=torch.float64)
        self.timesteps = torch.tensor([timestep(sigma) for sigma in sigmas[:-1]], dtype=torch.float32, device=device)
        self.index = 0
        self.history: list[torch.Tensor] = []
        """Denoised predictions, the newest last."""
        self.start_x: torch.Tensor | None = None
        """UniPC: the latents from which the last step went."""

    @property
    def init_noise_sigma(self) -> float:
        """The scale of the initial noise: the highest sigma; in the V form, with unit variance of the clean latents."""
        first = float(self.sigmas[0])
        return math.sqrt(1 + first**2) if self.prediction == V else first

    def set_begin_index(self, first: int) -> None:
        self.index = first

    def scale_model_input(self, x: torch.Tensor, _t: Any = None) -> torch.Tensor:
        """x, or x / sqrt(sigma^2 + 1) if the model is not a flow."""
        if self.prediction == FLOW:
            return x
        return x / math.sqrt(float(self.sigmas[self.index]) ** 2 + 1)

    def scale_noise(self, clean: torch.Tensor, timestep: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Clean latents with noise of the level of a timestep."""
        at = int((self.timesteps - timestep.to(self.timesteps).flatten()[0]).abs().argmin())
        return self.noised(clean, noise, float(self.sigmas[at]))

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, sigma: float) -> torch.Tensor:
        return sigma * noise + self._signal(sigma) * clean

    def denoised(self, output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """The clean latents that an output predicts."""
        return denoised(self.prediction, output, x, sigma)

    def step(
        self, output: torch.Tensor, _t: Any, x: torch.Tensor, return_dict: bool = False
    ) -> tuple[torch.Tensor]:  # fmt: skip
        """x at the next sigma, in x's dtype; computed in float32 or more. The last step returns clean latents."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        wide = x.to(dtype)
        sigma, after = float(self.sigmas[self.index]), float(self.sigmas[self.index + 1])
        clean = self.denoised(output.to(dtype), wide, sigma)
        found = SAMPLERS[self.name](self, wide, clean, sigma, after)
        self.history = [*self.history[-2:], clean]
        self.index += 1
        if self.index == len(self.sigmas) - 1:
            found = found / self._signal(after)
        return (found.to(x.dtype),)

    def _signal(self, sigma: float) -> float:
        return signal(self.prediction, sigma)

    def fresh(self, like: torch.Tensor) -> torch.Tensor:
        """New noise for this step."""
        if not self.in_turn:
            return noise(self.seed, f"step/{self.index}", tuple(like.shape)).to(like)
        self.num_drawn += 1
        if self._internal_noise is None or self._internal_noise.device != like.device:
            # ComfyUI draws on the latents' device; on the CPU with the next seed, so that it is not the initial noise.
            seed = self.seed + (like.device.type == "cpu")
            self._internal_noise = NoiseInTurn(seed, like.device, frames_first=self.frames_first)
        return self._internal_noise.numbered(self.num_drawn, tuple(like.shape)).to(like)


Step = Callable[[SigmaSampler, torch.Tensor, torch.Tensor, float, float], torch.Tensor]


def _toward(x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """One exponential step with a constant prediction, which is Euler's step."""
    return x * (after / sigma) + clean * (1 - after / sigma)


def euler(_: SigmaSampler, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    return _toward(x, clean, sigma, after)


def euler_ancestral(
    run: SigmaSampler, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float
) -> torch.Tensor:
    """Euler's step to a lower sigma, then noise up to the next one (eta 1)."""
    if after == 0:
        return clean
    if run.prediction == FLOW:
        down = after * (after / sigma)
        rest = math.sqrt(after**2 - (down * (1 - after) / (1 - down)) ** 2)
        return _toward(x, clean, sigma, down) * ((1 - after) / (1 - down)) + rest * run.fresh(x)
    up = min(after, math.sqrt(after**2 * (sigma**2 - after**2) / sigma**2))
    return _toward(x, clean, sigma, math.sqrt(after**2 - up**2)) + up * run.fresh(x)


def lcm(run: SigmaSampler, x: torch.Tensor, clean: torch.Tensor, _sigma: float, after: float) -> torch.Tensor:
    """The prediction with new noise (latent consistency models, arXiv 2310.04378)."""
    return clean if after == 0 else run.noised(clean, run.fresh(x), after)


def dpmpp_2m(run: SigmaSampler, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """DPM-Solver++(2M) (arXiv 2211.01095), algorithm 2; the first step and one to 0 are of first order."""
    if after == 0 or not run.history:
        return _toward(x, clean, sigma, after)
    before = float(run.sigmas[run.index - 1])
    ratio = math.log(before / sigma) / math.log(sigma / after)
    return _toward(x, clean + (clean - run.history[-1]) / (2 * ratio), sigma, after)


def res_multistep(run: SigmaSampler, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """The second-order exponential multistep of RES (arXiv 2308.02157)."""
    if after == 0 or not run.history:
        return _toward(x, clean, sigma, after)
    h = math.log(sigma / after)
    back = -math.log(float(run.sigmas[run.index - 1]) / sigma) / h
    one = -math.expm1(-h) / h
    two = (1 - one) / h
    return math.exp(-h) * x + h * ((one - two / back) * clean + (two / back) * run.history[-1])


def uni_pc(run: SigmaSampler, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """UniPC (arXiv 2302.04867), third order, data prediction, with its corrector, in the form x / signal with half log
    signal-to-noise ratio -ln(sigma); the last steps are of lower order. B(h) = h, or expm1(h) for `uni_pc_bh2`."""
    steps = len(run.sigmas) - 1
    most = min(3, max(1, steps - 1))
    if run.index > 0:
        assert run.start_x is not None
        order = min(most, run.index, steps - run.index + 1)
        x = _uni_step(run, run.start_x, run.history[-order:], run.index - 1, sigma, clean)
    run.start_x = x
    order = min(most, run.index + 1, steps - run.index)
    return _uni_step(run, x, [*run.history, clean][-order:], run.index, after, None)


def _uni_step(
    run: SigmaSampler, x: torch.Tensor, known: list[torch.Tensor], at: int, after: float, there: torch.Tensor | None
) -> torch.Tensor:  # fmt: skip
    """One step of UniPC from sigma number `at`. known: the predictions up to there, of the order's number. there: the
    prediction after the step, for the corrector."""
    sigma, now = float(run.sigmas[at]), known[-1]
    h = math.log(sigma / after)
    ratios, slopes = [], []
    for back, older in enumerate(reversed(known[:-1]), start=1):
        ratio = math.log(sigma / float(run.sigmas[at - back])) / h
        ratios.append(ratio)
        slopes.append((older - now) / ratio)
    found = _toward(x, now, sigma, after)
    bounded = -h if run.name == "uni_pc" else math.expm1(-h)
    if there is not None:
        ratios, slopes = [*ratios, 1.0], [*slopes, there - now]
    # One slope has half a weight: in the predictor of order 2 and the corrector of order 1.
    weights = [0.5] if len(slopes) == 1 else _uni_weights(ratios, h, bounded)
    for weight, slope in zip(weights, slopes, strict=True):
        found = found - bounded * weight * slope
    return found


def _uni_weights(ratios: list[float], h: float, bounded: float) -> list[float]:
    """The weights of the slopes, equation 9. bounded: B(h)."""
    if not ratios:
        return []
    rows, right = [], []
    phi, factorial = math.expm1(-h) / -h - 1, 1.0
    for power in range(len(ratios)):
        rows.append([ratio**power for ratio in ratios])
        right.append(phi * factorial / bounded)
        factorial *= power + 2
        phi = phi / -h - 1 / factorial
    matrix, values = torch.tensor(rows, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    found: list[float] = torch.linalg.solve(matrix, values).tolist()
    return found


def chosen(own: Any, options: Sampling, plan: Plan, model: SigmaModel) -> Any:
    """The scheduler of a plan: the checkpoint's own, unless the options `sampler` and `schedule` name others. own: with
    its sigmas set."""
    if options.sampler == options.schedule == CHECKPOINT:
        return own
    name = "euler" if options.sampler == CHECKPOINT else options.sampler
    if options.schedule == CHECKPOINT or plan.sigmas:  # a student knows its own sigmas only
        sigmas = [float(sigma) for sigma in own.sigmas]
    else:
        sigmas = sigmas_of(options.schedule, model.levels, plan.steps, name)
    return sampler(name, sigmas, model, plan.seed, own.timesteps.device, in_turn=options.noise == "torch")


def sampler(
    name: str, sigmas: list[float], model: SigmaModel, seed: int, device: torch.device, *, in_turn: bool
) -> SigmaSampler:  # fmt: skip
    """The sampler of a model."""
    return SigmaSampler(
        name, sigmas, model.prediction, model.timestep, seed=seed, device=device, in_turn=in_turn,
        frames_first=model.frames_first,
    )  # fmt: skip


UNI_PC = ("uni_pc", "uni_pc_bh2")
SAMPLERS: dict[str, Step] = {
    "euler": euler, "euler_ancestral": euler_ancestral, "lcm": lcm, "dpmpp_2m": dpmpp_2m,
    "res_multistep": res_multistep, "uni_pc": uni_pc, "uni_pc_bh2": uni_pc,
}  # fmt: skip
