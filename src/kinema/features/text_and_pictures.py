"""Encoders of text and pictures into one space: the CLIP models of transformers, and kinema-mini-clip, a tiny one.

Legend: N frames, M texts, H W pixels, D width of the space.

Source: Radford and others, "Learning transferable visual models from natural language supervision", 2021, arXiv
2103.00020. kinema-mini-clip has the same classes with a tiny configuration, trained on Toyland (recipes/mini_clip.py):
it knows Toyland's words and pictures, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.errors import ModelError, WeightsMissing
from ..weights import local, store

MINI = "mini-clip"
DEFAULT = "openai/clip-vit-base-patch32"
"""The backbone of published CLIPSIM figures."""
BATCH = 64


class TextAndPictures(Protocol):
    """name: as given. digest: SHA-256 of the weights. size_px: the side of the square that the network sees."""

    name: str
    digest: str
    size_px: int

    def pictures(self, frames_NHWC: np.ndarray) -> np.ndarray:
        """Unit vectors (N, D), float32, of uint8 RGB frames."""

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (M, D), float32. Text beyond the tokenizer's length is cut off."""


def text_and_pictures(name: str = MINI, device: str = "cpu") -> TextAndPictures:
    """Load an encoder: `mini-clip` (shipped), or a CLIP model of transformers as a folder or hub id. Nothing is
    fetched. Raises WeightsMissing with the command that fetches it, ModelError for other networks."""
    return ClipEncoder(name, folder_of(name), device)


def folder_of(name: str) -> Path:
    """The folder of an encoder's weights. Raises WeightsMissing."""
    if name == MINI:
        return Path(str(files("kinema"))) / "miniatures" / "mini_clip"
    return weights_of(name, "Comparing text with pictures")


def weights_of(name: str, what: str) -> Path:
    """The local folder with a network of transformers, a folder or hub id. Raises WeightsMissing. what: the work that
    requires it."""
    folder = store.local_path(name)
    if folder is None or not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise WeightsMissing(
            f"{what} requires {name}, which is not on this machine. `kinema models pull {name}` downloads it from the "
            "hub; you can also specify a local folder."
        )
    return folder


class ClipEncoder:
    """A `CLIPModel` of transformers with its tokenizer and image processor: frames are resized and cropped as its
    preprocessor_config.json says."""

    def __init__(self, name: str, folder: Path, device: str = "cpu") -> None:
        import torch
        from transformers import AutoTokenizer, CLIPModel

        from ..weights.folder import load_part
        from ..weights.residency import Residency

        self.name, self.place = name, torch.device(device)
        self.model = local.load(CLIPModel, folder)
        try:
            self.tokenizer: Any = load_part(AutoTokenizer, folder)
            self.processor: Any = local.processor(folder)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: cannot be loaded: {(str(error).splitlines() or [''])[0]}") from None
        Residency(self.place, [self.model], staged=False)
        self.size_px = int(self.model.config.vision_config.image_size)
        self.digest = digest_of(folder)

    def pictures(self, frames_NHWC: np.ndarray) -> np.ndarray:
        import torch

        if frames_NHWC.ndim != 4 or frames_NHWC.shape[-1] != 3 or frames_NHWC.dtype != np.uint8 or not len(frames_NHWC):
            raise ValueError(f"frames must be uint8 (N, H, W, 3), got {frames_NHWC.dtype} {frames_NHWC.shape}")
        parts = []
        for start in range(0, len(frames_NHWC), BATCH):
            frames = list(frames_NHWC[start : start + BATCH])
            pixels = self.processor(images=frames, return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                parts.append(_vectors(self.model.get_image_features(pixel_values=pixels.to(self.place))))
        return _unit(np.concatenate(parts))

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self.place)
        with torch.inference_mode():
            return _unit(_vectors(self.model.get_text_features(**tokens)))


def digest_of(folder: Path) -> str:
    """SHA-256 of a folder's weights; of several files, of their digests in order of names."""
    import hashlib

    found = store.digests(folder)
    if len(found) == 1:
        return next(iter(found.values()))
    return hashlib.sha256("".join(f"{name} {found[name]}\n" for name in sorted(found)).encode()).hexdigest()


def _vectors(output: Any) -> np.ndarray:
    """The projected vectors: a tensor, or a field of an output class, by version of transformers."""
    found: np.ndarray = getattr(output, "pooler_output", output).float().cpu().numpy()
    return found


def _unit(vectors_ND: np.ndarray) -> np.ndarray:
    return vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-12)
