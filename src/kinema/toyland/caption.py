"""True English captions of scenes, in many wordings."""

from __future__ import annotations

import random
from dataclasses import replace

from . import words
from .scene import Actor, Scene
from .understand import ActorWords, Understanding

BIG, SMALL = 0.2, 0.16  # minimum radius of "big" objects, maximum radius of "small" ones


def describe(scene: Scene, seed: int = 0) -> str:
    """Return a caption of the scene; the wording depends on the seed. It always states object and colour, and some of
    the other attributes. Everything stated is true."""
    return describe_fully(scene, seed)[0]


def describe_fully(scene: Scene, seed: int = 0) -> tuple[str, Understanding]:
    """Return the caption of `describe` and the facts that it states."""
    rng = random.Random(f"caption/{seed}/{scene.decor}")
    core, actors = _core(rng, scene)
    place = rng.choice(words.SAY_PLACE[scene.background]) if rng.random() < 0.85 else ""
    light_odds = (0.35 if scene.light == "day" else 0.85) * (0.4 if scene.background == "space" else 1.0)
    light = rng.choice(words.SAY_LIGHT[scene.light]) if rng.random() < light_odds else ""
    weather_odds = 0.04 if scene.weather == "none" else 0.85
    weather = rng.choice(words.SAY_WEATHER[scene.weather]) if rng.random() < weather_odds else ""
    camera_odds = 0.12 if scene.camera == "still" else 0.85
    camera = rng.choice(words.SAY_CAMERA[scene.camera]) if rng.random() < camera_odds else ""
    style_odds = 0.15 if scene.style == "flat" else 0.85
    style = rng.choice(words.SAY_STYLE[scene.style]) if rng.random() < style_odds else ""

    stated = Understanding(
        actors=actors,
        background=scene.background if place else None,
        light=scene.light if light else None,
        weather=scene.weather if weather else None,
        camera=scene.camera if camera else None,
        style=scene.style if style else None,
    )
    front: list[str] = []
    back: list[str] = []
    order = [light, place] if rng.random() < 0.3 else [place, light]
    for words_there in order:
        (front if not front and words_there and rng.random() < 0.25 else back).append(words_there)
    sentence = " ".join(part for part in [core, *back, weather] if part)
    if front and front[0]:
        sentence = f"{front[0]}, {sentence}"
    if camera:
        joint = rng.choice(("; ", ", ", ". "))
        sentence = f"{camera}, {sentence}" if rng.random() < 0.15 else sentence + joint + camera
    if style:
        sentence = f"{style}: {sentence}" if rng.random() < 0.5 else f"{sentence}, {style}"
    return sentence, stated


def describe_without_camera(scene: Scene, seed: int = 0) -> str:
    """Return a caption that never mentions the camera, for training camera moves that need no prompt."""
    quiet, wordings = replace(scene, camera="still"), random.Random(f"quiet/{seed}")
    text, stated = describe_fully(quiet, seed)
    while stated.camera is not None:
        text, stated = describe_fully(quiet, wordings.randrange(1 << 30))
    return text


def describe_place(scene: Scene, seed: int = 0) -> str:
    """Return a caption of only the place, without its objects: "in a meadow at night"."""
    rng = random.Random(f"place/{seed}/{scene.decor}")
    words_there = [rng.choice(words.SAY_PLACE[scene.background])]
    if rng.random() < 0.7:
        words_there.append(rng.choice(words.SAY_LIGHT[scene.light]))
    if scene.weather != "none":
        words_there.append(rng.choice(words.SAY_WEATHER[scene.weather]))
    return " ".join(words_there)


def _core(rng: random.Random, scene: Scene) -> tuple[str, tuple[ActorWords, ...]]:
    clauses = [_clause(rng, actor, alone=len(scene.actors) == 1) for actor in scene.actors]
    if len(clauses) == 1:
        name, deed, fact = clauses[0]
        return f"{name} {deed}".strip(), (fact,)
    (name_1, deed_1, fact_1), (name_2, deed_2, fact_2) = clauses
    joint = rng.choice((" while ", " and ", ", and "))
    if not (deed_1 and deed_2):
        joint = " and "
    return f"{name_1} {deed_1}".strip() + joint + f"{name_2} {deed_2}".strip(), (fact_1, fact_2)


def _clause(rng: random.Random, actor: Actor, *, alone: bool) -> tuple[str, str, ActorWords]:
    """(noun phrase of an object, its verbs, stated facts)."""
    adjectives = [actor.color]
    size = None
    if rng.random() < 0.3 and actor.change == "same":
        size = "big" if actor.radius >= BIG else "small" if actor.radius <= SMALL else None
    if size:
        adjectives.insert(0, size)
    spin = actor.spin != 0 and rng.random() < 0.85
    spin_first = spin and rng.random() < 0.4
    if spin_first:
        adjectives.insert(0, "spinning")
    article = "an" if adjectives[0][0] in "aeiou" else "a"
    deeds = []
    motion = not actor.path and (not alone or rng.random() < 0.9)  # with two objects, both motions are stated
    heading = None
    if motion:
        go = rng.choice(words.GO[actor.kind])
        if actor.motion == "diagonal":
            heading = actor.heading if rng.random() < 0.85 else None
            deed = f"{go} diagonally" if heading is None or rng.random() < 0.6 else go
            deeds.append(deed + (f" {rng.choice(words.SAY_HEADING[heading])}" if heading else ""))
        else:
            deeds.append(rng.choice(words.SAY_MOTION[actor.motion]).format(go=go))
    change = actor.change != "same" and rng.random() < 0.85
    if change:
        deeds.append(rng.choice(words.SAY_CHANGE[actor.change]))
    if spin and not spin_first:
        deeds.append(rng.choice(words.SAY_SPIN))
    fact = ActorWords(
        kind=actor.kind,
        color=actor.color,
        motion=actor.motion if motion else None,
        heading=heading,
        change=actor.change if change else None,
        spin=True if spin else None,
        size=size,
    )
    return f"{article} {' '.join(adjectives)} {actor.kind}", " and ".join(deeds), fact
