"""Aesthetic predictors: heads on the unit image vectors of CLIP ViT-L/14.

Legend: N frames, D width of the vectors (768).

Two published heads are read from local files: LAION's linear layer (sa_0_4_vit_l_14_linear.pth: `weight`, `bias`) and
the "improved aesthetic predictor" (sac+logos+ava1-l14-linearMSE.pth: five layers without activations, `layers.0` to
`layers.7`). Both score from about 1 to 10. Kinema ships neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.errors import ModelError

CLIP = "openai/clip-vit-large-patch14"
Head = Callable[[np.ndarray], np.ndarray]
"""Unit vectors (N, D) to scores (N,)."""


def aesthetic_head(file: Path) -> Head:
    """A head from its file. The layers have no activations between them, so they are one linear map. Raises
    ModelError for a file of anything else."""
    try:
        from ..weights import state_dict  # imports torch

        tensors = {name: value.double().numpy() for name, value in state_dict.read(file).items()}
        if "weight" in tensors:
            layers = [(tensors["weight"], tensors["bias"])]
        else:
            numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("layers.")})
            layers = [(tensors[f"layers.{number}.weight"], tensors[f"layers.{number}.bias"]) for number in numbers]
        weight, bias = layers[0]
        for after_weight, after_bias in layers[1:]:
            weight, bias = after_weight @ weight, after_weight @ bias + after_bias
        if weight.shape[0] != 1 or weight.ndim != 2:
            raise ValueError
    except (KeyError, ValueError, IndexError, AttributeError, TypeError, RuntimeError):
        raise ModelError(f"{file}: not the head of an aesthetic predictor.") from None
    return lambda vectors_ND: (vectors_ND.astype(np.float64) @ weight.T + bias)[:, 0]
