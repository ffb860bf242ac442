"""Toyland: a procedural picture-book world with captions and exact truth, for training and measuring small
models."""

from kinema.toyland.caption import describe, describe_fully
from kinema.toyland.export import export
from kinema.toyland.path import motion_path
from kinema.toyland.render import Rendered, render
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
    "Rendered",
    "Scene",
    "Understanding",
    "World",
    "describe",
    "describe_fully",
    "export",
    "motion_path",
    "render",
    "sample_scene",
    "scene_from_dict",
    "scene_from_json",
    "understand",
]
