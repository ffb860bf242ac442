"""kinema-mini-zeroscope-xl: the second pass of kinema-mini-zeroscope. It learns on at 96x96 pixels, at the noise levels
that a second pass sees, as Zeroscope's XL went on from its 576: the temporal layers, and of the image model the finest
level, where detail is drawn. The rest stays.

    kinema train recipes/mini_zeroscope_xl.py --minutes 40 --out runs/mini_zeroscope_xl
    kinema train recipes/mini_zeroscope_xl.py --set start=runs/mini_zeroscope/export --minutes 40 --out runs/xl

Stages: clips, cache, temporal, export. `--set start=DIR`: temporal layers to begin with, those that ship without it.
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
"""MOST: a second pass at a strength of 0.85 begins below it."""
FINEST = ("conv_in.", "down_blocks.0.", "up_blocks.2.", "conv_norm_out.", "conv_out.")
START = Path(__file__).parent.parent / "src" / "kinema" / "miniatures" / "mini_zeroscope"


def is_learnt(name: str) -> bool:
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
            raise ValueError(f"start is a folder of temporal layers; {self.start} has no config.json.")

    def clips(self, minutes: float) -> dict[str, Any]:
        return self.render_all(full=1024, big=8192, rehearsal=16)

    def parts(self) -> dict[str, Any]:
        return {"unet": temporal_layers.read(self.start, self.unet()), **self.text()}

    def lesson(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Frames in a row are enough: temporal convolutions and attention know no places."""
        batch = 48 if self.big else 4 // processes.count()
        return {"batch": batch, "trained": is_learnt, "window": WINDOW, "most": MOST, "late": 0.0}
