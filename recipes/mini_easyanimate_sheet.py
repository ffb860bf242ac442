"""Draw the picture of docs/mini_easyanimate.md: 64 held-out captions, seeds 0 to 63, default settings, no selection.

Run: python recipes/mini_easyanimate_sheet.py docs/pictures/mini_easyanimate.png [--model FOLDER] [--count 64]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import kinema
from kinema.evaluation.cases import HELD_OUT
from kinema.toyland import describe, sample_scene
from kinema.training.core.sheets import sheet, strip

sys.path.insert(0, str(Path(__file__).parent))
from mini_easyanimate_networks import WORLD

PICKS = (0, 4, 8, 12, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="kinema-mini-easyanimate")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--columns", type=int, default=4)
    options = parser.parse_args()
    engine, rows = kinema.load(options.model), []
    for seed in range(options.count):
        caption = describe(sample_scene(HELD_OUT + seed, WORLD), 0)
        clip = engine.generate(caption, seed=seed, profile="exact").frames()
        rows.append((caption, [strip(clip, PICKS, 1)]))
    sheet(rows, options.out, columns=options.columns)


if __name__ == "__main__":
    main()
