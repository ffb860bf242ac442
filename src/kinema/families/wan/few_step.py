"""Published four-step LoRAs of Wan 14B as students, which `fast` takes if they lie beside the model (no torch).

They were trained for four Euler steps from t = 1000, 937.5, 833.3 and 625 without guidance (shift 5). Those of Wan 2.2
come in pairs, one for each expert. They are searched in the model's folder, in ComfyUI's `loras` next to or above it,
and in the `loras` of folders that were added.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from ...core.card import Card, Student
from .file_parts import places
from .pairs import pair_of

SIGMAS, SHIFT = (1.0, 0.9375, 0.8333, 0.625), 5.0
NAMES = {
    "t2v": ("wan2.1_t2v_14b_lora_rank*_lightx2v_4step*", "lightx2v_t2v_14b_cfg_step_distill*"),
    "i2v": (
        "wan2.1_i2v*_lora_rank*_lightx2v_4step*", "lightx2v_i2v_14b_*cfg_step_distill*",
    ),
    "t2v-a14b": ("wan2.2_t2v_lightx2v_4steps_lora*_{}_noise*", "wan2.2-t2v-a14b-4steps-lora*/{}_noise_model*"),
    "i2v-a14b": (
        "wan2.2_i2v_lightx2v_4steps_lora*_{}_noise*", "wan2.2_i2v_a14b_{}_noise_lora_rank*_lightx2v_4step*",
        "wan2.2-i2v-a14b-4steps-lora*/{}_noise_model*",
    ),
}  # fmt: skip
"""Patterns of files (or folder/file) by kind of network, in lower case; {}: high or low."""
EXPERTS = ("high", "low")
MOST = 2000
WIDE = 5120
"""Width of the 14B networks, the only ones with such LoRAs."""


def complete(card: Card, place: Path) -> Card:
    """The card whose `fast` samples with a four-step LoRA, if one is found for its network."""
    fast = card.profiles.get("fast")
    if fast is None or fast.student is not None or card.variant not in NAMES or card.network.width != WIDE:
        return card
    found = find(card.variant, place)
    if not found:
        return card
    student = Student(adapter=":".join(map(str, found)), sigmas=SIGMAS, guidance=1.0, shift=SHIFT)
    return card.model_copy(update={"profiles": {**card.profiles, "fast": fast.model_copy(update={"student": student})}})


def find(kind: str, place: Path) -> tuple[Path, ...]:
    """The LoRA for a network, or both of a pair, the one for high noise first; empty if none (or only one) is there."""
    files = sorted(dict.fromkeys(itertools.islice(_files(place), MOST)))
    for pattern in NAMES[kind]:
        for file in files:
            if not _matches(file, pattern.format(EXPERTS[0])):
                continue
            if "{}" not in pattern:
                return (file,)
            if (both := pair_of(file)) is not None:
                return both
    return ()


def paths(text: str, folder: Path | None) -> tuple[Path, ...]:
    """The files of a plan's student: one in the model's folder, or one or two elsewhere (HIGH:LOW). Empty if they are
    not there."""
    one = (folder / text) if folder is not None else Path(text)
    if one.is_file():
        return (one,)
    for at in (index for index, letter in enumerate(text) if letter == ":"):
        both = Path(text[:at]), Path(text[at + 1 :])
        if all(each.is_file() for each in both):
            return both
    return ()


def _files(place: Path) -> Iterator[Path]:
    here = place if place.is_dir() else place.parent
    yield from here.glob("*.safetensors")
    for folder in places(here, ("loras",))[1:]:
        if folder.is_dir():
            yield from folder.rglob("*.safetensors")


def _matches(file: Path, pattern: str) -> bool:
    name = f"{file.parent.name}/{file.name}" if "/" in pattern else file.name
    return fnmatch(name.lower(), pattern if pattern.endswith("*") else f"{pattern}*")
