"""LPIPS: the perceptual distance of two pictures, by the features of AlexNet and one learned weight per channel.

Two published files are read, as plain tensors: torchvision's AlexNet and the weights of the layers, which the package
lpips carries (its code is not run).

Legend: F frames, H W pixels, C channels.

Source: Zhang and others, "The unreasonable effectiveness of deep features as a perceptual metric", 2018, arXiv
1801.03924, equation 1; version 0.1, net alex.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ModelError, WeightsMissing
from ..core.extras import install_command
from ..core.home import home

if TYPE_CHECKING:
    import torch

BACKBONE = "alexnet-owt-7be5be79.pth"
"""The last part is the start of the file's SHA-256, as in all file names of torchvision."""
BACKBONE_DIGEST = "7be5be79"
SOURCE = f"https://download.pytorch.org/models/{BACKBONE}"
BATCH = 16
SHIFT, SPREAD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
LAYERS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""Number in torchvision's `features`, stride, padding. A 3x3 maximum of stride 2 follows the first two."""


class Lpips:
    """Distances of frames; smaller is more alike, 0 for equal frames."""

    def __init__(self, device: str = "cpu", backbone: Path | None = None, weights: Path | None = None) -> None:
        """backbone, weights: the two files; None: where they usually are. Raises WeightsMissing, ModelError."""
        import torch

        files = (backbone or _backbone(), weights or _weights())
        self.digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        if backbone is None and not self.digests[0].startswith(BACKBONE_DIGEST):
            raise ModelError(f"{files[0]}: its SHA-256 starts with {self.digests[0][:8]}, not {BACKBONE_DIGEST}.")
        network, linear = (_tensors(file) for file in files)
        place = torch.device(device)
        try:
            parts = [(network[f"features.{n}.weight"], network[f"features.{n}.bias"]) for n, *_ in LAYERS]
            self.weights = [linear[f"lin{k}.model.1.weight"].flatten().to(place) for k in range(len(LAYERS))]
        except KeyError as error:
            raise ModelError(f"{files[0]}, {files[1]}: no tensor {error}.") from None
        self.layers = [
            (weight.to(place), bias.to(place), stride, pad) for (weight, bias), (_, stride, pad) in zip(parts, LAYERS)
        ]
        if any(weight.shape[0] != len(scale) for (weight, *_), scale in zip(self.layers, self.weights)):
            raise ModelError(f"{files[1]}: its weights are not those of AlexNet's layers.")
        self.place = place

    def facts(self) -> dict[str, Any]:
        return {"network": "alex, version 0.1", "weights": self.digests}

    def __call__(self, a_FHWC: np.ndarray, b_FHWC: np.ndarray) -> np.ndarray:
        """The distance of each pair of uint8 RGB frames, (F,) float64."""
        import torch

        found = []
        with torch.inference_mode():
            for start in range(0, len(a_FHWC), BATCH):
                a, b = (self._features(x[start : start + BATCH]) for x in (a_FHWC, b_FHWC))
                parts = [
                    torch.einsum("fchw,c->fhw", (one - two) ** 2, scale).mean((1, 2))
                    for one, two, scale in zip(a, b, self.weights)
                ]
                found.append(torch.stack(parts).sum(0).double().cpu().numpy())
        return np.concatenate(found)

    def _features(self, frames_FHWC: np.ndarray) -> list[torch.Tensor]:
        """The features after each layer, of unit length over the channels, (F, C, H, W)."""
        import torch
        from torch.nn import functional

        x = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).to(self.place).permute(0, 3, 1, 2).float() / 127.5 - 1
        shift, spread = (torch.tensor(each, device=self.place).view(1, 3, 1, 1) for each in (SHIFT, SPREAD))
        x, found = (x - shift) / spread, []
        for number, (weight, bias, stride, pad) in enumerate(self.layers):
            if number in (1, 2):
                x = functional.max_pool2d(x, 3, 2)
            x = functional.relu(functional.conv2d(x, weight, bias, stride, pad))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    import torch

    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises has no common class
        raise ModelError(f"{file}: cannot be read ({(str(error).splitlines() or [''])[0][:200]}).") from None
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(f"{file}: holds no tensors by name.")
    return {str(name): value.float() for name, value in found.items()}


def _backbone() -> Path:
    import torch

    places = [home() / "features" / BACKBONE, Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE]
    for place in places:
        if place.is_file():
            return place
    raise WeightsMissing(f"LPIPS requires {BACKBONE}, from {SOURCE}, in {places[0].parent} or {places[1].parent}.")


def _weights() -> Path:
    spec = importlib.util.find_spec("lpips")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "weights" / "v0.1" / "alex.pth"
        if file.is_file():
            return file
    raise WeightsMissing(f"LPIPS requires the package lpips, whose layer weights it reads: {install_command('lpips')}")
