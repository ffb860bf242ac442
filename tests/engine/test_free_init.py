"""FreeInit and context windows belong to the engine: they work for families without support for them, and resumed runs
have identical results in any pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, HeunDiscreteScheduler
from fake_family import FakeFamily

from kinema.core.errors import MediaError
from kinema.core.plan import Plan
from kinema.core.request import Request
from kinema.core.resolve import resolve
from kinema.engine.estimate import evaluations, parts
from kinema.engine.generate import generate
from kinema.engine.resume import SamplingState
from kinema.families.wan.cards import MINI

KINDS = {"DDIM": DDIMScheduler, "flow": FlowMatchEulerDiscreteScheduler, "Heun": HeunDiscreteScheduler}


def plan_of(**options) -> Plan:
    asked = Request(prompt="x", steps=4, seed=1, guidance=1.0, frames=13, profile="exact")
    return resolve(asked, MINI).model_copy(update={"options": options})


class Simple(FakeFamily):
    """One latent frame per frame; the denoiser predicts a fraction of its input, and decodes latents as frames."""

    def __init__(self, kind: str) -> None:
        super().__init__(MINI)
        self.kind, self.windows = kind, []

    def latent_shape(self, cond, span):
        return (1, 1, span.num_frames, 4, 4)

    def scheduler(self, plan):
        scheduler = KINDS[self.kind]()
        scheduler.set_timesteps(plan.steps)
        return scheduler

    def predict(self, cond, span):
        def run(x, t, branches):
            self.windows.append((span.start, span.stop))
            return {branch: 0.5 * x + float(span.start) for branch in branches}

        return run

    def decode(self, latents, plan, span):
        chunk = next(super().decode(latents, plan, span))
        yield type(chunk)(latents[0, 0].mul(20).add(128).clamp(0, 255).byte()[..., None].expand(-1, -1, -1, 3).numpy(),
                          chunk.start, chunk.fps)  # fmt: skip


def frames(plan, family, **more) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in generate(plan, family, **more)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_taken_up_in_any_try(kind, tmp_path):
    plan, kept = plan_of(free_init=3), []
    whole = frames(plan, Simple(kind), keep=kept.append, keep_every=1)
    assert {state.span for state in kept} == {0, 1, 2}
    for state in kept:
        read = SamplingState.read(state.save(tmp_path / "state.safetensors"))
        assert np.array_equal(frames(plan, Simple(kind), state=read), whole), (state.span, state.step)
    assert not np.array_equal(frames(plan_of(free_init=1), Simple(kind)), whole), "a later pass changes the clip"


def test_a_state_beyond_the_plan_is_refused(tmp_path):
    kept = []
    frames(plan_of(free_init=2), Simple("DDIM"), keep=kept.append, keep_every=1)
    last = kept[-1]
    false = SamplingState(plan_of(free_init=1), last.span, last.step, last.tensors, last.values)
    with pytest.raises(MediaError, match="pass 1 is not in its plan"):
        SamplingState.read(false.save(tmp_path / "state.safetensors"))


def test_windows_go_through_any_family():
    plan = plan_of(context_length=6, context_overlap=2)
    family = Simple("DDIM")
    frames(plan, family)
    assert family.windows[:3] == [(0, 6), (4, 10), (7, 13)] and len(family.windows) == 3 * plan.steps
    alone = Simple("DDIM")
    frames(plan_of(context_length=13), alone)
    assert alone.windows == [(0, 13)] * plan.steps


def test_the_estimate_counts_every_try():
    plan = plan_of(free_init=3)
    family = Simple("DDIM")
    frames(plan, family)
    assert evaluations(plan) == len(family.windows) == 12
    assert sum(part.stage == "sample" for part in parts(plan, MINI, "cpu")) == 3
    assert torch.is_tensor(family.scheduler(plan).timesteps)
