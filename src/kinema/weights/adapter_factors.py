"""Multiply out the matrices of an adapter file to a difference of the full weight W.

    LoRA   B A                                     arXiv 2106.09685; with a middle (LoCon): B (M * A)
    LoHa   (W1a W1b) * (W2a W2b), element by element   arXiv 2108.06098, as LyCORIS names its parts
    LoKr   kron(W1, W2), each full or of two factors   arXiv 2309.14859
    DoRA   magnitude * V / |V| - W, with V = W + the difference of one of the above; |V| of each row (PEFT, LyCORIS'
           wd_on_output) or each column (if the magnitude is a row)   arXiv 2402.09353

PEFT's layers for these are not used: with them a step of the miniature takes 2 (LoHa, LoKr) to 3.5 times (DoRA) as
long.

Each is scaled by alpha / rank, as in training. Only the factors are stored, and multiplied out when they are added:
full differences of a large network would need its memory twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..core.errors import ModelError

Factors = Mapping[str, torch.Tensor]

LARGEST_SCALE = 1e4
"""Limit of alpha / rank. Trainers use 0.01 to 100."""

LARGEST_CHANGE = 1e3
"""Limit of the root mean square of a difference. Weights of these networks are about 0.01 to 10."""

LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
EPSILON = 1e-12


@dataclass(frozen=True)
class Expansion:
    """A weight's difference as factors. `magnitude` is DoRA's; the difference then depends on the weight."""

    factors: Factors
    scale: float
    shape: tuple[int, ...]
    magnitude: torch.Tensor | None = None

    def over(self, weight: torch.Tensor) -> torch.Tensor:
        """The difference for this weight, in float32, of the weight's shape."""
        product = self._product().reshape(self.shape) * self.scale
        if self.magnitude is None:
            return product
        own = weight.float()
        changed = own + product
        by_row = self.magnitude.numel() == self.shape[0] and tuple(self.magnitude.shape[:2]) != (1, self.shape[0])
        flat = changed.flatten(1) if by_row else changed.transpose(0, 1).flatten(1)
        lengths = flat.norm(dim=1) + EPSILON
        across = (-1,) + (1,) * (len(self.shape) - 1) if by_row else (1, -1) + (1,) * (len(self.shape) - 2)
        return changed * (self.magnitude.float().flatten() / lengths).view(across) - own

    def fits(self) -> bool:
        """Whether the factors can be multiplied and the product has the weight's shape. Does no arithmetic."""
        empty = {name: factor.to("meta") for name, factor in self.factors.items()}
        try:
            product = Expansion(empty, 1.0, self.shape)._product()
        except RuntimeError:
            return False
        if self.magnitude is not None and self.magnitude.numel() not in self.shape[:2]:
            return False
        return len(self.shape) > 1 and product.shape[0] == self.shape[0] and product.numel() == _numel(self.shape)

    def bound(self) -> float:
        """An upper bound of the root mean square of the difference."""
        if self.magnitude is not None:
            return float(self.magnitude.float().abs().max())
        size = abs(self.scale)
        for factor in self.factors.values():
            size *= float(factor.float().norm())
        return size / max(_numel(self.shape), 1) ** 0.5

    def _product(self) -> torch.Tensor:
        part = {name: factor.float() for name, factor in self.factors.items()}
        if "down" in part:
            return part["up"].flatten(1) @ part["down"].flatten(1)
        if "hada_w1_a" in part:
            return _pair(part, "hada_w1", "hada_t1") * _pair(part, "hada_w2", "hada_t2")
        one = part["lokr_w1"] if "lokr_w1" in part else part["lokr_w1_a"] @ part["lokr_w1_b"]
        two = part["lokr_w2"] if "lokr_w2" in part else _pair(part, "lokr_w2", "lokr_t2")
        return torch.kron(one.reshape(*one.shape, *(1,) * (two.ndim - one.ndim)), two)


def expansion(part: Factors, shape: tuple[int, ...], scale: float) -> Expansion | None:
    """The difference of a module's tensors, by role; None unless they are LoHa, LoKr or DoRA (plain LoRA stays in its
    two matrices)."""
    names = [name for name in part if name in ("down", "up") or name.startswith(("hada_", "lokr_"))]
    kinds = {name.split("_")[0] for name in names}
    if not kinds - {"down", "up"} and "magnitude" not in part:
        return None
    return Expansion({name: part[name] for name in names}, scale, shape, part.get("magnitude"))


def incomplete(part: Factors) -> str | None:
    """A description of the matrices that a module lacks; None if it is complete."""
    if ("down" in part) != ("up" in part):
        return "only one of its two matrices"
    if any(name.startswith("hada_") for name in part) and not all(name in part for name in LOHA):
        return "not all of LoHa's four matrices"
    if any(name.startswith("lokr_") for name in part):
        for one in ("lokr_w1", "lokr_w2"):
            if one not in part and not (f"{one}_a" in part and f"{one}_b" in part):
                return f"no {one}"
    magnitude = "magnitude" in part or "row_magnitude" in part
    if magnitude and not any(name.startswith(("down", "hada_", "lokr_")) for name in part):
        return "DoRA's magnitude but no matrices"
    return None


def rank(part: Factors) -> int | None:
    """The rank that alpha is divided by; None for LoKr of two full matrices."""
    for name, axis in (("down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("lokr_w1_b", 0)):
        if name in part and part[name].ndim:
            return int(part[name].shape[axis])
    return None


def with_middle(down: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """Merge LoCon's first matrix and its middle: (rank, in, ...). RuntimeError if their shapes do not match."""
    return torch.einsum("pj...,ji->pi...", middle.float(), down.float().flatten(1))


def finite(tensor: torch.Tensor) -> bool:
    """Whether a tensor has no NaN and no infinity."""
    return bool(torch.isfinite(tensor.float() if tensor.element_size() == 1 else tensor).all())


def checked_scale(name: str, alpha: float, scale: float) -> float:
    """Return the scale. ModelError, starting with `name`, if it is too large."""
    if not abs(scale) <= LARGEST_SCALE:  # NaN too
        raise ModelError(f"{name}: alpha {alpha:g} gives a scale of {scale:g}; the limit is {LARGEST_SCALE:g}.")
    return scale


def _pair(part: Factors, name: str, core: str) -> torch.Tensor:
    """The product of two factors, around a core (Tucker decomposition, for convolutions) if there is one."""
    one, two = part[f"{name}_a"], part[f"{name}_b"]
    if core not in part:
        return one @ two
    # LyCORIS: in LoHa and LoKr with a core, the first factor is (rank, out), the second (rank, in).
    return torch.einsum("ij...,ip,jr->pr...", part[core], one, two)


def _numel(shape: tuple[int, ...]) -> int:
    found = 1
    for side in shape:
        found *= side
    return found
