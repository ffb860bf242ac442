"""Toyland: a procedural picture-book world with captions and exact ground truth, for training and evaluating small
models.

Scenes, captions and their parsing do not require torch. Rendering does: `from kinema.toyland.render import render`.
"""

from __future__ import annotations

from .caption import describe, describe_fully
from .path import motion_path
from .scene import (
    WORLD,
    WORLD_SMALL,
    Actor,
    Scene,
    World,
    sample_scene,
    scene_from_dict,
    scene_from_json,
)
from .understand import ActorWords, Understanding, understand

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
