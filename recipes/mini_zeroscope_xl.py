"""Train kinema-mini-zeroscope-xl, the upscale pass of kinema-mini-zeroscope: continue training at 96x96 pixels and the
noise levels of an upscale pass, as Zeroscope XL continued from 576. Trained are the temporal layers and the image
model's finest level, which draws detail; the rest is frozen.

    kinema train recipes/mini_zeroscope_xl.py --minutes 40 --out runs/mini_zeroscope_xl
    kinema train recipes/mini_zeroscope_xl.py --set start=runs/mini_zeroscope/export --minutes 40 --out runs/xl

Stages: clips, cache, temporal, export. `--set start=DIR`: initial temporal layers (default: the shipped ones).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from kinema.sd import temporal_layers
from kinema.sd.inflate import is_temporal
from kinema.training.core import processes
from kinema.training.core.stages import Settings, Stage

sys.path.insert(0, str(Path(__file__).parent))
from mini_zeroscope import Zeroscope
from toyland_sd import FRAMES

SIDE, WINDOW, MOST = 96, FRAMES // 2, 0.9
"""MOST: upper bound of the noise levels; an upscale pass with strength 0.85 starts below it."""
FINEST = ("conv_in.", "down_blocks.0.", "up_blocks.2.", "conv_norm_out.", "conv_out.")
START = Path(__file__).parent.parent / "src" / "kinema" / "miniatures" / "mini_zeroscope"


def is_trained(name: str) -> bool:
    return is_temporal(name) or name.startswith(FINEST)


def stages(settings: Settings) -> list[Stage]:
    work = ZeroscopeXl(settings)
    return [
        Stage("clips", 0.02, work.clips), Stage("cache", 0.2, work.cache), Stage("temporal", 0.78, work.temporal),
        Stage("export", 0.0, work.export),
    ]  # fmt: skip


class ZeroscopeXl(Zeroscope):
    name, side, own_side = "kinema-mini-zeroscope-xl", SIDE, SIDE
    options = ("layers", "start")

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.start = Path(settings.options.get("start", START))
        if not (self.start / "config.json").is_file():
            raise ValueError(f"start must be a folder of temporal layers; {self.start} has no config.json.")

    def clips(self, minutes: float) -> dict[str, Any]:
        return self.render_all(full=1024, big=8192, rehearsal=16)

    def parts(self) -> dict[str, Any]:
        return {"unet": temporal_layers.read(self.start, self.unet()), **self.text()}

    def task_settings(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Train on windows of consecutive frames, since the temporal layers have no positional encoding."""
        batch = 48 if self.big else 4 // processes.count()
        return {"batch": batch, "trained": is_trained, "window": WINDOW, "most": MOST, "late": 0.0}
