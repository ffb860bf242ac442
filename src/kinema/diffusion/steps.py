"""Which steps of a run are computed and which are guided; plain arithmetic, shared by the loop and the estimate."""

from __future__ import annotations

HEAD, TAIL = 0.3, 0.1
"""Fractions of the steps at either end that are always computed: layout is decided first, detail last."""


def is_reused(step: int, num_steps: int, every: int) -> bool:
    """True where step number `step` is forecast from earlier outputs: in mid-run, all but every `every`-th one."""
    first = max(2, round(num_steps * HEAD))
    last = num_steps - max(2, round(num_steps * TAIL))
    return every > 1 and first <= step < last and (step - first) % every != every - 1


def is_guided(step: int, num_steps: int, scale: float, interval: tuple[float, float]) -> bool:
    """True where the step also needs the negative prompt's branch. `interval`: fractions of the steps, half-open."""
    return scale > 1.0 and interval[0] * num_steps <= step < interval[1] * num_steps


def computed_steps(num_steps: int, every: int) -> int:
    """How many steps evaluate the network."""
    return sum(not is_reused(step, num_steps, every) for step in range(num_steps))


def guided_steps(num_steps: int, every: int, scale: float, interval: tuple[float, float]) -> int:
    """How many of the computed steps evaluate it twice."""
    return sum(
        is_guided(step, num_steps, scale, interval) and not is_reused(step, num_steps, every)
        for step in range(num_steps)
    )
