"""An object that leaves the frame: found again where it comes back, and told, with a code of its own, where it does
not. Toyland gives the exact truth: the picture is wider than the frame, which moves over it."""

from __future__ import annotations

import numpy as np
import pytest
from cli_tools import answer, run

import kinema
from kinema.core.chunk import Chunk
from kinema.media.read import read_video
from kinema.media.write import write
from kinema.segmentation.cut_out import BACKGROUND
from kinema.toyland.render import render
from kinema.toyland.scene import Actor, Scene

SIDE, WIDE = 96, 288


def moving(offsets: list[int], change: str = "same") -> np.ndarray:
    """Writes clip.mp4, a frame for each offset of the frame's left edge; the exact masks, (F, H, W)."""
    ball = Actor("ball", "red", motion="right", x=0.17, y=0.55, reach=0.03, radius=0.14, change=change)
    drawn = render([Scene((ball,), background="meadow")], num_frames=len(offsets), height=SIDE, width=WIDE, fps=8)
    frames, masks = drawn.frames_BFHWC[0].numpy(), drawn.masks_BNFHW[0, 0].numpy() > 0.5
    cut = [slice(each, each + SIDE) for each in offsets]
    shown_FHWC = np.stack([frame[:, part] for frame, part in zip(frames, cut, strict=True)])
    write([Chunk(np.ascontiguousarray(shown_FHWC), 0, 8.0)], "clip.mp4", quality="best")
    return np.stack([mask[:, part] for mask, part in zip(masks, cut, strict=True)])


AWAY = [*range(0, 150, 10), *[150] * 6]
BACK = [*AWAY, *range(140, -1, -10), *[0] * 4]


@pytest.mark.parametrize("by", ["--box", "--click"])
def test_found_again_where_it_comes_back(by: str) -> None:
    truth_FHW = moving(BACK)
    rows, columns = np.nonzero(truth_FHW[0])
    box = f"{columns.min()},{rows.min()},{np.ptp(columns) + 1},{np.ptp(rows) + 1}"
    where = box if by == "--box" else f"{int(columns.mean())},{int(rows.mean())}"
    found = run("mask", "clip.mp4", by, where, "-o", "mask.mp4", "--json", "--tracker", "opencv")
    assert found.exit_code == 0, found.output
    told = answer(found)
    masks_FHW = read_video("mask.mp4")[0][..., 0] > 127
    area = truth_FHW.sum((1, 2))
    gone = area == 0
    assert gone.sum() > 5 and not masks_FHW[gone].any(), "nothing is seen where nothing is"
    ends = masks_FHW[-4:] & truth_FHW[-4:]
    assert (ends.sum((1, 2)) > 0.7 * (masks_FHW[-4:] | truth_FHW[-4:]).sum((1, 2))).all(), "found again, and whole"
    runs = told["lost"]
    assert told["found_again"] and len(runs) >= 1
    assert abs(runs[0][0] - int(np.argmax(gone))) <= 3
    spoken = run("mask", "clip.mp4", by, where, "-o", "mask.mp4", "--tracker", "opencv")
    assert spoken.exit_code == 0 and "found again on frame" in spoken.stderr


def test_found_again_as_it_looked_last() -> None:
    """It grows while it is in sight: what comes back is far from what left the first frame."""
    waits = [0] * 24
    truth_FHW = moving([*waits, *BACK], "grow")
    rows, columns = np.nonzero(truth_FHW[0])
    click = f"{int(columns.mean())},{int(rows.mean())}"
    found = run("mask", "clip.mp4", "--click", click, "-o", "mask.mp4", "--json", "--tracker", "opencv")
    assert found.exit_code == 0 and answer(found)["found_again"], found.output
    masks_FHW = read_video("mask.mp4")[0][..., 0] > 127
    assert (masks_FHW[-3:] & truth_FHW[-3:]).sum() > 0.6 * (masks_FHW[-3:] | truth_FHW[-3:]).sum()


def test_told_with_a_code_where_it_never_comes_back() -> None:
    truth_FHW = moving([*AWAY, *[150] * 8])
    rows, columns = np.nonzero(truth_FHW[0])
    click = ("--click", f"{int(columns.mean())},{int(rows.mean())}", "--tracker", "opencv", "-o", "mask.mp4")
    found = run("mask", "clip.mp4", *click)
    assert found.exit_code == 3, found.output
    first = int(np.argmax(truth_FHW.sum((1, 2)) == 0))
    assert "not found again" in found.stderr and f"to {len(truth_FHW) - 1}" in found.stderr
    told = answer(run("mask", "clip.mp4", *click, "--json", "--anyway"))
    assert (
        not told["found_again"] and abs(told["lost"][-1][0] - first) <= 3 and told["lost"][-1][1] == len(truth_FHW) - 1
    )
    assert run("mask", "clip.mp4", *click, "--anyway").exit_code == 0
    assert read_video("mask.mp4")[0].shape[0] == len(truth_FHW)


def test_a_click_on_the_background_is_told_before_an_edit_and_with_a_mask() -> None:
    moving([0] * 6)
    nothing = ("--click", "6,90", "--tracker", "opencv")
    spoken = run("mask", "clip.mp4", *nothing, "-o", "mask.mp4", "--anyway")
    assert BACKGROUND in " ".join(spoken.stderr.split()), spoken.output
    told = answer(run("mask", "clip.mp4", *nothing, "-o", "mask.mp4", "--anyway", "--json"))
    assert told["doubt"] == BACKGROUND
    request = kinema.Request(
        canvas="source",
        conditions=(kinema.Source(video="clip.mp4"), kinema.Mask(click=(6 / SIDE, 90 / SIDE), tracker="opencv")),
    )
    assert BACKGROUND in kinema.plan(request).notes
    truth_FHW = moving([0] * 6)
    rows, columns = np.nonzero(truth_FHW[0])
    on_it = kinema.Mask(click=(columns.mean() / SIDE, rows.mean() / SIDE), tracker="opencv")
    sure = request.changed(conditions=(request.conditions[0], on_it))
    assert not any("background" in text for text in kinema.plan(sure).notes)
