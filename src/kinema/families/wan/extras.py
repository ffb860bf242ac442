"""What may lie in a model's folder beside the published parts, and what it adds to the model's card (no torch).

    tiny_decoder/   config.json, diffusion_pytorch_model.safetensors    the option `decoder`; `fast` takes tiny
    few_step/       few_step.json, pytorch_lora_weights.safetensors     a distilled student, which `fast` samples with

few_step.json: {"sigmas": [1.0, ..., 0.1], "shift": 3.0, "guidance": 1.0, "scheduler": "euler", "steps": 6}; sigmas may
end with the 0 where the last step goes; scheduler and steps may be left out.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...core.card import Card, Student
from ...core.errors import ModelError
from ...core.outside import read_json
from .options import WanOptions

TINY_DECODER = "tiny_decoder"
FEW_STEP = "few_step"
ADAPTER = "pytorch_lora_weights.safetensors"


def complete(card: Card, folder: Path) -> Card:
    """The card with the options and profiles that the folder makes possible. ModelError where few_step.json is
    broken."""
    fast = card.profiles["fast"]
    options = dict(card.options)
    if (folder / TINY_DECODER / "config.json").is_file():
        options |= WanOptions.table(decoder="full")
        # What is made lies beside the clip's own pixels, window after window: softness shows there, and adds up.
        fast = fast.model_copy(update={"options": {**fast.options, "decoder": "tiny"}, "in_place": {"decoder": "full"}})
    if (folder / FEW_STEP / "few_step.json").is_file():
        fast = fast.model_copy(update={"student": student(folder / FEW_STEP / "few_step.json")})
    if fast == card.profiles["fast"]:
        return card
    return card.model_copy(update={"options": options, "profiles": {**card.profiles, "fast": fast}})


def student(file: Path) -> Student:
    """The student that a few_step.json describes; its adapter lies beside it."""
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
        raise ModelError(f"{file}: not a description of a few-step student: {error!r}.") from None
    wrong = [
        words
        for bad, words in (
            (any(a <= b for a, b in pairwise(sigmas)), "sigmas do not fall"),
            (facts.get("steps", found.steps) != found.steps, f"steps is not the number of sigmas, {found.steps}"),
            (facts.get("scheduler", "euler") != "euler", "scheduler is not euler"),
            ("/" in found.adapter.removeprefix(f"{FEW_STEP}/"), "adapter is not the name of a file beside it"),
            (not (file.parent / Path(found.adapter).name).is_file(), f"{found.adapter} is not there"),
        )
        if bad
    ]
    if wrong:
        raise ModelError(f"{file}: {'; '.join(wrong)}.")
    return found
