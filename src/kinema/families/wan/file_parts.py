"""Find the parts of a model whose transformer is a single file in the original or ComfyUI's layout (no torch).

models/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors      the model
models/vae/wan_2.1_vae.safetensors                            next to it, or in one of ComfyUI's folders
models/vae/wan2.2_vae.safetensors                             for TI2V-5B
models/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors   its tokenizer inside (spiece_model)
models/clip_vision/clip_vision_h.safetensors                  for image to video
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from ...core.errors import ModelError
from ...weights import comfy_folders
from ...weights.headers import header
from ...weights.quantised import file_entries
from . import variants
from .cards import GRIDS
from .detect import file_facts, file_signs

FOLDERS = {
    "vae": ("vae",),
    "vae 2.2": ("vae",),
    "text_encoder": ("text_encoders", "clip", "text_encoder"),
    "image_encoder": ("clip_vision", "clip", "image_encoder"),
}
PATTERNS = {
    "vae": ("wan2[._]1[_-]vae*.safetensors", "wan[_-]2[._]1[_-]vae*.safetensors"),
    "vae 2.2": ("wan2[._]2[_-]vae*.safetensors", "wan[_-]2[._]2[_-]vae*.safetensors"),
    "text_encoder": ("umt5*xxl*.safetensors", "models_t5_umt5*xxl*.safetensors"),
    "image_encoder": ("clip_vision_h*.safetensors",),
}
EXAMPLES = {
    "vae": "wan_2.1_vae.safetensors",
    "vae 2.2": "wan2.2_vae.safetensors",
    "text_encoder": "umt5_xxl_fp16.safetensors",
    "image_encoder": "clip_vision_h.safetensors",
}
TOKENIZERS = ("tokenizer", "google/umt5-xxl", "umt5-xxl")
LEVELS = 3
"""Number of parent folders that are searched for ComfyUI's folders."""


def found_parts(location: Path) -> dict[str, Path | None]:
    """The file of each part that the transformer in `location` requires; None for missing ones. ModelError if the file
    is not a Wan transformer."""
    entries = file_entries(location)
    facts = file_facts(entries, str(location))
    if facts is None:
        raise ModelError(f"{location}: not a Wan transformer in the original or ComfyUI layout.")
    wide = variants.supported(file_signs("", entries, facts)) in GRIDS
    images = ["image_encoder"] if facts["image_dim"] is not None else []
    wanted = ["vae 2.2" if wide else "vae", "text_encoder", *images]
    return {part: _find(location, part) for part in wanted}


def missing(location: Path) -> list[str]:
    """The missing parts, each with the searched folders; empty for a folder, which has its own index."""
    return [f"{part} ({words})" for part, file, words in beside(location) if file is None]


def beside(location: Path) -> list[tuple[str, Path | None, str]]:
    """The parts that a transformer's file needs beside it: name, place (None if missing), and a file's usual name with
    the searched folders. Empty for a folder."""
    if location.is_dir():
        return []
    found = found_parts(location)
    wanted = [
        (part, file, f"{EXAMPLES[part]}; searched {_listed(places(location.parent, FOLDERS[part]))}")
        for part, file in found.items()
    ]
    text_file = found["text_encoder"]
    if text_file is not None and "spiece_model" not in header(text_file):
        beside_it = [place / name for place in _roots(location, text_file) for name in TOKENIZERS[:2]]
        words = f"a folder; {text_file.name} contains none; searched {_listed(beside_it)}"
        wanted.append(("tokenizer", tokenizer_folder(location, text_file), words))
    return [(part.replace("_", " "), file, words) for part, file, words in wanted]


def places(here: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders to search for a file beside a model: its own folder, then ComfyUI's folders of these names at each
    level above, then those of ComfyUI that were added."""
    levels = [here, *list(here.parents)[:LEVELS]]
    inside = [level / root / name for level in levels for name in names for root in ("", "models")]
    return [here, *inside, *comfy_folders.remembered(*names)]


def _find(location: Path, part: str) -> Path | None:
    """The first matching file; within a folder, full precision is preferred to fp8."""
    for number, place in enumerate(places(location.parent, FOLDERS[part])):
        files = sorted(place.glob("*.safetensors" if number == 0 else "**/*.safetensors")) if place.is_dir() else []
        matching = [file for file in files if any(fnmatch(file.name.lower(), p) for p in PATTERNS[part])]
        if matching:
            return min(matching, key=lambda file: ("fp8" in file.name.lower(), file.name))
    return None


def _roots(location: Path, text_file: Path | None) -> list[Path]:
    folders = [location.parent, *([text_file.parent] if text_file else []), location.parent.parent]
    return list(dict.fromkeys(folders))


def tokenizer_folder(location: Path, text_file: Path | None) -> Path | None:
    """A folder of tokenizer files next to the transformer or the text encoder."""
    for root in _roots(location, text_file):
        for name in TOKENIZERS:
            if any((root / name / file).exists() for file in ("tokenizer.json", "spiece.model")):
                return root / name
    return None


def _listed(places: list[Path]) -> str:
    """The existing paths as text, or the first two if none exists."""
    existing = list(dict.fromkeys(str(place) for place in places if place.exists()))
    return ", ".join(existing or [str(place) for place in places[:2]])
