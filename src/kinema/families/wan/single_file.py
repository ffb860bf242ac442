"""Single files of the original or ComfyUI's layout: the transformer that was named, and the parts that lie
around it.

    models/diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors      the model
    models/vae/wan_2.1_vae.safetensors                            beside it, or in one of ComfyUI's folders
    models/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors   its tokenizer inside (spiece_model)
    models/clip_vision/clip_vision_h.safetensors                  for image to video

Nothing is fetched: configurations are read off the tensors (families/wan/layouts.py)."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from ...core.errors import ModelError
from ...weights.store import header
from .detect import file_facts, recognise
from .layouts import image_encoder_from, text_encoder_from, transformer_from, vae_from
from .model import WanParts
from .spiece import tokenizer_from

FOLDERS = {
    "vae": ("vae",),
    "text_encoder": ("text_encoders", "clip", "text_encoder"),
    "image_encoder": ("clip_vision", "clip", "image_encoder"),
}
PATTERNS = {
    "vae": ("wan*2[._]1*vae*.safetensors",),
    "text_encoder": ("umt5*xxl*.safetensors", "models_t5_umt5*xxl*.safetensors"),
    "image_encoder": ("clip_vision_h*.safetensors",),
}
EXAMPLES = {
    "vae": "wan_2.1_vae.safetensors",
    "text_encoder": "umt5_xxl_fp16.safetensors",
    "image_encoder": "clip_vision_h.safetensors",
}
TOKENIZERS = ("tokenizer", "google/umt5-xxl", "umt5-xxl")
LEVELS = 3
"""How many folders above the transformer's are searched for ComfyUI's."""


def load_files(location: Path, dtype: torch.dtype) -> WanParts:
    """All parts of the model whose transformer is the file `location`. Transformer and text encoder get
    `dtype`, autoencoder and image encoder float32. One ModelError lists every missing file and where it was
    looked for."""
    facts = file_facts(header(location))
    if facts is None:
        raise ModelError(f"{location}: not a Wan transformer in the original or ComfyUI's layout.")
    wanted = ["vae", "text_encoder", *(["image_encoder"] if facts["variant"] == "i2v" else [])]
    found: dict[str, Any] = {part: _find(location, part) for part in wanted}
    missing = [
        f"{part.replace('_', ' ')} ({EXAMPLES[part]}; looked in {_listed(_places(location, part))})"
        for part, file in found.items()
        if file is None
    ]
    text_file, folder = found["text_encoder"], _tokenizer_folder(location, found["text_encoder"])
    if text_file is not None and folder is None and "spiece_model" not in header(text_file):
        places = [place / name for place in _roots(location, text_file) for name in TOKENIZERS[:2]]
        missing.append(f"tokenizer (a folder; {text_file.name} has none inside; looked for {_listed(places)})")
    if missing:
        raise ModelError(f"{location.name} needs these parts, which are missing: {'; '.join(missing)}.")
    text_state = read(text_file)
    pieces = text_state.pop("spiece_model", None)
    image_encoder = image_processor = None
    if facts["variant"] == "i2v":
        image_encoder, image_processor = _blame(found["image_encoder"], image_encoder_from)
    return WanParts(
        tokenizer=_tokenizer(folder) if pieces is None else tokenizer_from(bytes(pieces.numpy())),
        text_encoder=_named(text_file, text_encoder_from, text_state, dtype),
        transformer=_blame(location, transformer_from, dtype),
        vae=_blame(found["vae"], vae_from),
        scheduler=scheduler_for(location),
        image_encoder=image_encoder,
        image_processor=image_processor,
        files=tuple(found.values()),
    )


def read(file: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a file, mapped into memory. ModelError where it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header(file)
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None


def scheduler_for(location: Path) -> Any:
    """What the published folders name: UniPC over flow sigmas, with the shift of the model's card."""
    from diffusers import UniPCMultistepScheduler

    card = recognise(location)
    shift = card.options["shift"].default if card is not None else 3.0
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, num_train_timesteps=1000
    )


def _blame(file: Path | None, build: Any, *more: Any) -> Any:
    """Read a file and build a network of it."""
    assert file is not None
    return _named(file, build, read(file), *more)


def _named(file: Path, build: Any, state: dict[str, torch.Tensor], *more: Any) -> Any:
    """Build a network; what goes wrong names the file."""
    try:
        return build(state, *more)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{file}: cannot be loaded: {reason}") from error


def _places(location: Path, part: str) -> list[Path]:
    """Folders where a part may lie: beside the transformer, then ComfyUI's folders at each level above."""
    here = location.parent
    levels = [here, *list(here.parents)[:LEVELS]]
    inside = [level / root / name for level in levels for name in FOLDERS[part] for root in ("", "models")]
    return [here, *inside]


def _find(location: Path, part: str) -> Path | None:
    """The first file of that name; where a folder has several, one in full precision wins over fp8."""
    for place in _places(location, part):
        files = sorted(place.glob("*.safetensors")) if place.is_dir() else []
        matching = [file for file in files if any(fnmatch(file.name.lower(), p) for p in PATTERNS[part])]
        if matching:
            return min(matching, key=lambda file: ("fp8" in file.name.lower(), file.name))
    return None


def _roots(location: Path, text_file: Path | None) -> list[Path]:
    folders = [location.parent, *([text_file.parent] if text_file else []), location.parent.parent]
    return list(dict.fromkeys(folders))


def _tokenizer_folder(location: Path, text_file: Path | None) -> Path | None:
    """A folder of tokenizer files beside the transformer or the text encoder."""
    for root in _roots(location, text_file):
        for name in TOKENIZERS:
            if any((root / name / file).exists() for file in ("tokenizer.json", "spiece.model")):
                return root / name
    return None


def _tokenizer(folder: Path | None) -> Any:
    assert folder is not None
    from transformers import AutoTokenizer

    try:
        if not (folder / "tokenizer.json").exists():
            return tokenizer_from((folder / "spiece.model").read_bytes())
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: not a tokenizer: {str(error).splitlines()[0]}") from error


def _listed(places: list[Path]) -> str:
    """Places in words; those that are not there are left out, unless none is."""
    there = [str(place) for place in places if place.exists()]
    return ", ".join(there or [str(place) for place in places[:2]])
