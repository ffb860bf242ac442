"""The options of LoRA training (lora.py), checked before any library is loaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ...core.errors import RequestError
from ...core.extras import install_command
from ...sd import bases
from ...weights.adapter_writer import DIALECTS
from .. import families
from ..core import processes
from ..core.settings import SEVERAL, NumberRule, Settings, number, why_no_optimizer
from ..data import own_clips

NUMBERS: dict[str, NumberRule] = {
    "rank": (int, 8, 1, 256), "alpha": (int, 0, 0, 1024), "steps": (int, 500, 1, 1_000_000), "batch": (int, 2, 1, 1024),
    "accumulate": (int, 1, 1, 1024), "samples": (int, 2, 0, 64), "every": (float, 0.0, 0.0, 1e6),
    "lr": (float, 0.0, 1e-7, 1.0), "frames": (int, 0, 0, 256), "fps": (float, 0.0, 0.0, 240.0),
    "area": (int, 0, 0, 4096 * 4096), "drop": (float, -1.0, 0.0, 1.0),
    "crops": (int, 0, 0, 64), "still": (float, 0.0, 0.001, 1.0), "seed": (int, 0, 0, 2**31 - 1),
}  # fmt: skip
"""(type, default, minimum, maximum). A default of 0 or less depends on the model."""
LR, SMALL_LR, SMALL = 1e-4, 0.004, 50_000_000
"""Learning rates for networks of published size (from the papers) and for networks of fewer than SMALL parameters
(measured on the miniatures)."""
DROP, MOTION_DROP = 0.1, 0.5
"""Share of captions that are dropped; for motion half, so that it generalizes over captions."""
WORDS = ("data", "model", "base", "where", "trigger", "dialect", "checkpointing", "optimizer", "shard")
SAMPLE_STEPS = 12
MODEL = "kinema-mini-animatediff"
SHORT_MINUTES, FEW_HELD_OUT = 5.0, 4
"""Shorter runs on a CPU are evaluated on so many held-out windows, with one sample of half the steps."""
FEW, CROPS = 100, 4
"""Fewer than FEW clips are cropped CROPS times each, to avoid overfitting to positions."""


class LoraOptions:
    """The options of a training. Raises ValueError for illegal ones, before any library is loaded. found: the clips,
    after `find_clips`."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.out = settings, settings.out
        options = settings.options
        if unknown := [name for name in options if name not in (*NUMBERS, *WORDS)]:
            raise ValueError(f"No such setting: {unknown[0]}. Legal: {', '.join((*WORDS, *NUMBERS))}.")
        if "data" not in options:
            raise ValueError("Requires a folder of clips: --data FOLDER.")
        self.number = {name: number(name, options.get(name), rule) for name, rule in NUMBERS.items()}
        self.dialects = options.get("dialect", "diffusers").split("+")
        self.checkpointing, self.sharded = _switch(options, "checkpointing"), _switch(options, "shard")
        if self.sharded and max(processes.count(), settings.processes) < 2:
            raise ValueError(SEVERAL)
        self.optimizer = options.get("optimizer", "adamw")
        if why := why_no_optimizer(self.optimizer):
            raise ValueError(why)
        if wrong := [name for name in self.dialects if name not in DIALECTS]:
            raise ValueError(f"No such dialect: {wrong[0]}. Legal: {', '.join(DIALECTS)}, or several joined with +.")
        if importlib.util.find_spec("peft") is None:
            raise ValueError(f"LoRA training requires PEFT, which is not installed: {install_command('lora')}")
        self.card = self._card(options.get("model", MODEL))
        self.base = options.get("base") or (
            str(self.card.options["base"].default) if "base" in self.card.options else ""
        )
        if self.base:
            self.card = bases.with_base(self.base, self.card)
        self.frames = int(self.number["frames"] or self.card.frames.trained)
        self.fps = self.number["fps"] or self.card.defaults.fps
        if why := families.why_not(self.card, self.frames, self.checkpointing):
            raise ValueError(why)
        if not Path(options["data"]).is_dir():
            raise ValueError(f"No such folder: {options['data']}.")
        self.found: own_clips.FoundClips | None = None

    @property
    def short(self) -> bool:
        """Is this a short run on a CPU, with a reduced evaluation?"""
        return self.settings.device == "cpu" and self.settings.minutes < SHORT_MINUTES

    def _card(self, name: str) -> Any:
        from ...weights import store

        try:
            return store.find(name)
        except RequestError as error:
            raise ValueError(str(error)) from None

    def find_clips(self, minutes: float) -> dict[str, Any]:
        """Find the clips of the folder; writes OUT/data.txt."""
        folder = Path(self.settings.options["data"])
        self.found = own_clips.find(folder, self.out / "unpacked", frames=self.frames, fps=self.fps)
        return self.found.report(folder, self.out, self.settings.show)

    def items(self) -> list[own_clips.Item]:
        if self.found is None:
            self.find_clips(0)
        assert self.found is not None
        return self.found.items

    def caption_of(self, number: int, wording: int, place: bool) -> str:
        """The caption of an item, after the trigger word."""
        trigger = self.settings.options.get("trigger", "")
        return ", ".join(part for part in (trigger, self.items()[number].caption) if part)

    @property
    def alpha(self) -> int:
        return int(self.number["alpha"] or self.number["rank"])

    @property
    def seed(self) -> int:
        return int(self.number["seed"])

    @property
    def still(self) -> float:
        kind = families.LEARNERS[self.card.family]
        own = kind.still if self.settings.options.get("where", kind.where) == kind.where else 1.0
        return self.number["still"] or own

    @property
    def drop(self) -> float:
        given = self.number["drop"]
        return given if given >= 0 else MOTION_DROP if self.still < 1 else DROP


def _switch(options: dict[str, str], name: str) -> bool:
    given = options.get(name, "off")
    if given not in ("on", "off"):
        raise ValueError(f"{name} must be on or off, got {given!r}.")
    return given == "on"
