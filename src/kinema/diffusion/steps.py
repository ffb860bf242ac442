"""Selection of the computed and guided steps of a run. Plain arithmetic, shared by the loop and the estimate."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

COND, UNCOND = "cond", "uncond"
"""The branches of classifier-free guidance: the prompt's, and the negative prompt's."""
SKIPPED = "cond-skipped"
"""The prompt's branch, computed without some blocks of the network."""
OFF, PUBLISHED, COMFYUI = "off", "on", "comfyui"
"""Whether, and in which form, CFG-Zero* is applied (guidance_variants.py)."""
HEAD, TAIL = 0.3, 0.1
"""Fractions of the steps at either end that are always computed: the first decide the layout, the last the detail."""


def is_reused(step: int, num_steps: int, every: int) -> bool:
    """Whether step number `step` may be forecast from earlier outputs: in mid-run, all except every `every`-th one."""
    first = max(2, round(num_steps * HEAD))
    last = num_steps - max(2, round(num_steps * TAIL))
    return every > 1 and first <= step < last and (step - first) % every != every - 1


def is_guided(step: int, num_steps: int, scale: float, interval: tuple[float, float]) -> bool:
    """Whether the step also needs the negative prompt's branch. `interval`: fractions of the steps, half-open."""
    return scale > 1.0 and interval[0] * num_steps <= step < interval[1] * num_steps


def evaluated(kinds: Sequence[Hashable], every: int, first: int = 0) -> tuple[bool, ...]:
    """For each step, whether it is computed (True) or forecast. `kinds`: the kind of each step (its branches).

    Outputs of different kinds are different functions of the timestep, so a forecast needs two computed outputs of the
    step's own kind. first: the first step of the run.
    """
    computed, known = [], 0
    for step, kind in enumerate(kinds):
        if step <= first or kind != kinds[step - 1]:
            known = 0
        computed.append(known < 2 or not is_reused(step, len(kinds), every))
        known += computed[-1]
    return tuple(computed)


def classifier_free(num_steps: int, scale: float, interval: tuple[float, float]) -> tuple[tuple[str, ...], ...]:
    """The branches of each step under classifier-free guidance."""
    guided = (is_guided(step, num_steps, scale, interval) for step in range(num_steps))
    return tuple((COND, UNCOND) if each else (COND,) for each in guided)


def count(branches: Sequence[tuple[str, ...]], every: int, first: int = 0) -> int:
    """The number of network evaluations: one per branch of each computed step."""
    computed = evaluated(branches, every, first)
    return sum(len(each) for step, each in enumerate(branches) if step >= first and computed[step])


def first_step(num_steps: int, strength: float) -> int:
    """The first step when a noised clip is denoised: of `num_steps`, the last `strength` share is run (Meng et al.
    2021, SDEdit; rounded as in diffusers' pipelines)."""
    return max(num_steps - min(int(num_steps * strength), num_steps), 0)


@dataclass(frozen=True)
class SkipLayers:
    """Skip layer guidance (guidance_variants.py). layers: numbers of the blocks left out. strength: 0 turns it off.
    first, last: the fractions of the training timesteps, from the highest, between which it applies. rescale: how far
    the result is scaled to the standard deviation of the prompt's prediction, 0 to leave it."""

    layers: frozenset[int]
    strength: float
    first: float
    last: float
    rescale: float = 0.0

    def within(self, num_layers: int) -> SkipLayers:
        """Without numbers of blocks that the network does not have."""
        return replace(self, layers=frozenset(layer for layer in self.layers if layer < num_layers))


def layer_numbers(text: str) -> frozenset[int]:
    """The numbers in a text such as "7, 8, 9"."""
    return frozenset(int(number) for number in re.findall(r"\d{1,6}", text))
