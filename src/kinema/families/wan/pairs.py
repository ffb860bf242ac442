"""The two experts of Wan 2.2 A14B as two single files: found by each other's names, or given as HIGH:LOW (no torch).

The experts of a pair have the same tensors; only names tell which is which, and which two belong together.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ...core.card import Card
from ...core.errors import ModelError
from ...weights.names import file_name
from . import detect, variants
from .cards import PAIRED

EXPERT = re.compile(r"(?i)(?:high|low)(?=[\W_]*noise)|(?<![a-z])(?:high|low)(?![a-z])")
WORDS = re.compile(r"(?i)[\W_]*(?:high|low)[\W_]*noise(?![a-z])|[\W_]+(?:high|low)(?![a-z])")


def pair_of(file: Path) -> tuple[Path, Path] | None:
    """A file and that of the other expert, the one for high noise first: the only one next to it (or in the other
    expert's folder next to its own) whose name differs in `high` and `low` alone. None if the name says neither, or if
    there is no such file."""
    if (expert := detect.expert_of(file)) == "":
        return None
    folders = [file.parent]
    if EXPERT.search(file.parent.name):
        folders = [each for each in _listed(file.parent.parent) if _alike(each, file.parent)]
    found = [
        each
        for folder in folders
        for each in _listed(folder)
        if each != file and _alike(each, file) and detect.expert_of(each) not in ("", expert)
    ]
    if len(found) != 1:
        return None
    return (file, found[0]) if expert == "high" else (found[0], file)


def pair(high: Path, low: Path) -> Card:
    """The card of two experts. ModelError if they are not two experts of one model, or if their names say that they are
    the other way round."""
    if high.resolve() == low.resolve():
        raise ModelError(f"{high}: one file for both experts. Specify two files, HIGH:LOW.")
    said = detect.expert_of(high), detect.expert_of(low)
    if said[0] == "low" or said[1] == "high":
        raise ModelError(
            f"{high.name}:{low.name}: by their names the files are not the expert for high noise and then the one for "
            "low noise (HIGH:LOW)."
        )
    kind, seen = _expert(high)
    other, low_seen = _expert(low)
    if kind != other or _shape(seen.signs) != _shape(low_seen.signs):
        raise ModelError(f"{high.name} and {low.name} are not two experts of one model: their tensors differ.")
    card = detect.named(high, seen, PAIRED[kind])
    return card.model_copy(update={"id": name(high, low), "second_path": str(low), "single_files": ()})


def name(high: Path, low: Path) -> str:
    """The name of a pair: that of its files without the expert's; of files with other names, both."""
    if EXPERT.search(high.parent.name) and not EXPERT.search(high.name):
        return high.parent.parent.name
    plain = WORDS.sub("", file_name(high))
    same = plain == WORDS.sub("", file_name(low)) and re.search(r"[A-Za-z0-9]", plain)
    return plain if same else f"{file_name(high)}:{file_name(low)}"


def _expert(file: Path) -> tuple[str, detect.SeenFile]:
    """The kind of pair that a file is half of. ModelError if it is none."""
    seen = detect.seen_file(file)
    if seen is None:
        raise ModelError(f"{file}: not a Wan transformer in the original or ComfyUI layout.")
    kind = variants.kind_of(seen.signs).removesuffix("-high").removesuffix("-low")
    if kind in ("t2v", "vace") and seen.signs.width == 5120 and not variants.first_generation(file.name):
        kind = f"{kind}-a14b"
    if kind not in PAIRED:
        raise ModelError(f"{file}: not one of the two experts of Wan 2.2 A14B, but {kind}.")
    return kind, seen


def _shape(signs: variants.Signs) -> variants.Signs:
    """Without what may differ between the experts: names, and the tensors of a quantisation."""
    return replace(signs, name="", keys=frozenset())


def _alike(one: Path, other: Path) -> bool:
    return EXPERT.sub("#", one.name).lower() == EXPERT.sub("#", other.name).lower() and one.is_dir() == other.is_dir()


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
