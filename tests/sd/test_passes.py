"""Several passes (FreeInit) and partly noised starts, with every class of scheduler that a checkpoint may name.

The denoiser is ideal: it always points to the same clean latents, so that what a step is shown tells how much noise
there is in it.
"""

from __future__ import annotations

from types import SimpleNamespace

import diffusers
import pytest
import torch

from kinema.core.plan import Span
from kinema.diffusion import scheduling
from kinema.engine.generate import sample
from kinema.sd.clip_model import ClipModel
from kinema.sd.options import ClipOptions

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
KINDS = (
    "DDIMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
    "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
)  # fmt: skip
CLEAN = 0.5
SHAPE = (1, 4, 6, 16, 16)


class Ideal(ClipModel):
    """`seen`: standard deviation of the noise in what each step is shown, 1 where it is that of its timestep."""

    def __init__(self, scheduler) -> None:
        super().__init__(None, torch.device("cpu"))
        self.parts = SimpleNamespace(scheduler=scheduler)
        self.seen: list[float] = []
        self.run: list[int] = []

    def latent_shape(self, cond, span):
        return SHAPE

    def predict(self, cond, span):
        bars = self.parts.scheduler.alphas_cumprod
        self.run.append(0)

        def run(x_BCTHW, t, branches):
            bar = bars[int(t.clamp(0, 999).round())]
            noise = (x_BCTHW - bar**0.5 * CLEAN) / (1 - bar) ** 0.5
            self.seen.append(float(noise.std()))
            self.run[-1] += 1
            return dict.fromkeys(branches, noise)

        return run


def plan_of(steps: int, passes: int):
    options = {"free_init": passes, "strength": 0.5}
    return SimpleNamespace(
        seed=3, steps=steps, guidance=1.0, guidance_interval=(0.0, 1.0), reuse=1, options=options, fps=8.0
    )


@pytest.mark.parametrize("spacing", ["linspace", "leading"])
@pytest.mark.parametrize("source", [False, True], ids=["from noise", "from a clip"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_try_begins_at_its_own_noise(kind, source, spacing):
    family = Ideal(getattr(diffusers, kind).from_config({**BETAS, "timestep_spacing": spacing, "steps_offset": 1}))
    plan = plan_of(10, 3)
    clean = torch.full(SHAPE, CLEAN)
    cond = SimpleNamespace(source_BCTHW=clean if source else None, options=ClipOptions.of(plan))
    latents, firsts = None, []
    for number in range(3):
        begun = len(family.seen)
        latents = sample(plan, family, cond, Span(start=0, stop=6), number, finished=latents)
        firsts.append(family.seen[begun])
        assert torch.isfinite(latents).all()
        assert float((latents - clean).abs().mean()) < 0.1
    assert firsts == pytest.approx([1.0] * 3, abs=0.12), "noise of the first step's own level"
    order = family.parts.scheduler.order
    whole = 10 * order - (order - 1)
    assert family.run == [whole - 5 * order if source else whole] * 3


@pytest.mark.parametrize("kind", [*KINDS, "FlowMatchEulerDiscreteScheduler"])
def test_a_clip_that_no_step_is_left_for_stays_as_it_is(kind):
    """One step at half strength runs no step and changes nothing."""
    scheduler = getattr(diffusers, kind)()
    scheduler.set_timesteps(1)
    clean = torch.full(SHAPE, CLEAN)
    found, first = scheduling.begin_with(scheduler, clean, torch.randn(SHAPE), 1, 0.5)
    assert first >= len(scheduler.timesteps) and torch.equal(found, clean)
