"""Recipes: the stages and thresholds of published pipelines. A paper's number is here with its source; what a paper
does not say is not invented, and the recipe's `unknown` says so."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.errors import RequestError
from ..core.near import nearest
from .marks import Threshold


@dataclass(frozen=True)
class Recipe:
    """A pipeline. detectors: names in detectors.py whose cuts are joined. stages: names in table_of_stages.py.
    unknown: what the source leaves open, for the documentation and the report. longest_s: longer shots are divided into
    equal clips."""

    name: str
    title: str
    detectors: tuple[str, ...]
    stages: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    unknown: tuple[str, ...] = ()
    longest_s: float | None = None


SVD = Recipe(
    name="svd",
    title="Stable Video Diffusion (arXiv 2311.15127)",
    detectors=("cascade",),
    stages=(),
    thresholds=(),
)
EASYANIMATE = Recipe(
    name="easyanimate",
    title="EasyAnimate (arXiv 2405.18991)",
    detectors=("content",),
    stages=(),
    thresholds=(
        Threshold("seconds", ">=", 3.0, "shorter than 3 s", "EasyAnimate's repository: clips of 3 to 10 s"),
        Threshold("shorter_side_px", ">=", 512, "smaller than 512 px", "EasyAnimate's repository"),
    ),
)
TORA = Recipe(
    name="tora",
    title="Tora (arXiv 2407.21705)",
    detectors=("content",),
    stages=(),
    thresholds=(Threshold("shorter_side_px", ">=", 720, "smaller than 720 px", "Tora, data"),),
)
RECIPES = {recipe.name: recipe for recipe in (SVD, EASYANIMATE, TORA)}


def find_recipe(name: str) -> Recipe:
    """Raises RequestError."""
    if name not in RECIPES:
        raise RequestError(
            f"Unknown recipe {name!r}.", field="recipe", value=name, legal=", ".join(RECIPES),
            nearest=nearest(name, RECIPES),
        )  # fmt: skip
    return RECIPES[name]
