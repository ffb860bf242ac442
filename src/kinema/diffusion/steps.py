"""Which steps of a run are computed and which are guided; plain arithmetic, shared by the loop and the estimate."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

COND, UNCOND = "cond", "uncond"
"""The branches of classifier-free guidance: the prompt's, and the negative prompt's."""
HEAD, TAIL = 0.3, 0.1
"""Fractions of the steps at either end that are always computed: layout is decided first, detail last."""


def is_reused(step: int, num_steps: int, every: int) -> bool:
    """True where step number `step` may be forecast from earlier outputs: in mid-run, all but every `every`-th one."""
    first = max(2, round(num_steps * HEAD))
    last = num_steps - max(2, round(num_steps * TAIL))
    return every > 1 and first <= step < last and (step - first) % every != every - 1


def is_guided(step: int, num_steps: int, scale: float, interval: tuple[float, float]) -> bool:
    """True where the step also needs the negative prompt's branch. `interval`: fractions of the steps, half-open."""
    return scale > 1.0 and interval[0] * num_steps <= step < interval[1] * num_steps


def evaluated(ways: Sequence[Hashable], every: int, first: int = 0) -> tuple[bool, ...]:
    """For each step, whether it is computed (True) or forecast. `ways`: how each step would be computed (its branches).

    Outputs of different ways are different functions of the timestep, and a line through one of each points anywhere:
    a forecast needs two computed outputs of its own step's way. first: the step that the run begins at.
    """
    computed, known = [], 0
    for step, way in enumerate(ways):
        if step <= first or way != ways[step - 1]:
            known = 0
        computed.append(known < 2 or not is_reused(step, len(ways), every))
        known += computed[-1]
    return tuple(computed)


def classifier_free(num_steps: int, scale: float, interval: tuple[float, float]) -> tuple[tuple[str, ...], ...]:
    """The branches of each step under classifier-free guidance."""
    guided = (is_guided(step, num_steps, scale, interval) for step in range(num_steps))
    return tuple((COND, UNCOND) if each else (COND,) for each in guided)


def count(branches: Sequence[tuple[str, ...]], every: int, first: int = 0) -> int:
    """Evaluations of the network, each branch of each computed step being one."""
    computed = evaluated(branches, every, first)
    return sum(len(each) for step, each in enumerate(branches) if step >= first and computed[step])


def first_step(num_steps: int, strength: float) -> int:
    """The step to begin at where a clip is taken part of the way back to noise: of `num_steps`, the last `strength`
    share is run (Meng et al. 2021, SDEdit; the count is that of diffusers' pipelines)."""
    return max(num_steps - min(int(num_steps * strength), num_steps), 0)
