"""Inputs for the examples of the manual, rendered by Toyland to suit the shipped miniatures: images, clips with sound,
a path, a mask, a request, a film plan, and two dozen clips of a camera move for training.

The files are the same on every run. Existing files are replaced only with `force`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.whole import hidden, put

if TYPE_CHECKING:
    import numpy as np

    from ..toyland.scene import Scene

SIDE_PX, FRAMES, FPS = 128, 17, 8.0
NUM_PANS, PAN_PX, PAN_FRAMES = 24, 64, 16
CAR_CLICK = "0.79,0.7"
"""Where the car of road.mp4 is in its first frame, in fractions of the frame."""


@dataclass(frozen=True)
class Sample:
    """A file or folder of the samples. command: an example with it; {} stands for it, {inside[NAME]} for another."""

    name: str
    what: str
    command: str
    make: Callable[[Path], None]

    def next_command(self, folder: Path) -> str:
        """Return the command with the paths of the samples, quoted for a shell if necessary."""
        inside = {each.name: shlex.quote(str(folder / each.name)) for each in SAMPLES}
        return self.command.format(shlex.quote(str(folder / self.name)), inside=inside)


def write_samples(folder: str | os.PathLike[str], *, force: bool = False, on_event: OnEvent = ignore) -> list[Path]:
    """Write all samples into a folder, which is created, and return their paths. The files appear when all are written.

    Raises RequestError for a file that exists already (without `force`), or a parent folder that does not; MediaError
    for one that cannot be written."""
    folder = Path(folder)
    _check(folder, force)
    beside = hidden(folder)
    started = time.perf_counter()
    try:
        beside.mkdir()
        for number, sample in enumerate(SAMPLES):
            on_event(Progress("samples", number, len(SAMPLES), time.perf_counter() - started))
            sample.make(beside / sample.name)
        folder.mkdir(exist_ok=True)
        for made in sorted(beside.iterdir()):
            target = folder / made.name
            if target.is_dir() and made.is_dir():
                for each in sorted(made.iterdir()):
                    put(each, target / each.name)
            else:
                put(made, target)
    except OSError as error:
        raise MediaError(f"{folder}: cannot be written ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return [folder / sample.name for sample in SAMPLES]


def _check(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder}: is a file, not a folder.", field="folder", value=str(folder), legal="a folder")
    if not folder.absolute().parent.is_dir():
        raise RequestError(
            f"{folder}: the folder {folder.parent} does not exist.", field="folder", value=str(folder),
            legal="a new folder inside an existing one",
        )  # fmt: skip
    names = [sample.name for sample in SAMPLES] + [f"{sample.name}.json" for sample in SAMPLES]
    existing = next((folder / name for name in names if (folder / name).exists()), None)
    if existing is not None and not force:
        raise RequestError(
            f"{existing}: exists already; nothing is replaced.", field="folder", value=str(folder),
            legal="another folder, or --force",
        )  # fmt: skip


# -- the scenes ------------------------------------------------------------------------------------------------------


def _car() -> Scene:
    """A red car before it drives left."""
    return _scene("car", "red", "left", "meadow", x=0.5, y=0.62, radius=0.19, reach=0.24, decor=11)


def _road() -> Scene:
    """A red car drives left past a blue star that stays."""
    from ..toyland.scene import Actor

    scene = _scene("car", "red", "left", "desert", x=0.5, y=0.68, radius=0.17, reach=0.29, decor=5)
    star = Actor(kind="star", color="blue", motion="stay", x=0.3, y=0.3, radius=0.13)
    return replace(scene, actors=(star, *scene.actors))


def _ball() -> Scene:
    return _scene("ball", "yellow", "bounce", "sea", light="sunset", x=0.5, y=0.55, radius=0.19, reach=0.2, decor=2)


def _star() -> Scene:
    return _scene("star", "yellow", "stay", "snow", x=0.5, y=0.5, radius=0.3, decor=4)


def _scene(
    kind: str, color: str, motion: str, place: str, *, light: str = "day", decor: int = 0, **how: float
) -> Scene:
    from ..toyland.scene import Actor, Scene

    actor = Actor(kind=kind, color=color, motion=motion, **how)  # type: ignore[arg-type]
    return Scene(actors=(actor,), background=place, light=light, decor=decor, detail="plain")


def _drawn(scene: Scene, frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames of a scene (uint8 FHWC) and the mask of its last actor (bool FHW)."""
    from ..toyland.render import render

    made = render([scene], num_frames=frames, height=SIDE_PX, width=SIDE_PX, fps=FPS)
    return made.frames_BFHWC[0].numpy(), made.masks_BNFHW[0, len(scene.actors) - 1].numpy()


# -- the files -------------------------------------------------------------------------------------------------------


def _picture(scene: Callable[[], Scene]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        from PIL import Image

        Image.fromarray(_drawn(scene(), 1)[0][0]).save(path)

    return make


def _cut_out(path: Path) -> None:
    """Write a star on white, with its outline."""
    import cv2
    import numpy as np
    from PIL import Image

    frames_FHWC, masks_FHW = _drawn(_star(), 1)
    whole_HW = cv2.dilate(masks_FHW[0].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    Image.fromarray(np.where(whole_HW[..., None], frames_FHWC[0], np.uint8(255))).save(path)


def _mask(path: Path) -> None:
    """Write a mask: a white box around the car in the first frame of road.mp4."""
    import numpy as np
    from PIL import Image

    mask_HW = _drawn(_road(), 1)[1][0]
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    box_HW = np.zeros(mask_HW.shape, np.uint8)
    margin = 4
    box_HW[max(0, rows[0] - margin) : rows[-1] + 1 + margin, max(0, columns[0] - margin) : columns[-1] + 1 + margin] = (
        255
    )
    Image.fromarray(box_HW).save(path)


def _clip(scene: Callable[[], Scene], music: str = "") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        from ..core.chunk import Chunk
        from ..media.write import write

        samples_SC = None
        if music:
            from ..music import make as compose

            samples_SC = compose(music, FRAMES / FPS, 3, sound="own").samples
        write([Chunk(_drawn(scene())[0], 0, FPS, samples_SC)], path)

    return make


def _path(path: Path) -> None:
    """Write a curve from the lower left over the centre to the right, on a canvas of 256x256."""
    points = [(48 + 10 * k, 176 - round(6.4 * k - 0.4 * k * k * 0.9)) for k in range(17)]
    path.write_text("".join(f"{x},{y}\n" for x, y in points), encoding="utf-8")


def _request(path: Path) -> None:
    from ..core.request import Request

    request = Request(
        prompt="a red car drives left in a meadow by day", seed=4, upscale=4,
        conditions=({"kind": "image", "image": "car.png"},),  # type: ignore[arg-type]
    )  # fmt: skip
    path.write_text(request.to_json() + "\n", encoding="utf-8")


def _film(path: Path) -> None:
    from .film_plan import FilmPlan

    lines = (
        ("a red ball rolls left over a green hill at sunset", "cut"),
        ("a red ball rolls right over a green hill at sunset", "crossfade"),
        ("a yellow star rises over the sea at night", "cut"),
    )
    shots = [
        {"request": {"prompt": prompt, "seed": seed, "upscale": 4}, "join": join}
        for seed, (prompt, join) in enumerate(lines, 3)
    ]
    plan = {"title": "A red ball", "subtitle": "and a star", "ending": "The end", "music": "calm, warm", "seed": 3}
    FilmPlan.from_dict({**plan, "shots": shots}).save(path)


def _pans(folder: Path) -> None:
    from ..core.chunk import Chunk
    from ..media.write import write
    from ..toyland.caption import describe_without_camera
    from ..toyland.export import export
    from ..toyland.scene import WORLD_MINI

    def write_clip(frames_FHWC: np.ndarray, fps: float, path: Path) -> None:
        write([Chunk(frames_FHWC, 0, fps)], path)

    export(
        folder, NUM_PANS, size=(PAN_PX, PAN_PX), num_frames=PAN_FRAMES, fps=FPS, write_clip=write_clip,
        world=replace(WORLD_MINI, cameras=("pan-left",), motions=("stay",)), caption=describe_without_camera,
    )  # fmt: skip


SAMPLES: tuple[Sample, ...] = (
    Sample("car.png", "an image for the first frame",
           'kinema generate "a red car drives left in a meadow by day" --image {} --upscale 4 -o drive.mp4',
           _picture(_car)),
    Sample("star.png", "a reference image, on white",
           'kinema generate "a yellow star at sea by day" --reference {} --upscale 4 -o star.mp4', _cut_out),
    Sample("path.txt", "a path for an object",
           'kinema generate "a yellow star at night" --trajectory {} --upscale 4 -o path.mp4', _path),
    Sample("road.mp4", "a clip with music: a red car drives past a blue star",
           f"kinema remove {{}} --click {CAR_CLICK} -o gone.mp4", _clip(_road, "playful, 120 bpm")),
    Sample("mask.png", "a mask of that car in the first frame, white on black",
           'kinema edit {inside[road.mp4]} "a green ball in the desert" --mask {} --follow -o ball_instead.mp4', _mask),
    Sample("ball.mp4", "another clip",
           'kinema between {inside[road.mp4]} {} "a yellow ball at sea" --seconds 1 -o joined.mp4', _clip(_ball)),
    Sample("request.json", "a request, the same in Python and HTTP",
           "kinema generate --request {} -o asked.mp4", _request),
    Sample("film.json", "a film plan: three shots, titles, music",
           "kinema make-film {} -o film.mp4", _film),
    Sample("pans", "two dozen clips with captions, the camera pans left",
           "kinema train lora --data {} --minutes 10 --out runs/pan", _pans),
)  # fmt: skip
