"""Draw the README's picture: sixteen held-out captions with seeds 0 to 15, default settings and no selection.

Run: python recipes/mini_wan_sheet.py docs/pictures/readme.png
"""

from __future__ import annotations

import sys

import kinema
from kinema.evaluation.cases import HELD_OUT
from kinema.media.sheet import sheet_of_clips
from kinema.toyland import describe, sample_scene

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
from mini_wan_editions import SMALL


def main() -> None:
    engine = kinema.load("kinema-mini-wan")
    rows = []
    for seed in range(16):
        caption = describe(sample_scene(HELD_OUT + seed, SMALL.world), 0)
        rows.append((caption, engine.generate(caption, seed=seed, profile="exact").frames()))
    left, right = sheet_of_clips(rows[:8], scale=2), sheet_of_clips(rows[8:], scale=2)
    from PIL import Image

    both = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    both.save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
