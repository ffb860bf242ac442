"""Optional parts of a model's folder, and their additions to the model's card (no torch).

    tiny_decoder/   config.json, diffusion_pytorch_model.safetensors    the option `decoder`; `fast` takes tiny
    few_step/       few_step.json, pytorch_lora_weights.safetensors     a distilled student, used by `fast`

few_step.json: {"sigmas": [1.0, ..., 0.1], "shift": 3.0, "guidance": 1.0, "scheduler": "euler", "steps": 6}; a final 0
in sigmas, scheduler and steps are optional.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...core.card import Card, Student
from ...core.errors import ModelError
from ...core.outside import read_json
from . import few_step
from .options import WanOptions

TINY_DECODER = "tiny_decoder"
FEW_STEP = "few_step"
ADAPTER = "pytorch_lora_weights.safetensors"


def complete(card: Card, place: Path) -> Card:
    """The card with the options and profiles that the parts of a model's folder, or the files beside it, support.
    ModelError if few_step.json is damaged."""
    return few_step.complete(_of_folder(card, place) if place.is_dir() else card, place)


def _of_folder(card: Card, folder: Path) -> Card:
    fast = card.profiles["fast"]
    options = dict(card.options)
    if (folder / TINY_DECODER / "config.json").is_file():
        options |= WanOptions.table(decoder="full")
        # In-place edits put decoded pixels next to the clip's own, window after window: softness shows and adds up.
        fast = fast.model_copy(update={"options": {**fast.options, "decoder": "tiny"}, "in_place": {"decoder": "full"}})
    if (folder / FEW_STEP / "few_step.json").is_file():
        fast = fast.model_copy(update={"student": student(folder / FEW_STEP / "few_step.json")})
    if fast == card.profiles["fast"]:
        return card
    return card.model_copy(update={"options": options, "profiles": {**card.profiles, "fast": fast}})


def student(file: Path) -> Student:
    """The student that a few_step.json describes; its adapter is in the same folder."""
    try:
        facts: dict[str, Any] = read_json(file, dict, error=ModelError)
        sigmas = [float(sigma) for sigma in facts["sigmas"]]
        if sigmas[-1] == 0.0:
            del sigmas[-1]
        found = Student(
            adapter=f"{FEW_STEP}/{facts.get('adapter', ADAPTER)}",
            sigmas=tuple(sigmas),
            guidance=facts.get("guidance", 1.0),
            shift=facts["shift"],
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, ValidationError) as error:
        raise ModelError(f"{file}: not a legal description of a few-step student: {error!r}.") from None
    wrong = [
        words
        for bad, words in (
            (any(a <= b for a, b in pairwise(sigmas)), "sigmas must decrease"),
            (facts.get("steps", found.steps) != found.steps, f"steps must be the number of sigmas, {found.steps}"),
            (facts.get("scheduler", "euler") != "euler", "scheduler must be euler"),
            (
                "/" in found.adapter.removeprefix(f"{FEW_STEP}/"),
                "adapter must be the name of a file in the same folder",
            ),
            (not (file.parent / Path(found.adapter).name).is_file(), f"{found.adapter} is missing"),
        )
        if bad
    ]
    if wrong:
        raise ModelError(f"{file}: {'; '.join(wrong)}.")
    return found
