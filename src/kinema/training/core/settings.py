"""What a recipe is asked for, and the pieces that it is made of."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.events import OnEvent, ignore
from .budget import NOTHING, Budget, Takes

OPTIMIZERS = ("adamw", "adamw8bit")
SEVERAL = "shard=on spreads weights over several processes; start them with --processes N, torchrun or accelerate."
"""Why nothing is sharded in one process."""


@dataclass(frozen=True)
class Settings:
    """What a person asks of a recipe. minutes: for all of the command, loading, evaluating and writing included.
    device: cpu, cuda, cuda:N. processes: how many were asked for. resume: go on with the run in `out`; replace: begin
    anew over it. recipe: its name, "" where nobody knows. options: the recipe's own settings by name.

    show: called with what was found, in the first process. on_event: called with how far it is (core/events.py).
    progress: is that shown? None: on a terminal and in a notebook. budget: of the command, for the stages' loops; one
    that was made when the command began counts from there."""

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
    """A piece of a recipe. share: of the time that is left to learn in, relative to the other stages; 0 for what takes
    as long as it takes.

    work: called with its minutes in every process (see `processes`); returns numbers to remember. follows: options that
    may change when a run goes on ("minutes": more of them); where one did, this stage and the later ones are gone on
    with although they were done. takes: what it needs however little it learns (budget.py), until runs on this machine
    have shown it.
    """

    name: str
    share: float
    work: Callable[[float], dict[str, Any] | None]
    follows: tuple[str, ...] = ()
    takes: Takes = NOTHING


def why_no_optimizer(kind: str) -> str | None:
    """Why an optimiser cannot be had here, or None."""
    if kind not in OPTIMIZERS:
        return f"optimizer is one of {', '.join(OPTIMIZERS)}, not {kind!r}."
    if kind == "adamw8bit" and importlib.util.find_spec("bitsandbytes") is None:
        return "adamw8bit needs bitsandbytes, which is not installed: pip install bitsandbytes."
    return None
