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


_SVD, _EASYANIMATE, _TORA = "arXiv 2311.15127", "EasyAnimate's repository", "arXiv 2407.21705"
_OWN = "Kinema's own (docs/curation.md)"

SVD = Recipe(
    name="svd",
    title="Stable Video Diffusion (arXiv 2311.15127)",
    detectors=("cascade",),
    stages=("motion_svd", "text_area", "aesthetic", "captions", "clip_score"),
    thresholds=(
        Threshold("text_area", "<=", 0.07, "text covers more than 7 %", _SVD),
        Threshold("motion_svd", "above_share", 0.25, "in the quarter with the least motion", _SVD),
        Threshold("aesthetic", "above_share", 0.25, "in the quarter with the lowest aesthetic score", _SVD),
        Threshold("clip_score", "above_share", 0.5, "in the half whose captions fit the least", _SVD),
        Threshold("text_area", "below_share", 0.75, "in the quarter with the most text", _SVD),
    ),
    unknown=(
        "text is measured by CRAFT there, by RapidOCR's detector here, and on how many frames is not known (here 1)",
        "the number of frames and the prompt of the video captioner (V-BLIP) are not known",
        "RAFT at 800x450 (stage motion_raft) was used for the set of the last stage; its threshold is not known",
    ),
)
EASYANIMATE = Recipe(
    name="easyanimate",
    title="EasyAnimate (arXiv 2405.18991)",
    detectors=("content",),
    stages=("motion_easyanimate", "text_area", "aesthetic", "captions", "clip_score"),
    thresholds=(
        Threshold("seconds", ">=", 3.0, "shorter than 3 s", _EASYANIMATE),
        Threshold("seconds", "<=", 10.0, "longer than 10 s", _EASYANIMATE),
        Threshold("shorter_side_px", ">=", 512, "smaller than 512 px", _EASYANIMATE),
        Threshold("motion_easyanimate", ">=", 2.0, "hardly moves", _EASYANIMATE),
        Threshold("motion_easyanimate", "<=", 20.0, "moves too fast", _EASYANIMATE),
        Threshold("text_area", "<=", 0.02, "text covers more than 2 %", _EASYANIMATE),
        Threshold("aesthetic", ">=", 4.0, "aesthetic score below 4", _EASYANIMATE),
    ),
    unknown=(
        "the thresholds of the paper's first two versions are not known; these are of its repository",
        "the size of the frames whose flow is measured is not known (here up to 512 px)",
        "aesthetics are scored by the SigLIP predictor v2.5 there, by a CLIP predictor here",
        "captions are scored by VideoCLIP-XL there (at least 0.20): no threshold for CLIP follows from it",
        "cuts are verified there by CLIP's similarity of key frames (at least 0.8)",
    ),
)
TORA = Recipe(
    name="tora",
    title="Tora (arXiv 2407.21705)",
    detectors=("content",),
    stages=("camera", "aesthetic", "captions"),
    thresholds=(
        Threshold("shorter_side_px", ">=", 720, "smaller than 720 px", _TORA),
        Threshold("aesthetic", ">", 5.5, "aesthetic score of 5.5 or less", _TORA),
        Threshold("flow_score", ">", 3.0, "flow score of 3 or less", _TORA),
        Threshold("camera_moves", "<", 1, "the camera moves", "Kinema's own (docs/train_tora.md)"),
    ),
    unknown=(
        "the estimator, frame distance and size behind the flow score are not known (here DIS at 8 fps, 480 px)",
        "the paper judges cameras by bands of angles and zoom (0.4 to 0.6) without a formula; here by an affine map",
        "clips are kept with probability 1 - flow score / 100: the column draw_weight, which marks nothing",
    ),
)
OFFLINE = Recipe(
    name="offline",
    title="Kinema's own: needs no weights but those that packages carry",
    detectors=("cascade",),
    stages=("motion_vectors", "look", "text_area", "duplicates", "camera", "captions"),
    thresholds=(
        Threshold("seconds", ">=", 1.0, "shorter than 1 s", _OWN),
        Threshold("vector_motion", ">=", 0.002, "hardly moves", _OWN),
        Threshold("shake", "<=", 0.15, "the camera shakes", _OWN),
        Threshold("text_area", "<=", 0.02, "text covers more than 2 %", _OWN),
        Threshold("bars", "<=", 0.02, "has black bars", _OWN),
        Threshold("crushed", "<=", 0.6, "too dark", _OWN),
        Threshold("blown", "<=", 0.5, "too bright", _OWN),
    ),
)
OF_STAGES = {
    "duplicates": (Threshold("duplicate_of", "empty", 0.0, "a copy of another clip", _OWN),),
    "similar": (Threshold("similar_to", "empty", 0.0, "nearly the same as another clip", _OWN),),
}
"""Thresholds that come with stages which no paper's recipe has."""
RECIPES = {recipe.name: recipe for recipe in (OFFLINE, SVD, EASYANIMATE, TORA)}


def find_recipe(name: str) -> Recipe:
    """Raises RequestError."""
    if name not in RECIPES:
        raise RequestError(
            f"Unknown recipe {name!r}.", field="recipe", value=name, legal=", ".join(RECIPES),
            nearest=nearest(name, RECIPES),
        )  # fmt: skip
    return RECIPES[name]
