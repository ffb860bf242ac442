"""The tasks of the scorecard: request, scenes and measures of each.

Legend: F frames, H W pixels. A task's `ask` returns fields of a Request; `judge` scores the generated clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..conditions.inputs import inline_png
from ..core.card import Card
from ..core.chunk import Chunk
from ..toyland.palette import OBJECT_COLORS
from ..toyland.scene import Scene, World
from .cases import Case, object_picture, one_object, one_object_still_camera, two_objects
from .judge import Judge, Measures, psnr

KEPT = 5  # context frames of an extension
MARGIN_PX = 3  # around an inpainted object
WINDOW = (0.2, 0.2, 0.8, 0.8)  # the part that outpainting keeps


@dataclass(frozen=True)
class ScorecardTask:
    """needs: features that the model's card must accept (see core.conditions.feature). option: an option that it must
    have. scenes: filter of scenes. objects: 2 if the world must have scenes of two objects. truth: the ideal result,
    which is scored too; None if its score is trivial."""

    name: str
    title: str
    ask: Callable[[Case, Path], dict[str, Any]]
    judge: Callable[[Judge, Case, np.ndarray], Measures]
    needs: tuple[str, ...] = ()
    option: str = ""
    scenes: Callable[[Scene], bool] = one_object
    objects: int = 1
    truth: Callable[[Case], np.ndarray] | None = lambda case: case.frames_FHWC

    def why_not(self, card: Card, world: World) -> str:
        """Why the model does not support this task, or ""."""
        missing = [name for name in self.needs if name not in card.accepts]
        if missing:
            return f"{card.id} does not accept {', '.join(missing)}"
        if self.option and self.option not in card.options:
            return f"{card.id} has no option {self.option}"
        beyond = [name for name in card.needs if name not in self.needs]
        if beyond:
            return f"{card.id} requires {', '.join(beyond)}"
        return "its world has no scenes of two objects" if self.objects == 2 and world.two_actors == 0 else ""


def lossless(frames_FHWC: np.ndarray, fps: float, folder: Path) -> str:
    """Write frames losslessly, as a folder of images; returns its path."""
    from ..media.write import write

    return str(write([Chunk(frames_FHWC, 0, fps)], f"{folder}/"))


def _image(case: Case, *places: str) -> dict[str, Any]:
    at = {"first": 0, "last": -1}
    conditions = [{"kind": "image", "image": inline_png(case.frames_FHWC[at[place]]), "at": place} for place in places]
    return {"prompt": case.caption, "conditions": conditions}


def _edit(case: Case, folder: Path, mask: dict[str, Any] | None, prompt: str | None = None) -> dict[str, Any]:
    source = {"kind": "source", "video": lossless(case.frames_FHWC, case.shape.fps, folder / "source")}
    conditions = [source] + ([{"kind": "mask", **mask}] if mask else [])
    return {"prompt": case.caption if prompt is None else prompt, "conditions": conditions}


def around_object(case: Case) -> dict[str, Any]:
    return {"track": [[round(float(each), 4) for each in box] for box in case.boxes_F4(MARGIN_PX)]}


def outside(boxes_F4: np.ndarray, case: Case) -> np.ndarray:
    """Mask (F, H, W) bool of the pixels outside the boxes, as the request's mask is rasterized."""
    from ..conditions.mask import draw
    from ..core.conditions import Mask

    boxes = tuple(tuple(round(float(each), 4) for each in box) for box in boxes_F4)
    shape = (case.shape.frames, case.shape.height, case.shape.width)
    return draw(Mask(track=boxes), *shape)[0, 0].numpy() < 0.5  # type: ignore[arg-type]


def _ask_before(case: Case, folder: Path) -> dict[str, Any]:
    wanted = np.zeros(case.frames_FHWC.shape, np.uint8)
    wanted[:-KEPT] = 255
    return _edit(case, folder, {"video": lossless(wanted, case.shape.fps, folder / "mask")})


def _ask_after(case: Case, folder: Path) -> dict[str, Any]:
    kept = lossless(case.frames_FHWC[:KEPT], case.shape.fps, folder / "begun")
    return {"prompt": case.caption, "conditions": [{"kind": "continue", "clip": kept, "frames": KEPT}]}


def _ask_removal(case: Case, folder: Path) -> dict[str, Any]:
    from ..toyland.caption import describe_place

    return _edit(case, folder, around_object(case), prompt=describe_place(case.scene, 0))


def _ask_outpaint(case: Case, folder: Path) -> dict[str, Any]:
    wanted = np.where(_window(case)[..., None], np.uint8(0), np.uint8(255)).repeat(3, -1)
    return _edit(case, folder, {"image": inline_png(wanted)})


def _window(case: Case) -> np.ndarray:
    """Mask (H, W) bool of the part that outpainting keeps."""
    height, width = case.shape.height, case.shape.width
    inside = np.zeros((height, width), bool)
    left, top, right, bottom = WINDOW
    inside[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
    return inside


def _ask_reference(case: Case, folder: Path) -> dict[str, Any]:
    pictures = [object_picture(case, slot) for slot in range(len(case.scene.actors))]
    shown = [inline_png(picture) for picture in pictures if picture is not None]
    return {"prompt": case.caption, "conditions": [{"kind": "reference", "images": shown}] if shown else []}


def _ask_path(case: Case, folder: Path) -> dict[str, Any]:
    actor = case.scene.actors[0]
    points = [[round(float(each), 4) for each in point] for point in case.path_F2().clip(0, 1)]
    drawn = {"kind": "trajectory", "points": points, "object": f"{actor.color} {actor.kind}"}
    return {"prompt": case.caption, "conditions": [drawn | {"color": list(OBJECT_COLORS[actor.color])}]}


def _ask_layout(case: Case, folder: Path) -> dict[str, Any]:
    from ..conditions.layout import draw_boxes

    drawn = draw_boxes(case.boxes_F4(1)[None], case.shape.height, case.shape.width)
    video = lossless(drawn, case.shape.fps, folder / "layout")
    return {"prompt": case.caption, "conditions": [{"kind": "control", "control": "layout", "video": video}]}


def _judge_picture(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    return judge.caption(case, frames[:1])


def _judge_first(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    return judge.caption(case, frames) | {"psnr_first": psnr(frames[0], case.frames_FHWC[0])}


def _judge_first_last(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    return _judge_first(judge, case, frames) | {"psnr_last": psnr(frames[-1], case.frames_FHWC[-1])}


def _judge_inpaint(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    boxes, reading = case.boxes_F4(MARGIN_PX), judge.read(frames)
    rest = outside(boxes, case)
    track, found = judge.object_right(case, reading)
    x, y = track.fractions_F2().T
    inside_F = (x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3]) & track.seen_F
    return found | {
        "psnr_kept": psnr(frames[rest], case.frames_FHWC[rest]),
        "in_box": round(float(inside_F.mean() * 100), 1),
    }


def _judge_removal(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    boxes = case.boxes_F4(MARGIN_PX)
    rest = outside(boxes, case)
    return judge.removed(judge.read(frames), boxes) | {
        "psnr_kept": psnr(frames[rest], case.frames_FHWC[rest]),
        "psnr_filled": psnr(frames[~rest], case.empty_FHWC[~rest]) if not rest.all() else None,
    }


def _judge_outpaint(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    inside, reading = _window(case), judge.read(frames)
    kept = psnr(frames[:, inside], case.frames_FHWC[:, inside])
    return judge.background(case, reading) | judge.object_right(case, reading)[1] | {"psnr_kept": kept}


def _judge_extension(given: slice, new: slice) -> Callable[[Judge, Case, np.ndarray], Measures]:
    def judged(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
        track, found = judge.object_right(case, judge.read(frames))
        kept = psnr(frames[given], case.frames_FHWC[given])
        return found | judge.path(case, track, case.path_F2(), new) | {"psnr_kept": kept}

    return judged


def _judge_reference(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    found = judge.caption(case, frames)
    return {name: found[name] for name in ("object", "color", "count", "background") if name in found}


def _judge_path(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    track, found = judge.object_right(case, judge.read(frames))
    return found | judge.path(case, track, case.path_F2())


def _judge_layout(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    track, found = judge.object_right(case, judge.read(frames))
    return found | judge.boxes(case, track, case.boxes_F4(0))


def _judge_copy(judge: Judge, case: Case, frames: np.ndarray) -> Measures:
    return {"psnr_kept": psnr(frames, case.frames_FHWC)}


def _any(scene: Scene) -> bool:
    return True


TASKS: tuple[ScorecardTask, ...] = (
    ScorecardTask("text", "text only", lambda case, _: {"prompt": case.caption}, Judge.caption, scenes=_any),
    ScorecardTask(
        "words", "text only, motion words not drawn",
        lambda case, _: {"prompt": case.caption, "options": {"motion_words": "text"}},
        Judge.caption, option="motion_words", scenes=_any, truth=None,
    ),
    ScorecardTask(
        "picture", "one image from text", lambda case, _: {"prompt": case.caption, "frames": 1}, _judge_picture
    ),
    ScorecardTask(
        "first", "first frame as image", lambda case, _: _image(case, "first"), _judge_first, ("image:first",)
    ),
    ScorecardTask(
        "first_last", "first and last frame as images", lambda case, _: _image(case, "first", "last"),
        _judge_first_last, ("image:first", "image:last"),
    ),
    ScorecardTask(
        "inpaint", "a box around the object inpainted", lambda case, at: _edit(case, at, around_object(case)),
        _judge_inpaint, ("source", "mask"),
    ),
    ScorecardTask(
        "remove", "the object removed (the prompt describes only the place)",
        _ask_removal, _judge_removal, ("source", "mask"),
        truth=lambda case: case.empty_FHWC,
    ),
    ScorecardTask("outpaint", "outpainting of a window", _ask_outpaint, _judge_outpaint, ("source", "mask")),
    ScorecardTask(
        "extend_after", "a clip continued", _ask_after,
        _judge_extension(slice(None, KEPT), slice(KEPT, None)), ("continue",), scenes=one_object_still_camera,
    ),
    ScorecardTask(
        "extend_before", "a clip continued backwards", _ask_before,
        _judge_extension(slice(-KEPT, None), slice(None, -KEPT)), ("source", "mask"), scenes=one_object_still_camera,
    ),
    ScorecardTask("reference", "one reference image", _ask_reference, _judge_reference, ("reference",)),
    ScorecardTask(
        "references", "two reference images", _ask_reference, _judge_reference, ("reference",),
        scenes=two_objects, objects=2,
    ),
    ScorecardTask(
        "path", "a drawn path", _ask_path, _judge_path, ("trajectory",), scenes=one_object_still_camera,
    ),
    ScorecardTask(
        "layout", "drawn boxes", _ask_layout, _judge_layout, ("control:layout",), scenes=one_object_still_camera,
    ),
    ScorecardTask(
        "keep", "a clip with an empty mask", lambda case, at: _edit(case, at, {"nothing": True}),
        _judge_copy, ("source", "mask"), scenes=_any, truth=None,
    ),
    ScorecardTask(
        "source", "a clip without a mask", lambda case, at: _edit(case, at, None),
        _judge_copy, ("source",), scenes=_any, truth=None,
    ),
)  # fmt: skip
BY_NAME = {task.name: task for task in TASKS}
