"""Samplers over sigmas, as k-diffusion and ComfyUI name them, in the form of a diffusers scheduler."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch

from ..core.errors import RequestError
from ..core.options import CHECKPOINT, Sampling
from ..core.plan import Plan
from .prediction import EPSILON, FLOW, SigmaModel, V, denoised
from .sigma_schedules import TRAINED, sigmas_of
from .solver_run import Solver, SolverRun
from .solvers import deis, dpmpp_2m, euler, gradient_estimation, ipndm, lms, res_multistep
from .stochastic_solvers import ddpm, dpmpp_2m_sde, dpmpp_3m_sde, er_sde, euler_ancestral, lcm
from .two_stage_solvers import BELOW_1, DPM_2, DPM_2_ANCESTRAL, DPMPP_2S_ANCESTRAL, DPMPP_SDE, HEUN
from .uni_pc import uni_pc

__all__ = ["EPSILON", "FLOW", "SAMPLERS", "SigmaSampler", "V", "chosen", "sampler"]

SMALLEST = 1e-3
"""The last sigma of UniPC, which cannot step to 0."""


class SigmaSampler(SolverRun):
    """Steps latents along sigmas. x: (B, C, T, H, W), or any other shape.

    name: see SAMPLERS. sigmas: from `sigma_schedules`, the last one usually 0. prediction: FLOW, V or EPSILON.
    timestep: what the network takes for a sigma. below_1: in place of a sigma of 1, for solvers that divide by the
    signal, of which a flow has none there. seed, in_turn, frames_first: see `SolverRun`.
    Raises RequestError for an unknown sampler or sigmas that do not fall.
    """

    def __init__(
        self, name: str, sigmas: list[float], prediction: str, timestep: Callable[[float], float], *, seed: int = 0,
        device: torch.device | str = "cpu", in_turn: bool = False, frames_first: bool = False,
        below_1: float = BELOW_1,
    ) -> None:  # fmt: skip
        if name not in SAMPLERS:
            raise RequestError(f"sampler = {name!r}.", field="sampler", value=name, legal=", ".join(SAMPLERS))
        if len(sigmas) < 2 or any(after >= before for before, after in itertools.pairwise(sigmas)):
            raise RequestError(
                "The sigmas of a run fall.", field="sigmas", value=str(sigmas[:8]), legal="1.0, ..., 0.0"
            )
        if name in UNI_PC and sigmas[-1] == 0:
            sigmas = [*sigmas[:-1], SMALLEST]
        if name in NEED_SIGNAL and prediction == FLOW and sigmas[0] >= 1:
            sigmas = [max(below_1, (1 + sigmas[1]) / 2), *sigmas[1:]]
        super().__init__(name, prediction, seed, in_turn=in_turn, frames_first=frames_first)
        self.solver = SAMPLERS[name]
        evaluated: list[float] = []
        self.parts: list[tuple[float, float, bool]] = []
        """Of each evaluation: the sigmas between which its step goes, and whether it is the second of the step."""
        for sigma, after in itertools.pairwise(sigmas):
            evaluated.append(sigma)
            self.parts.append((sigma, after, False))
            if self.solver.middle is not None and after > 0:
                evaluated.append(self.solver.middle(self, sigma, after))
                self.parts.append((sigma, after, True))
        self.order = 1 if self.solver.middle is None else 2
        self.sigmas = torch.tensor([*evaluated, sigmas[-1]], dtype=torch.float64)
        self.timesteps = torch.tensor([timestep(sigma) for sigma in evaluated], dtype=torch.float32, device=device)

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

    def step(
        self, output: torch.Tensor, _t: Any, x: torch.Tensor, return_dict: bool = False
    ) -> tuple[torch.Tensor]:  # fmt: skip
        """x at the next evaluation, in x's dtype; computed in float32 or more. The last step returns clean latents."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        wide, here = x.to(dtype), float(self.sigmas[self.index])
        clean = denoised(self.prediction, output.to(dtype), wide, here)
        sigma, after, is_second = self.parts[self.index]
        if is_second:
            assert self.solver.second is not None and self.start_x is not None
            found = self.solver.second(self, self.start_x, clean, sigma, after)
        elif after == 0 and self.solver.middle is not None:
            found = clean
        else:
            found = self.solver.step(self, wide, clean, sigma, after)
            if self.solver.middle is not None:
                self.start_x = wide
        self.history = [*self.history[-2:], (wide - clean) / here if self.solver.derivatives else clean]
        self.index += 1
        if self.index == len(self.timesteps):
            found = found / self.signal(after)
        return (found.to(x.dtype),)


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
    below_1 = model.levels.sigma(BELOW_1 * TRAINED) if model.prediction == FLOW else BELOW_1
    return SigmaSampler(
        name, sigmas, model.prediction, model.timestep, seed=seed, device=device, in_turn=in_turn,
        frames_first=model.frames_first, below_1=below_1,
    )  # fmt: skip


UNI_PC = ("uni_pc", "uni_pc_bh2")
NEED_SIGNAL = (
    "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde", "er_sde", "dpmpp_sde_gpu", "dpmpp_2m_sde_gpu", "dpmpp_3m_sde_gpu"
)  # fmt: skip
"""Solvers that divide by the signal."""
SAMPLERS: dict[str, Solver] = {
    "euler": Solver(euler), "euler_ancestral": Solver(euler_ancestral), "heun": HEUN, "dpm_2": DPM_2,
    "dpm_2_ancestral": DPM_2_ANCESTRAL, "lms": Solver(lms, derivatives=True),
    "dpmpp_2s_ancestral": DPMPP_2S_ANCESTRAL, "dpmpp_sde": DPMPP_SDE, "dpmpp_2m": Solver(dpmpp_2m),
    "dpmpp_2m_sde": Solver(dpmpp_2m_sde), "dpmpp_3m_sde": Solver(dpmpp_3m_sde), "ddpm": Solver(ddpm),
    "lcm": Solver(lcm), "ipndm": Solver(ipndm, derivatives=True), "res_multistep": Solver(res_multistep),
    "gradient_estimation": Solver(gradient_estimation, derivatives=True), "ddim": Solver(euler),
    "deis": Solver(deis, derivatives=True), "er_sde": Solver(er_sde),
    "uni_pc": Solver(uni_pc), "uni_pc_bh2": Solver(uni_pc), "dpmpp_sde_gpu": DPMPP_SDE,
    "dpmpp_2m_sde_gpu": Solver(dpmpp_2m_sde), "dpmpp_3m_sde_gpu": Solver(dpmpp_3m_sde),
}  # fmt: skip
"""`ddim` (arXiv 2010.02502) without its noise is Euler's step in these variables. The names with _gpu say where ComfyUI
draws noise whose values are not reproduced here."""
