"""The settings of a recipe, and its stages."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core import numerals
from ...core.events import OnEvent, ignore
from .budget import NOTHING, Budget, FixedCost

OPTIMIZERS = ("adamw", "adamw8bit")
SEVERAL = "shard=on requires several processes; start them with --processes N, torchrun or accelerate."


@dataclass(frozen=True)
class Settings:
    """Settings of a training. minutes: for the whole command, loading, evaluation and writing included. device: cpu,
    cuda or cuda:N. processes: the number requested. resume: continue the run in `out`; replace: overwrite it. recipe:
    its name, or "". options: the recipe's own settings by name.

    show: callback for results, in the first process. on_event: callback for progress (core/events.py). progress: show a
    progress bar; None: on a terminal and in a notebook. budget: of the command, for the loops of its stages."""

    out: Path
    device: str = "cpu"
    minutes: float = 25.0
    resume: bool = False
    replace: bool = False
    recipe: str = ""
    device_name: str = ""
    options: dict[str, str] = field(default_factory=dict)
    show: Callable[[dict[str, Any]], None] = lambda event: None
    on_event: OnEvent = ignore
    progress: bool | None = None
    processes: int = 1
    budget: Budget = field(default_factory=Budget, compare=False, repr=False)


@dataclass(frozen=True)
class Stage:
    """A stage of a recipe. share: of the time left for training, relative to the other stages; 0 if its duration is
    fixed.

    work: called with its minutes in every process (see `processes`); returns results for the record. may_change:
    options that may change on resume ("minutes": may grow); if one changed, this stage and all later ones run again
    from their checkpoints. fixed_cost: an estimate (budget.py), used until this machine has measured it.
    """

    name: str
    share: float
    work: Callable[[float], dict[str, Any] | None]
    may_change: tuple[str, ...] = ()
    fixed_cost: FixedCost = NOTHING


NumberRule = tuple[type, float, float, float]
"""The rule of a number among a recipe's options: int or float, default, least and greatest value."""


def number(name: str, given: str | None, rule: NumberRule) -> float:
    """Parse the option `name`; its default if None is given. Raises ValueError for illegal values."""
    kind, default, least, most = rule
    if given is None:
        return default
    try:
        value = numerals.integer(given) if kind is int else numerals.decimal(given)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {given!r}.") from None
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}, got {given}.")
    return value


def why_no_optimizer(kind: str) -> str | None:
    """Why an optimizer is not available, or None."""
    if kind not in OPTIMIZERS:
        return f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {kind!r}."
    if kind == "adamw8bit" and importlib.util.find_spec("bitsandbytes") is None:
        return "adamw8bit requires bitsandbytes, which is not installed: pip install bitsandbytes."
    return None
