"""Inpainting experiments A to G of docs/experiments/inpainting.md, measured against Toyland's ground truth.

A, B, C request a removal (a box around the object, gray inside; with a reference image and a prompt, with a prompt,
without a prompt). D, E, F request the clip unchanged, including a gray box in it: without a mask, with an empty mask,
with a full mask that hides nothing. G shows the object under its own outline and requests a removal.

Legend: F frames, H W pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..conditions.inputs import inline_png
from ..core.events import OnEvent, Progress, ignore
from ..core.leftovers import temporary_folder
from ..core.request import Profile, Request
from ..toyland.caption import describe_place
from .autoencoder import reconstructed
from .cases import Case, ClipShape, cases, one_object, world_from
from .judge import Judge, psnr
from .probes import load_probes
from .tasks import MARGIN_PX, around_object, lossless, outside
from .uncertainty import summary

GRAY = 128
NEAR_DB = 1.0
"""A clip counts as reproduced if its PSNR is at most this much below the VAE's reconstruction."""


@dataclass(frozen=True)
class Experiment:
    """One experiment. ask: returns fields of a Request. removes: True for a removal, False for an unchanged clip."""

    name: str
    title: str
    ask: Callable[[Case, Path], dict[str, Any]]
    removes: bool


def _box(case: Case, folder: Path, prompt: str, *more: dict[str, Any]) -> dict[str, Any]:
    source = {"kind": "source", "video": lossless(case.frames_FHWC, case.shape.fps, folder / "source")}
    mask = {"kind": "mask", **around_object(case)}
    return {"prompt": prompt, "conditions": [source, mask, *more]}


def _with_place(case: Case, folder: Path) -> dict[str, Any]:
    place = {"kind": "reference", "images": [inline_png(case.empty_FHWC[0])]}
    return _box(case, folder, describe_place(case.scene, 0), place)


def hidden(case: Case) -> np.ndarray:
    """Return the clip with a gray box over the object."""
    shown = outside(case.boxes_F4(MARGIN_PX), case)
    return np.where(shown[:, :, :, None], case.frames_FHWC, np.uint8(GRAY))


def _as_it_is(case: Case, folder: Path, *mask: dict[str, Any]) -> dict[str, Any]:
    source = {"kind": "source", "video": lossless(hidden(case), case.shape.fps, folder / "hidden")}
    return {"prompt": case.caption, "conditions": [source, *mask]}


def _outline(case: Case, folder: Path) -> dict[str, Any]:
    source = {"kind": "source", "video": lossless(case.frames_FHWC, case.shape.fps, folder / "source")}
    seen = np.asarray(case.masks_NFHW.any(0))[:, :, :, None].repeat(3, -1).astype(np.uint8) * 255
    mask = {"kind": "mask", "video": lossless(seen, case.shape.fps, folder / "outline"), "fill": "source"}
    return {"prompt": describe_place(case.scene, 0), "conditions": [source, mask]}


EXPERIMENTS = (
    Experiment("A", "box, gray, a picture of the place, words for the place", _with_place, True),
    Experiment("B", "as A, no picture", lambda case, at: _box(case, at, describe_place(case.scene, 0)), True),
    Experiment("C", 'as B, the prompt is " "', lambda case, at: _box(case, at, " "), True),
    Experiment("C2", 'as B, the prompt is ""', lambda case, at: _box(case, at, ""), True),
    Experiment("D", "no mask; a gray box in the source", _as_it_is, False),
    Experiment("E", "a mask of nothing", lambda c, at: _as_it_is(c, at, {"kind": "mask", "nothing": True}), False),
    Experiment(
        "F", "a mask of everything that hides nothing",
        lambda c, at: _as_it_is(c, at, {"kind": "mask", "everything": True, "fill": "source"}), False,
    ),
    Experiment("G", "the object's outline over the untouched source, words for the place", _outline, True),
)  # fmt: skip


def measure(experiment: Experiment, case: Case, frames: np.ndarray, judge: Judge, family: Any) -> dict[str, Any]:
    """Measure a clip: removed, psnr_box (against the place without the object), psnr_rest (against the VAE's
    reconstruction of the rest); or reproduced, psnr, psnr_autoencoder."""
    if experiment.removes:
        boxes = case.boxes_F4(MARGIN_PX)
        rest = outside(boxes, case)
        again = reconstructed(family, case.frames_FHWC)
        return {
            "removed": judge.removed(judge.read(frames), boxes)["removed"],
            "psnr_box": psnr(frames[~rest], case.empty_FHWC[~rest]),
            "psnr_rest": psnr(frames[rest], again[rest]),
        }
    given = hidden(case)
    found, best = psnr(frames, given), psnr(reconstructed(family, given), given)
    return {"reproduced": found >= best - NEAR_DB, "psnr": found, "psnr_autoencoder": best}


def experiments(
    engine: Any, card: dict[str, Any], *, count: int = 24, profile: Profile = "exact", names: tuple[str, ...] = (),
    on_event: OnEvent = ignore, kept: dict[str, list[np.ndarray]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run the experiments on `count` held-out clips of one object with seeds 0, 1, ...; returns {"A": {"title",
    "measures": {name: {"value", "low", "high", "n"}}}, ...}, with percentages for booleans. kept: filled with the clips
    of each experiment."""
    native, world = card["native"], world_from(card)
    shape = ClipShape(native["frames"], native["height"], native["width"], native["fps"])
    asked = list(cases(world, count, shape, one_object))
    judge, chosen = Judge(load_probes(), world), [each for each in EXPERIMENTS if not names or each.name in names]
    started, found = time.perf_counter(), {}
    for number, experiment in enumerate(chosen):
        gathered: dict[str, list[Any]] = {}
        for case in asked:
            with temporary_folder("inpainting") as folder:
                fields = experiment.ask(case, folder)
                request = Request(seed=case.index, profile=profile, fps=shape.fps, **fields)
                frames = engine.generate(request).frames()
            if kept is not None:
                kept.setdefault(experiment.name, []).append(frames)
            for name, value in measure(experiment, case, frames, judge, engine.family).items():
                gathered.setdefault(name, []).append(value)
            done = number * count + case.index + 1
            on_event(Progress("judge", done, count * len(chosen), time.perf_counter() - started))
        measures = {name: summary(values) for name, values in gathered.items()}
        found[experiment.name] = {"title": experiment.title, "measures": measures}
    return found


def table(found: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| | input | removed | box against the empty place | rest against the autoencoder | reproduced | "
        "clip against itself (autoencoder) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        values = {key: value["value"] for key, value in row["measures"].items()}
        cells = [
            f"{values['removed']:.0f} %" if "removed" in values else "",
            f"{values['psnr_box']:.1f} dB" if "psnr_box" in values else "",
            f"{values['psnr_rest']:.1f} dB" if "psnr_rest" in values else "",
            f"{values['reproduced']:.0f} %" if "reproduced" in values else "",
            f"{values['psnr']:.1f} dB ({values['psnr_autoencoder']:.1f})" if "psnr" in values else "",
        ]
        lines.append(f"| {name} | {row['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_sheets(clips: dict[str, list[np.ndarray]], folder: Path, first: int = 8) -> None:
    """Write FOLDER/NAME.png for each experiment: its first clips, six frames each."""
    from ..media.sheet import sheet_of_clips

    for name, made in clips.items():
        rows = [(f"{name} {number}", clip) for number, clip in enumerate(made[:first])]
        sheet_of_clips(rows, frames_per_row=6, scale=2).save(folder / f"{name}.png")
