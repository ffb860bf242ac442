"""Train a LoRA from a folder of clips: a camera move for AnimateDiff (a MotionLoRA, arXiv 2307.04725, section 3.3), or
a motion, style or subject for AnimateDiff, Zeroscope, Stable Video Diffusion or Wan.

    kinema train lora --data clips/ --set model=kinema-mini-animatediff --set steps=400 --minutes 10 --out runs/pan
    kinema generate "a red ball in a meadow" --model kinema-mini-animatediff --style runs/pan/lora.safetensors:1

Settings (`--set NAME=VALUE`), with defaults: model; base (the image model); rank (8); alpha (the rank); steps (at most,
500); batch (2); accumulate (1: batches per step); lr (1e-4, for miniatures 0.004); where (part of the names of trained
layers; by default the temporal layers of a UNet and all attention layers of Wan; "all": every attention layer); still
(loss weight of the part of the error that is the same when time runs backwards: 0.1 if temporal layers are trained,
else 1); crops (crops of each clip: 4 for fewer than 100 clips, else 1); frames; fps; area (px); drop (share of captions
dropped: 0.5 if temporal layers are trained, else 0.1); trigger (a word before every caption); dialect (diffusers, peft,
kohya, comfyui, or several joined with +); checkpointing (off or on: less memory, a third more time); optimizer (adamw,
or adamw8bit with bitsandbytes); shard (off or on: spread frozen weights over the processes, for models that do not fit
on one GPU; without samples); seed (0: initial weights, noise and order of clips; the same seed and settings give the
same file on one CPU if the run ends by steps, not by time); samples (2: clips of the first captions, on a sheet); every
(minutes between samples; 0: only at the end).

Stages: data (checks the clips), cache (latents, with checksums), train, export (lora.safetensors with rank, alpha, base
and trigger in its metadata).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..core.budget import NOTHING, FixedCost
from ..core.settings import Settings, Stage
from ._lora_options import MODEL, LoraOptions

if TYPE_CHECKING:
    from ._lora_work import Lora

JUDGE_S = {True: 10.0, False: 60.0}
"""Estimated seconds of the last evaluation of a miniature on one core, for a short run and for others."""


def stages(settings: Settings) -> list[Stage]:
    options = LoraOptions(settings)
    later = LazyLora(options)
    small = settings.device == "cpu" and settings.options.get("model", MODEL).startswith("kinema-mini")
    judge = FixedCost(0.2, JUDGE_S[options.short]) if small else NOTHING
    return [
        Stage("data", 0.0, options.find_clips), Stage("cache", 0.2, lambda minutes: later.work.cache(minutes)),
        Stage("train", 0.8, lambda minutes: later.work.train(minutes), fixed_cost=judge,
              may_change=("minutes", "steps", "samples", "every", "checkpointing")),
        Stage("export", 0.0, lambda minutes: later.work.export(minutes), may_change=("dialect",)),
    ]  # fmt: skip


class LazyLora:
    """Imports the work of the stages, and with it the libraries, on first use."""

    def __init__(self, options: LoraOptions) -> None:
        self.options = options

    @cached_property
    def work(self) -> Lora:
        from ._lora_work import Lora

        return Lora(self.options)
