"""A run whose latents become non-finite ends at that step and names it."""

from __future__ import annotations

import pytest
import torch
from fake_family import FakeFamily, NotedScheduler

from kinema.core.errors import ModelError
from kinema.core.request import Request
from kinema.core.resolve import resolve
from kinema.engine.generate import generate
from kinema.families.wan.cards import MINI


class Adding(NotedScheduler):
    def step(self, output, t, x, return_dict):
        return (x + output,)


class Breaking(FakeFamily):
    """Predicts `value` from step number `step` on."""

    def __init__(self, value: float, step: int) -> None:
        super().__init__(says=lambda branch, t: value if len(self.evaluations) > step else 0.0)

    def scheduler(self, plan):
        return Adding(plan.steps)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 3e38])
@pytest.mark.parametrize("step", [0, 4, 9])
def test_the_step_is_named(value, step):
    plan = resolve(Request(prompt="x", steps=10, seed=1, guidance=1.0, profile="exact"), MINI)
    kept, seen = [], []
    wanted = step + 1 if value != 3e38 else step + 2  # the second addition overflows
    family = Breaking(value, step)
    if wanted > 10:
        list(generate(plan, family))
        return
    with pytest.raises(ModelError, match=f"become non-finite at step {wanted} of 10"):
        list(generate(plan, family, on_event=seen.append, keep=kept.append, keep_every=1))
    assert [state.step for state in kept] == list(range(1, wanted)), "no state of it is kept"
    assert all(torch.isfinite(state.tensors["latents"]).all() for state in kept)


def test_an_adapter_of_nan_makes_no_clip(mini, tmp_path):
    from safetensors.torch import save_file

    config = mini.family.parts.transformer.config
    side, file = config.num_attention_heads * config.attention_head_dim, tmp_path / "nan.safetensors"
    name = "transformer.blocks.0.attn1.to_q"
    low, high = torch.ones(2, side), torch.full((side, 2), float("nan"))
    save_file({f"{name}.lora_A.weight": low, f"{name}.lora_B.weight": high}, file)
    style = {"kind": "style", "adapter": str(file)}
    with pytest.raises(ModelError):
        mini.generate("a red ball", seed=1, steps=2, frames=1, conditions=[style]).frames()
    assert len(mini.generate("a red ball", seed=1, steps=1, frames=1).frames()) == 1, "the model is as it was"
