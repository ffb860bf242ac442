"""What the matrices of an adapter file stand for, multiplied out to a difference of the whole weight W.

    LoRA   B A                                     arXiv 2106.09685; with a middle (LoCon): B (M * A)
    LoHa   (W1a W1b) * (W2a W2b), element by element   arXiv 2108.06098, as LyCORIS names its parts
    LoKr   kron(W1, W2), each whole or of two factors  arXiv 2309.14859
    DoRA   magnitude * V / |V| - W, with V = W + the difference of one of the above; |V| of each row (PEFT, LyCORIS'
           wd_on_output) or each column (where the magnitude is a row)   arXiv 2402.09353

Not PEFT's layers for them: with these a step of the miniature takes 2 (LoHa, LoKr) to 3.5 times (DoRA) as long.

Each is scaled by alpha / rank, as its trainers do. The factors are kept, and multiplied out when they are added: whole
differences of a large network would need its memory twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..core.errors import ModelError

Factors = Mapping[str, torch.Tensor]

LARGEST_SCALE = 1e4
"""Of alpha / rank. Trainers use 0.01 to 100."""

LARGEST_CHANGE = 1e3
"""Root mean square of what is added to a parameter. Weights of these networks are of the size of 0.01 to 10."""

LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
EPSILON = 1e-12


@dataclass(frozen=True)
class Expansion:
    """A difference of a weight, as its factors. `magnitude` is DoRA's; the difference then depends on the weight."""

    factors: Factors
    scale: float
    shape: tuple[int, ...]
    magnitude: torch.Tensor | None = None

    def over(self, weight: torch.Tensor) -> torch.Tensor:
        """The difference for the weight that it is added to, in float32 and of its shape."""
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
        """Can the factors be multiplied, and is the product of the weight's shape? Costs no arithmetic."""
        empty = {name: factor.to("meta") for name, factor in self.factors.items()}
        try:
            product = Expansion(empty, 1.0, self.shape)._product()
        except RuntimeError:
            return False
        if self.magnitude is not None and self.magnitude.numel() not in self.shape[:2]:
            return False
        return len(self.shape) > 1 and product.shape[0] == self.shape[0] and product.numel() == _numel(self.shape)

    def bound(self) -> float:
        """The largest that the root mean square of the difference can be."""
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
    """The difference that a module's tensors stand for, by role; None where they are no LoHa, LoKr or DoRA (plain LoRA
    stays in its two matrices)."""
    names = [name for name in part if name in ("down", "up") or name.startswith(("hada_", "lokr_"))]
    kinds = {name.split("_")[0] for name in names}
    if not kinds - {"down", "up"} and "magnitude" not in part:
        return None
    return Expansion({name: part[name] for name in names}, scale, shape, part.get("magnitude"))


def incomplete(part: Factors) -> str | None:
    """Which matrix a module lacks, in words; None where all are there."""
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
        return "DoRA's magnitude and no matrices"
    return None


def rank(part: Factors) -> int | None:
    """The rank that alpha is divided by; None for LoKr of two whole matrices, which has none."""
    for name, axis in (("down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("lokr_w1_b", 0)):
        if name in part and part[name].ndim:
            return int(part[name].shape[axis])
    return None


def with_middle(down: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
    """LoCon's first matrix and its middle as one: (rank, in, ...). RuntimeError where they do not fit."""
    return torch.einsum("pj...,ji->pi...", middle.float(), down.float().flatten(1))


def finite(tensor: torch.Tensor) -> bool:
    """No NaN and no infinity in it?"""
    return bool(torch.isfinite(tensor.float() if tensor.element_size() == 1 else tensor).all())


def checked_scale(what: str, alpha: float, scale: float) -> float:
    """The scale, if it is one that a trainer can have meant. ModelError otherwise, which begins with `what`."""
    if not abs(scale) <= LARGEST_SCALE:  # NaN too
        raise ModelError(f"{what}: alpha {alpha:g} makes a scale of {scale:g}; at most {LARGEST_SCALE:g} is read.")
    return scale


def _pair(part: Factors, name: str, core: str) -> torch.Tensor:
    """The product of two factors; around a core (Tucker's form, for convolutions) where there is one."""
    one, two = part[f"{name}_a"], part[f"{name}_b"]
    if core not in part:
        return one @ two
    # LyCORIS: in LoHa and LoKr the first factor is (rank, out) beside a core, the second (rank, in).
    return torch.einsum("ij...,ip,jr->pr...", part[core], one, two)


def _numel(shape: tuple[int, ...]) -> int:
    found = 1
    for side in shape:
        found *= side
    return found
