"""Load a model from single files in the original or ComfyUI's layout (see file_parts.py). Nothing is fetched:
configurations are derived from the tensors (families/wan/layouts.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.errors import ModelError
from ...weights import quantised
from ...weights.folder import load_part
from ...weights.gguf_header import is_gguf
from ...weights.headers import header
from ...weights.stored.codes import read_stored
from ...weights.stored.gguf import read_gguf
from .detect import recognise
from .file_parts import found_parts, missing, tokenizer_folder
from .layouts import image_encoder_from, text_encoder_from, transformer_from, vae_from
from .model import WanParts
from .spiece import tokenizer_from


def load_files(location: Path, dtype: torch.dtype, second: Path | None = None) -> WanParts:
    """Load all parts of the model whose transformer is the file `location`: transformer and text encoder in `dtype`,
    VAE and image encoder in float32. second: the expert for low noise, if `location` is the one for high noise.
    ModelError lists every missing file and the searched folders."""
    if lost := missing(location):
        raise ModelError(f"{location.name} requires these missing parts: {'; '.join(lost)}.")
    found: dict[str, Any] = found_parts(location)
    more = (*found.values(), *([second] if second is not None else []))
    for file in (location, *more):
        quantised.refuse(file, quantised.STORED)
    text_file = found["text_encoder"]
    folder = tokenizer_folder(location, text_file)
    text_state = read(text_file)
    pieces = text_state.pop("spiece_model", None)
    image_encoder = image_processor = None
    if "image_encoder" in found:
        image_encoder, image_processor = _build(found["image_encoder"], image_encoder_from)
    return WanParts(
        tokenizer=_tokenizer(folder) if pieces is None else tokenizer_from(bytes(pieces.numpy())),
        text_encoder=_named(text_file, text_encoder_from, text_state, dtype),
        transformer=_build(location, transformer_from, dtype),
        transformer_2=None if second is None else _build(second, transformer_from, dtype),
        vae=_build(found.get("vae") or found.get("vae 2.2"), vae_from),
        scheduler=scheduler_for(location),
        image_encoder=image_encoder,
        image_processor=image_processor,
        files=more,
    )


def read(file: Path) -> dict[str, Any]:
    """Memory-map the tensors of a file; small weights are `Stored`. ModelError if it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_gguf(file):
        return dict(read_gguf(file))
    notes = header(file).get("__metadata__") or {}
    try:
        return dict(read_stored(load_file(file), quantised.noted_layers(file, notes)))
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None


def scheduler_for(location: Path) -> Any:
    """The scheduler of the published folders: UniPC over flow sigmas, with the shift of the model's card."""
    from diffusers import UniPCMultistepScheduler

    card = recognise(location)
    shift = card.options["shift"].default if card is not None else 3.0
    return UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, num_train_timesteps=1000
    )


def _build(file: Path | None, build: Any, *more: Any) -> Any:
    """Read a file and build a network from it."""
    assert file is not None
    return _named(file, build, read(file), *more)


def _named(file: Path, build: Any, state: dict[str, Any], *more: Any) -> Any:
    """Build a network; errors name the file."""
    try:
        return build(state, *more)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{file}: cannot be loaded: {reason}") from error


def _tokenizer(folder: Path | None) -> Any:
    assert folder is not None
    from transformers import AutoTokenizer

    try:
        if not (folder / "tokenizer.json").exists():
            return tokenizer_from((folder / "spiece.model").read_bytes())
        return load_part(AutoTokenizer, folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: not a tokenizer: {str(error).splitlines()[0]}") from error
