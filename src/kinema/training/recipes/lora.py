"""An adapter of low rank from a folder of clips: a camera move for AnimateDiff (a MotionLoRA, arXiv 2307.04725, section
3.3), a motion, a look or a subject for AnimateDiff, models of Zeroscope's kind, Stable Video Diffusion, or Wan.

    kinema train lora --data clips/ --set model=kinema-mini-animatediff --set steps=400 --minutes 10 --out runs/pan
    kinema generate "a red ball in a meadow" --model kinema-mini-animatediff --style runs/pan/lora.safetensors:1

Settings (`--set NAME=VALUE`): model, base (the image model), rank (8), alpha (the rank), steps (at most, 500), batch
(2), accumulate (1: batches a step), lr (1e-4, for miniatures 0.004), where (a part of layers' names: what moves in a
UNet, all attention of Wan; "all": every attention layer), still (0.1 where what moves learns, else 1: weight of what
does not tell forwards from backwards), crops (4 for fewer than 100 clips, else 1: cuts of each clip), frames, fps, area
(px), drop (share of captions left out: 0.5 where what moves learns, else 0.1), trigger (a word put before every
caption), dialect (diffusers, peft, kohya, comfyui, or several with +), checkpointing (off or on: less memory, a third
more time), optimizer (adamw, or adamw8bit with bitsandbytes), shard (off or on: the frozen weights spread over the
processes, for models that one GPU cannot hold; no samples then), seed (0: of the adapter's start, the noise and
the order of clips; the same seed and settings give the same file on one machine's CPU, where the steps end the run and
not the clock), samples (2: clips of the first captions, on a sheet) and every (so many minutes; 0: only at the end).

Stages: data (what is used and what is not), cache (latents, checked by hash), train, export (lora.safetensors; rank,
alpha, base and trigger in its metadata).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..core.budget import NOTHING, FixedCost
from ..core.settings import Settings, Stage
from ._lora_wanted import MODEL, Wanted

if TYPE_CHECKING:
    from ._lora_work import Lora

JUDGE_S = {True: 10.0, False: 60.0}
"""The last evaluation of a miniature on one core: of a short run as measured, of others by the clips that it makes."""


def stages(settings: Settings) -> list[Stage]:
    wanted = Wanted(settings)
    later = Later(wanted)
    small = settings.device == "cpu" and settings.options.get("model", MODEL).startswith("kinema-mini")
    judge = FixedCost(0.2, JUDGE_S[wanted.short]) if small else NOTHING
    return [
        Stage("data", 0.0, wanted.look), Stage("cache", 0.2, lambda minutes: later.work.cache(minutes)),
        Stage("train", 0.8, lambda minutes: later.work.train(minutes), fixed_cost=judge,
              may_change=("minutes", "steps", "samples", "every", "checkpointing")),
        Stage("export", 0.0, lambda minutes: later.work.export(minutes), may_change=("dialect",)),
    ]  # fmt: skip


class Later:
    """The stages' work, which loads the libraries: only once something is to be learnt."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted

    @cached_property
    def work(self) -> Lora:
        from ._lora_work import Lora

        return Lora(self.wanted)
