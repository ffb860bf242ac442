"""Layers whose weight stays as its file stores it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from .contract import Stored, cut, widened


class StoredLayer(nn.Module):
    """Holds a stored weight as buffers of bytes: they move with the module, and `.to(dtype)` leaves them alone."""

    def hold(self, stored: Stored, dtype: torch.dtype) -> None:
        self.stored, self.dtype = stored, dtype
        self.changed: torch.Tensor | None
        self.register_buffer("changed", None, persistent=False)
        for name, part in stored.parts.items():
            self.register_buffer(f"stored_{name}", part)
        self.stored = Stored(stored.shape, stored.code, {}, stored.dtypes)  # the buffers are the weight from now on

    @property
    def device(self) -> torch.device:
        return next(iter(self.bytes_by_part.values())).device

    @property
    def bytes_by_part(self) -> dict[str, torch.Tensor]:
        return {name: getattr(self, f"stored_{name}") for name in self.stored.dtypes}

    def widened(self, dtype: torch.dtype) -> torch.Tensor:
        """The weight (N, K) in `dtype`."""
        return widened(self.stored, self.bytes_by_part, dtype)

    def change(self, weight: torch.Tensor | None) -> None:
        """Use another weight in place of the stored one, at its full size, until None takes it back."""
        self.changed = None if weight is None else weight.to(self.dtype)


class StoredLinear(StoredLayer, nn.Linear):
    """nn.Linear with a stored weight. `weight` is a widened copy: writing to it has no effect; see `change`."""

    def __init__(self, stored: Stored, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = stored.shape
        self.hold(stored, dtype)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        return self.widened(self.dtype) if self.changed is None else self.changed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., K) to (..., N), in the type of `x`."""
        weight = self.widened(x.dtype) if self.changed is None else self.changed.to(x.dtype)
        return F.linear(x, weight, None if self.bias is None else self.bias.to(x.dtype))


class StoredEmbedding(StoredLayer, nn.Embedding):
    """nn.Embedding with a stored weight: only the rows of the given words are widened."""

    def __init__(self, stored: Stored, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.num_embeddings, self.embedding_dim = stored.shape
        self.padding_idx, self.max_norm, self.scale_grad_by_freq, self.sparse = None, None, False, False
        self.hold(stored, dtype)

    @property
    def weight(self) -> torch.Tensor:  # type: ignore[override]
        return self.widened(self.dtype)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """(...) int to (..., K)."""
        typed = {name: part.view(self.stored.dtypes[name]) for name, part in self.bytes_by_part.items()}
        rows = cut(typed, self.num_embeddings, words.flatten())
        return self.stored.code.widen(rows).to(self.dtype).view(*words.shape, self.embedding_dim)


def place(network: nn.Module, weights: Mapping[str, Stored], dtype: torch.dtype) -> None:
    """Put stored weights ("name.of.layer.weight") into a network in place of its linear layers and embeddings, whose
    biases are already filled. Layers of other kinds must not be among them."""
    for name, stored in weights.items():
        path, _, _ = name.rpartition(".")
        parent, _, child = path.rpartition(".")
        layer = network.get_submodule(path)
        if isinstance(layer, nn.Embedding):
            kept: nn.Module = StoredEmbedding(stored, dtype)
        else:
            bias = getattr(layer, "bias", None)
            kept = StoredLinear(stored, bias.detach() if isinstance(bias, torch.Tensor) else None, dtype)
        setattr(network.get_submodule(parent), child, kept)


def can_hold(layer: nn.Module) -> bool:
    """Whether `place` has a counterpart for a layer."""
    return type(layer) in (nn.Linear, nn.Embedding)


def stored_layers(network: nn.Module) -> dict[str, StoredLayer]:
    """The layers with a stored weight, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, StoredLayer)}
