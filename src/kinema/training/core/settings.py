"""What a recipe is asked for, and the pieces that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What a person asks of a recipe. minutes: for all stages together. device: cpu, cuda, cuda:N. resume: go on with
    the run in `out`; replace: begin anew over it. recipe: its name, "" where nobody knows. options: the recipe's own
    settings by name. show: called with what happens, in the first process."""

    out: Path
    device: str = "cpu"
    minutes: float = 25.0
    resume: bool = False
    replace: bool = False
    recipe: str = ""
    device_name: str = ""
    options: dict[str, str] = field(default_factory=dict)
    show: Callable[[dict[str, Any]], None] = lambda event: None


@dataclass(frozen=True)
class Stage:
    """A piece of a recipe. share: of the budget, relative to the other stages; 0 for what takes as long as it takes.

    work: called with its minutes in every process (see `processes`); returns numbers to remember. follows: options that
    may change when a run goes on ("minutes": more of them); where one did, this stage and the later ones are gone on
    with although they were done.
    """

    name: str
    share: float
    work: Callable[[float], dict[str, Any] | None]
    follows: tuple[str, ...] = ()
