"""Scenes of Toyland, their actors, and the worlds from which scenes are sampled.

A `Scene` is plain, frozen data that converts to JSON and determines every pixel. Positions are fractions of the frame
((0, 0) top left, (1, 1) bottom right), lengths are fractions of the frame's shorter side, times are in seconds.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .free_path import Path, free_path

KINDS = (
    "ball", "square", "triangle", "star", "heart", "ring",
    "car", "boat", "fish", "bird", "balloon", "rocket",
)  # fmt: skip
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
MOTIONS = ("left", "right", "up", "down", "diagonal", "circle", "bounce", "stay")
HEADINGS = ("up-left", "up-right", "down-left", "down-right")
CHANGES = ("same", "grow", "shrink")
BACKGROUNDS = ("meadow", "sea", "desert", "city", "snow", "space")
LIGHTS = ("day", "sunset", "night")
WEATHERS = ("none", "rain", "snow")
CAMERAS = (
    "still", "pan-left", "pan-right", "tilt-up", "tilt-down",
    "zoom-in", "zoom-out", "roll-left", "roll-right",
)  # fmt: skip
STYLES = ("flat", "crayon", "pixel", "neon")
DETAILS = ("full", "plain")
MAX_ACTORS = 2


@dataclass(frozen=True, slots=True)
class Actor:
    """An object and its motion.

    x, y: centre of its path, fractions of the frame. reach: half the length of its path (radius of a circle), a
    fraction of the frame. radius: size of the object, a fraction of the shorter side. heading: one of HEADINGS for
    diagonal motion, else "". spin: turns per clip, positive is clockwise. phase: start of a circle, in turns. path: if
    not empty, the centre follows these points (free_path.py) instead, and captions do not state a motion.
    """

    kind: str
    color: str
    motion: str = "stay"
    heading: str = ""
    change: str = "same"
    spin: float = 0.0
    x: float = 0.5
    y: float = 0.5
    reach: float = 0.25
    radius: float = 0.17
    phase: float = 0.0
    path: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, KINDS)
        _one_of("color", self.color, COLORS)
        _one_of("motion", self.motion, MOTIONS)
        _one_of("change", self.change, CHANGES)
        _one_of("heading", self.heading, HEADINGS if self.motion == "diagonal" else ("",))
        for name in ("spin", "x", "y", "reach", "radius", "phase"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"actor {name} must be a finite number, got {value!r}")
        if not 0.01 <= self.radius <= 1.0:
            raise ValueError(f"actor radius must be in [0.01, 1], got {self.radius!r}")
        object.__setattr__(self, "path", tuple((float(x), float(y)) for x, y in self.path))
        if len(self.path) == 1 or not all(math.isfinite(x) and math.isfinite(y) for x, y in self.path):
            raise ValueError(f"actor path must have no point or at least two finite points, got {self.path!r}")


@dataclass(frozen=True, slots=True)
class Scene:
    """A clip: one or two actors in a place. Later actors are in front of earlier ones.

    camera_amount: size of the camera move in `duration` seconds: a fraction of the frame for pan and tilt, factor - 1
    for zoom, turns for roll; ignored if the camera is still. duration: seconds of the motion; straight motions, growth
    and camera hold their end after it, circles, bounces and spins continue. decor: seed of the decoration (positions of
    hills, clouds and houses). detail: "plain" omits clouds, stars, windows and the marks on objects, for small models.
    """

    actors: tuple[Actor, ...]
    background: str = "meadow"
    light: str = "day"
    weather: str = "none"
    camera: str = "still"
    camera_amount: float = 0.0
    style: str = "flat"
    duration: float = 2.0
    decor: int = 0
    detail: str = "full"

    def __post_init__(self) -> None:
        if not 1 <= len(self.actors) <= MAX_ACTORS:
            raise ValueError(f"a scene has 1 to {MAX_ACTORS} actors, got {len(self.actors)}")
        _one_of("background", self.background, BACKGROUNDS)
        _one_of("light", self.light, LIGHTS)
        _one_of("weather", self.weather, WEATHERS)
        _one_of("camera", self.camera, CAMERAS)
        _one_of("style", self.style, STYLES)
        _one_of("detail", self.detail, DETAILS)
        if not (math.isfinite(self.duration) and self.duration > 0):
            raise ValueError(f"duration must be a positive number of seconds, got {self.duration!r}")
        if not (math.isfinite(self.camera_amount) and 0 <= self.camera_amount <= 4):
            raise ValueError(f"camera_amount must be in [0, 4], got {self.camera_amount!r}")

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values; `scene_from_dict` is the inverse."""
        actors = [asdict(actor) for actor in self.actors]
        for actor in actors:
            if not actor["path"]:
                del actor["path"]
        return asdict(self) | {"actors": actors}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)


def without_objects(scene: Scene) -> Scene:
    """Return the scene with its objects far outside the frame."""
    return replace(scene, actors=tuple(replace(actor, x=9.0, y=9.0, path=()) for actor in scene.actors))


def scene_from_dict(values: dict[str, Any]) -> Scene:
    """Create a scene from `Scene.to_dict`. Raises ValueError for unknown names or illegal values."""
    actors = tuple(Actor(**_known(Actor, actor)) for actor in values.get("actors", ()))
    return Scene(**(_known(Scene, values) | {"actors": actors}))


def scene_from_json(text: str) -> Scene:
    """Create a scene from `Scene.to_json`. Raises ValueError for other JSON."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"a scene must be a JSON object, got {type(values).__name__}")
    return scene_from_dict(values)


@dataclass(frozen=True, slots=True)
class World:
    """Values and ranges from which scenes are sampled. free_paths: share of the objects that follow a free path."""

    kinds: tuple[str, ...] = KINDS
    colors: tuple[str, ...] = COLORS
    motions: tuple[str, ...] = MOTIONS
    backgrounds: tuple[str, ...] = BACKGROUNDS
    lights: tuple[str, ...] = LIGHTS
    weathers: tuple[str, ...] = WEATHERS
    cameras: tuple[str, ...] = CAMERAS
    styles: tuple[str, ...] = STYLES
    radius: tuple[float, float] = (0.15, 0.21)
    reach: tuple[float, float] = (0.2, 0.3)
    two_actors: float = 0.3
    moving_camera: float = 0.4
    some_weather: float = 0.25
    other_style: float = 0.45
    some_change: float = 0.15
    some_spin: float = 0.15
    duration: float = 2.0
    detail: str = "full"
    free_paths: float = 0.0


WORLD = World()
WORLD_SMALL = World(
    radius=(0.18, 0.23), reach=(0.24, 0.3), two_actors=0.15, moving_camera=0.2, some_weather=0.1,
    other_style=0.08, some_change=0.12, some_spin=0.1,
)  # fmt: skip
WORLD_MINI = replace(
    WORLD_SMALL, kinds=("ball", "square", "triangle", "star", "heart", "car"), styles=("flat",), weathers=("none",),
    reach=(0.2, 0.26), two_actors=0.1, moving_camera=0.1, some_change=0.05, some_spin=0.05, detail="plain",
)  # fmt: skip
"""The world of the shipped miniatures, learnable on two CPU cores: six kinds of objects, places without small details,
flat style, no weather."""

_AXIS = {
    "left": "x", "right": "x", "up": "y", "down": "y", "bounce": "y",
    "pan-left": "x", "pan-right": "x", "tilt-up": "y", "tilt-down": "y",
}  # fmt: skip
APART = 0.21
"""How far from the middle each of two actors is."""
AMOUNT = {
    "pan": (0.24, 0.3),
    "tilt": (0.22, 0.28),
    "zoom": (0.35, 0.55),
    "roll": (0.06, 0.1),
    "still": (0.0, 0.0),
}


def sample_scene(seed: int, world: World = WORLD) -> Scene:
    """Sample scene number `seed` of a world, deterministically.

    A panning or tilting camera never moves along the axis of an actor's motion, so that motions are unambiguous. Two
    actors never share kind and colour, and their paths are side by side.
    """
    rng = random.Random(f"toyland/{seed}")
    camera = "still"
    moving = [name for name in world.cameras if name != "still"]
    if moving and ("still" not in world.cameras or rng.random() < world.moving_camera):
        camera = rng.choice(moving)
    num_actors = 2 if rng.random() < world.two_actors else 1
    free = [motion for motion in world.motions if camera == "still" or _clear(motion, camera)]
    first = rng.choice(free or list(world.motions))
    motions = [first]
    if num_actors == 2:
        beside = [motion for motion in free if motion != "diagonal" and _AXIS.get(motion, "") in ("", _AXIS.get(first))]
        motions.append(rng.choice(beside or [first]))
    split = "y" if "x" in [_AXIS.get(motion) for motion in motions] else "x"
    actors: list[Actor] = []
    flip = rng.random() < 0.5
    for slot, motion in enumerate(motions):
        side = 0.0 if num_actors == 1 else (APART if (slot == 0) == flip else -APART)
        taken = [(actor.kind, actor.color) for actor in actors]
        actors.append(_sample_actor(rng, world, motion, camera, split, side, taken))
    style = "flat" if "flat" in world.styles else world.styles[0]
    if rng.random() < world.other_style:
        style = rng.choice(world.styles)
    weather = "none" if "none" in world.weathers else world.weathers[0]
    if rng.random() < world.some_weather:
        weather = rng.choice(world.weathers)
    background = rng.choice(world.backgrounds)
    if background == "space" and "none" in world.weathers:
        weather = "none"
    return Scene(
        actors=tuple(actors),
        background=background,
        light=rng.choice(world.lights),
        weather=weather,
        camera=camera,
        camera_amount=round(rng.uniform(*AMOUNT[camera.split("-")[0]]), 4),
        style=style,
        duration=world.duration,
        decor=rng.randrange(1 << 20),
        detail=world.detail,
    )


def _sample_actor(
    rng: random.Random,
    world: World,
    motion: str,
    camera: str,
    split: str,
    side: float,
    taken: list[tuple[str, str]],
) -> Actor:
    while True:
        kind, color = rng.choice(world.kinds), rng.choice(world.colors)
        if (kind, color) not in taken or len(world.kinds) * len(world.colors) == 1:
            break
    alone = side == 0.0
    radius = rng.uniform(*world.radius) * (1.0 if alone else 0.88)
    change = "same"
    if rng.random() < world.some_change and camera.split("-")[0] != "zoom":
        change = rng.choice(("grow", "shrink"))
    spin = 0.0
    if rng.random() < world.some_spin and camera.split("-")[0] != "roll":
        spin = rng.choice((-1, 1)) * rng.choice((0.5, 0.75, 1.0))
    reach = rng.uniform(*world.reach)
    if motion == "circle":
        reach *= 0.8 if alone else 0.5
    elif motion == "diagonal":
        reach *= 0.9
    # The whole path stays inside the part of the frame that is visible during camera moves.
    room = max(0.5 - 0.85 * radius - (0.1 if camera.split("-")[0] in ("pan", "tilt", "zoom") else 0.0), 0.05)
    reach = min(reach, room)
    wide = reach if motion in ("left", "right", "diagonal", "circle") else 0.0
    tall = reach if motion in ("up", "down", "diagonal", "circle", "bounce") else 0.0
    loose_x, loose_y = min(room - wide, 0.14), min(room - tall, 0.12)
    x = 0.5 + (side if split == "x" else 0.0) + rng.uniform(-1, 1) * max(loose_x, 0) * (1.0 if alone else 0.3)
    y = 0.5 + (side if split == "y" else 0.0) + rng.uniform(-1, 1) * max(loose_y, 0) * (1.0 if alone else 0.3)
    path: Path = ()
    if world.free_paths and rng.random() < world.free_paths:
        path, spin = free_path(rng, room), 0.0
    if alone and kind in ("car", "boat") and motion in ("left", "right", "stay"):
        y = 0.5 + min(room, rng.uniform(0.12, 0.2))
    return Actor(
        kind=kind,
        color=color,
        motion=motion,
        heading=rng.choice(HEADINGS) if motion == "diagonal" else "",
        change=change,
        spin=spin,
        x=round(x, 4),
        y=round(y, 4),
        reach=round(reach, 4),
        radius=round(radius, 4),
        phase=round(rng.random(), 4) if motion == "circle" else 0.0,
        path=path,
    )


def _clear(motion: str, camera: str) -> bool:
    if camera.split("-")[0] not in ("pan", "tilt"):
        return True
    return motion not in ("diagonal", "circle") and _AXIS.get(motion) != _AXIS[camera]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ValueError(f"a {kind.__name__.lower()} has no {', '.join(unknown)}")
    return dict(values)
