"""Train a low-rank change of a network's linear layers, W + B A (Hu et al. 2021, arXiv 2106.09685).

The change fits a LoRA file exactly. The product is added to the weight, not to the output, which is cheaper for many
tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


# Not PEFT, which trains the other adapters (lora.py): its steps are 3 to 9 % slower for the same gradients, its
# initialization needs other learning rates, and existing checkpoints have the names of this class.
class LowRankLinear(nn.Linear):
    """A linear layer with weight + B A, where weight (out, in) is frozen and B (out, rank), A (rank, in) are trained. B
    starts at zero. Weight and bias are shared with the original layer."""

    def __init__(self, layer: nn.Linear, rank: int, generator: torch.Generator):
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        rank = min(rank, self.in_features, self.out_features)
        first = torch.randn(rank, self.in_features, generator=generator) / self.in_features**0.5
        self.A = nn.Parameter(first.to(self.weight))
        self.B = nn.Parameter(self.weight.new_zeros(self.out_features, rank))

    @property
    def whole(self) -> Tensor:
        """The changed weight."""
        return self.weight + self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.whole, self.bias)


def freeze_all_but_linear(module: nn.Module) -> None:
    """Freeze all parameters except the weights of linear layers, which a LoRA can hold."""
    module.requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.weight.requires_grad_(True)


def add_low_rank(
    module: nn.Module, rank: int, *, wanted: Callable[[str], bool] = lambda name: True, seed: int = 0
) -> list[str]:
    """Freeze the module and add a trainable change of at most this rank to each linear layer whose name is `wanted`.
    Returns the names."""
    generator = torch.Generator().manual_seed(seed)
    module.requires_grad_(False)
    layers = [(name, part) for name, part in module.named_modules() if isinstance(part, nn.Linear) and wanted(name)]
    for name, part in layers:
        _put(module, name, LowRankLinear(part, rank, generator))
    return [name for name, _ in layers]


def merge_low_rank(module: nn.Module) -> nn.Module:
    """Merge the changes into the weights and restore plain linear layers; returns the module."""
    for name, part in list(module.named_modules()):
        if isinstance(part, LowRankLinear):
            plain = nn.Linear(part.in_features, part.out_features, part.bias is not None, device="meta")
            plain.weight, plain.bias = nn.Parameter(part.whole.detach(), requires_grad=False), part.bias
            _put(module, name, plain)
    return module


def merged_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict after merging, without changing the module."""
    changed = {name: part for name, part in module.named_modules() if isinstance(part, LowRankLinear)}
    factors = {f"{name}.{factor}" for name in changed for factor in "AB"}
    state = {key: value for key, value in module.state_dict().items() if key not in factors}
    return state | {f"{name}.weight": part.whole.detach() for name, part in changed.items()}


def _put(module: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)
