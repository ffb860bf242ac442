"""Draw the picture of docs/tora.md: paths of four forms, followed by kinema-mini-tora, seed 0, no selection.

Run: python recipes/mini_tora_sheet.py docs/pictures/mini_tora.png [--model FOLDER]

The path is drawn over the frames: its way in black, its place in each frame in red.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import kinema
from kinema.conditions.trajectory import resample
from kinema.training.core.sheets import sheet, strip

sys.path.insert(0, str(Path(__file__).parent))
from mini_tora_motion import with_path
from mini_tora_networks import FRAMES, SIDE

PICKS = (0, 4, 8, 12, 16)
TURN = np.linspace(0, 2 * np.pi, FRAMES)
PATHS = {
    "a red ball over the grass": np.stack([0.5 + 0.25 * np.cos(TURN), 0.5 + 0.25 * np.sin(TURN)], 1),
    "a blue square in the desert": np.stack([np.linspace(0.2, 0.8, FRAMES), 0.5 + 0.2 * np.sin(TURN)], 1),
    "a yellow star at sea": resample(((0.2, 0.75), (0.5, 0.25), (0.5, 0.25), (0.8, 0.75)), FRAMES),
    "a purple triangle in the snow": resample(((0.8, 0.2), (0.2, 0.8)), FRAMES),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="kinema-mini-tora")
    options = parser.parse_args()
    engine = kinema.load(options.model)
    rows = []
    for prompt, path_F2 in PATHS.items():
        path = kinema.Trajectory(points=[(float(x), float(y)) for x, y in path_F2])
        with_it, without = (
            engine.generate(prompt, conditions=conditions, seed=0, profile="exact").frames()
            for conditions in ((path,), ())
        )
        for title, clip in ((prompt, with_it), (f"{prompt}, without the path", without)):
            rows.append((title, [strip(with_path(clip, path_F2 * SIDE), PICKS)]))
    sheet(rows, options.out, columns=2)


if __name__ == "__main__":
    main()
