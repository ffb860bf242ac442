"""Toyland: a procedural picture-book world with captions and exact truth, for training and measuring small
models.

What needs no torch is here, because planning reads prompts with it; drawing is in `toyland.render.render` and
writing a data set in `toyland.export.export`.
"""

from kinema.toyland.caption import describe, describe_fully
from kinema.toyland.path import motion_path
from kinema.toyland.scene import (
    WORLD,
    WORLD_SMALL,
    Actor,
    Scene,
    World,
    sample_scene,
    scene_from_dict,
    scene_from_json,
)
from kinema.toyland.understand import ActorWords, Understanding, understand

__all__ = [
    "WORLD",
    "WORLD_SMALL",
    "Actor",
    "ActorWords",
    "Scene",
    "Understanding",
    "World",
    "describe",
    "describe_fully",
    "motion_path",
    "sample_scene",
    "scene_from_dict",
    "scene_from_json",
    "understand",
]
