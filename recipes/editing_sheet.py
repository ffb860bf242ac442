"""Draw the picture of docs/editing.md: one held-out Toyland clip, edited with each verb, seed 0, no selection.

Run: python recipes/editing_sheet.py docs/pictures/editing.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import kinema
from kinema.core.chunk import Chunk
from kinema.evaluation.cases import ClipShape, cases, one_object_still_camera
from kinema.media.sheet import sheet_of_clips
from kinema.media.write import write
from kinema.toyland.caption import describe_place

sys.path.insert(0, __file__.rpartition("/")[0] or ".")
from mini_wan_editions import SMALL

SHAPE = ClipShape(frames=25, height=96, width=128, fps=8.0)
NUMBER = 0


def main() -> None:
    engine = kinema.load("kinema-mini-wan")
    case = list(cases(SMALL.world, NUMBER + 1, SHAPE, one_object_still_camera))[NUMBER]
    place, rows = describe_place(case.scene, 0), [(f'the clip, 128x96: "{case.caption}"', case.frames_FHWC)]
    box = tuple(tuple(float(each) for each in one) for one in case.boxes_F4(4))
    with tempfile.TemporaryDirectory() as folder:
        video = str(write([Chunk(case.frames_FHWC, 0, SHAPE.fps)], f"{Path(folder)}/clip/"))
        mask, source = kinema.Mask(track=box), kinema.Source(video=video)
        wide = kinema.Source(video=video, grow=(0.25, 0.0, 0.25, 0.0))
        for title, prompt, conditions, fields in (
            (f'removed; prompt "{place}"', place, (source, mask), {"fill": "auto"}),
            (f'replaced; prompt "a red car {place}"', f"a red car {place}", (source, mask), {}),
            ("a quarter wider on both sides", case.caption, (wide,), {}),
            ("one second longer", case.caption, (kinema.Continue(clip=video, frames=5),), {"seconds": 1.0}),
        ):
            clip = engine.generate(prompt, canvas="source", conditions=conditions, seed=0, profile="exact", **fields)
            rows.append((title, clip.frames()))
    sheet_of_clips(rows, scale=1.5).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
