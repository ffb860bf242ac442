"""Read adapter files of every dialect into one form (`Adapter`), for a network with known parameter shapes.

A key is: prefix + module name + role. The name is looked up among four spellings of each of the network's modules
(diffusers' names or, from the family's `AdapterNames`, those of the original code; joined by dots or by underscores).
This covers all dialects, and norms and modulations too, which diffusers' converters drop:

    diffusers   transformer.blocks.0.attn1.to_q.lora_A.weight               (alpha in the file's metadata)
    PEFT        base_model.model.blocks.0.attn1.to_q.lora_A.default.weight  (alpha in adapter_config.json)
    original    diffusion_model.blocks.0.self_attn.q.lora_down.weight, .lora_A.weight, .alpha; also dit., model.
    kohya       lora_unet_blocks_0_self_attn_q.lora_down.weight, .lora_up.weight, .alpha
    VideoX-Fun  lora_unet__blocks_0_self_attn_q.lora_down.weight, .lora_up.weight, .alpha
    LyCORIS     lycoris_blocks_0_self_attn_q.lora_down.weight, .hada_w1_a, .lokr_w1, .dora_scale, .alpha
    processors  unet.down_blocks.0...attn1.processor.to_q_lora.down.weight   (older diffusers, AnimateDiff)
    lightx2v    the original's, with .diff, .diff_b, .diff_m: differences of weight, bias and modulation

A file can also hold layers for the text encoder (`lora_te_...`, `text_encoder....`); `read(text=True)` reads those.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from ..core.registry import family_names
from . import adapter_factors as factors
from . import quantised
from .adapter_factors import Expansion
from .adapter_keys import FACTORS, PLAIN, TEXT, AdapterNames, module_of, names_of, spellings, split
from .adapter_settings import alpha_of, settings_of
from .headers import header

log = logging.getLogger(__name__)

Shapes = dict[str, tuple[int, ...]]
Delta = torch.Tensor | Expansion

OTHER_KINDS = re.compile(r"oft_blocks|oft_diag|oft_R|ia3_l|boft_|vera_lambda|vblora_|lora_embedding_|on_input$")

MATRICES = ("down", "up", *FACTORS)

NAMED = 8
"""Number of keys that a message shows."""


@dataclass
class AdapterPart:
    """A file's tensors for one module or parameter, by role. keys: the tensors' keys, by role. stem: the module's name
    in the file's spelling."""

    target: str
    stem: str
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def key(self, *roles: str) -> str:
        return next((self.keys[role] for role in roles if role in self.keys), self.target)


@dataclass(frozen=True)
class Adapter:
    """layers: module -> (A (rank, in, ...), B (out, rank, ...)), alpha / rank folded into B: weight + B @ A.
    deltas: parameter -> difference to add. unknown: keys that match no part of this network."""

    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    deltas: dict[str, Delta] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def read(file: Path, shapes: Shapes, text: bool = False, names: AdapterNames = PLAIN) -> Adapter:
    """Read the adapter for a network with these parameters (name -> shape), a denoiser or (text) a text encoder; empty
    if the file is only for the other one. names: the family's spellings. Keys that match no part of the network are
    logged in a warning. ModelError if no key matches, if a shape does not fit, if values are NaN, infinite or too
    large, or if the kind of adapter is not supported (OFT, IA3, ...)."""
    from safetensors import SafetensorError, safe_open

    quantised.refuse(file)
    entries = header(file)
    known = spellings(shapes, names)
    parts: dict[str, AdapterPart] = {}
    unknown: list[str] = []
    others = False
    try:
        with safe_open(str(file), framework="pt") as tensors:
            for key in _keys(file, entries):
                if bool(TEXT.match(key)) != text:
                    others = True
                    continue
                role, stem = split(TEXT.sub("", key))
                target = known.get(f"{stem}.modulation") if role == "modulation" else module_of(stem, known)
                if target is None or role is None:
                    unknown.append(key)
                    continue
                part = parts.setdefault(target, AdapterPart(target, stem))
                if role in part.keys:
                    raise ModelError(f"{file}: {part.keys[role]} and {key} both name the same part of {target}.")
                part.tensors[role], part.keys[role] = tensors.get_tensor(key), key
                if not factors.finite(part.tensors[role]):
                    raise ModelError(f"{file}: {key} has NaN or infinite values; the file is damaged.")
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None
    if not parts and others and not unknown:
        return Adapter()
    if not parts:
        raise ModelError(f"{file}: no key matches a part of this network. Its keys: {', '.join(unknown[:3])}, ...")
    found = _assemble(file, parts, shapes, settings_of(file, entries, text), tuple(unknown))
    if unknown:
        shown = ", ".join(unknown[:NAMED]) + (", ..." if len(unknown) > NAMED else "")
        log.warning(
            "%s: %d of its %d keys are not used, because they match no part of this network: %s",
            file, len(unknown), len(entries) - ("__metadata__" in entries), shown,
        )  # fmt: skip
    return found


def describe_file(file: Path) -> dict[str, Any]:
    """The metadata of an adapter file, from its header and its alpha tensors."""
    from safetensors import SafetensorError, safe_open

    entries = header(file)
    keys = [key for key in _keys(file, entries) if split(key)[0]]
    if not keys:
        raise ModelError(f"{file}: not an adapter file: it has no LoRA keys.")
    roles = {key: split(key)[0] for key in keys}
    ranks = Counter(int(entries[key]["shape"][0]) for key in keys if roles[key] in RANKED and entries[key]["shape"])
    try:
        with safe_open(str(file), framework="pt") as tensors:
            alphas = Counter(
                float(tensors.get_tensor(key))
                for key in keys
                if roles[key] == "alpha" and _single(entries[key]["shape"])
            )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None
    settings, notes = settings_of(file, entries), entries.get("__metadata__") or {}
    alpha = alphas.most_common(1)[0][0] if alphas else settings.get("lora_alpha")
    return {
        "file": str(file),
        "dialect": _dialect(keys),
        "rank": ranks.most_common(1)[0][0] if ranks else None,
        "alpha": float(alpha) if alpha is not None else None,
        "base": _first(settings, "base_model_name_or_path") or _first(
            notes, "base", "base_model", "modelspec.architecture", "ss_base_model_version", "ss_sd_model_name"
        ),
        "trigger": _first(notes, "trigger", "trigger_words", "modelspec.trigger_phrase", "trigger_phrase"),
        "title": _first(notes, "title", "modelspec.title", "ss_output_name", "name"),
        "layers": sum(ranks.values()),
        "deltas": sum(role in ("weight", "bias", "modulation", "up_bias") for role in roles.values()),
    }  # fmt: skip


def _keys(file: Path, entries: dict[str, Any]) -> list[str]:
    keys = [key for key in entries if key != "__metadata__"]
    other = next((key for key in keys if OTHER_KINDS.search(key)), None)
    if other is not None:
        raise ModelError(
            f"{file}: {other}: OFT, BOFT, IA3, VeRA and GLoRA adapters are not supported. LoRA, DoRA, LoHa, LoKr are."
        )
    return keys


def _dialect(keys: list[str]) -> str:
    if keys[0].startswith("lycoris_"):
        return "lycoris"
    if any(re.search(r"\.diff(_[bm])?$", key) for key in keys):
        return "lightx2v"
    if keys[0].startswith(("lora_unet_", "lora_transformer_")):
        return "kohya"
    if keys[0].startswith("base_model.model."):
        return "peft"
    return "original" if any(names_of(family).marked(keys) for family in family_names()) else "diffusers"


def _first(table: dict[str, Any], *names: str) -> str | None:
    return next((str(table[name]) for name in names if table.get(name)), None)


RANKED = ("down", "hada_w1_b", "lokr_w2_b")


def _single(shape: list[int]) -> bool:
    return all(side == 1 for side in shape)


def _scale(file: Path, part: AdapterPart, settings: dict[str, Any]) -> float:
    """alpha / rank (alpha / sqrt(rank) for rank-stabilised LoRA); 1 without an alpha, and for LoKr of two full matrices
    unless PEFT wrote the file."""
    rank = factors.rank(part.tensors)
    if rank is None and settings.get("peft_type") in ("LOKR", "LOHA"):
        rank = int(settings.get("r") or 0)
    if rank is None:
        return 1.0
    key = part.key("alpha", *MATRICES)
    if rank < 1:
        raise ModelError(f"{file}: the rank of {key} must be 1 or more, got {rank}.")
    if "alpha" in part.tensors:
        if part.tensors["alpha"].numel() != 1:
            raise ModelError(
                f"{file}: {key} must be a single number, got a tensor of shape {tuple(part.tensors['alpha'].shape)}."
            )
        alpha: float | None = float(part.tensors["alpha"])
        return factors.checked_scale(f"{file}: {key}", alpha or 0.0, (alpha or 0.0) / rank)
    alpha = alpha_of(settings, part.stem)
    if alpha is None:
        return 1.0
    divisor = rank**0.5 if settings.get("use_rslora") else rank
    return factors.checked_scale(f"{file}: {part.stem}", alpha, alpha / divisor)


def _assemble(
    file: Path, parts: dict[str, AdapterPart], shapes: Shapes, settings: dict[str, Any], unknown: tuple[str, ...]
) -> Adapter:  # fmt: skip
    """Pair the matrices, fold the scales in, and check every shape against the network."""
    adapter, problems = Adapter(unknown=unknown), []
    for part in parts.values():
        try:
            problems += _take(file, part, shapes, settings, adapter)
        except RuntimeError as error:
            problems.append(f"{part.key(*MATRICES)}: {str(error).splitlines()[0]}")
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{file}: does not fit this network: {'; '.join(problems[:3])}{more}.")
    return adapter


def _take(file: Path, part: AdapterPart, shapes: Shapes, settings: dict[str, Any], adapter: Adapter) -> list[str]:
    """Add one module's part to the adapter; return descriptions of what does not fit."""
    target, tensors, scale = part.target, part.tensors, 1.0
    if lost := factors.incomplete(tensors):
        return [f"{target} has {lost}"]
    problems: list[str] = []
    if any(role in tensors for role in MATRICES):
        scale, whole = _scale(file, part, settings), shapes.get(f"{target}.weight", ())
        if "row_magnitude" in tensors:  # PEFT's is per row, whatever its shape
            tensors["magnitude"] = tensors.pop("row_magnitude").reshape(-1, 1)
        if "middle" in tensors:
            tensors["down"] = factors.with_middle(tensors["down"], tensors["middle"])
        expanded = factors.expansion(tensors, whole, scale)
        made = expanded or Expansion({role: tensors[role] for role in ("down", "up")}, scale, whole)
        if expanded is not None:
            fits = expanded.fits()
            adapter.deltas[f"{target}.weight"] = expanded
        else:
            down, up = tensors["down"], tensors["up"]
            fits = len(whole) > 1 and down.shape[1:] == whole[1:] and up.shape[:2] == (whole[0], down.shape[0])
            adapter.layers[target] = (down, up if scale == 1.0 else up.float() * scale)
        if not fits:
            sizes = " x ".join(str(tuple(tensors[role].shape)) for role in ("up", "down", *FACTORS) if role in tensors)
            problems.append(f"{target} is {tuple(whole)}, the adapter {sizes}")
        _sensible(file, part.key(*MATRICES), made.bound())
    for role in ("weight", "bias", "up_bias", "modulation"):
        if role not in tensors:
            continue
        name = target if target in shapes else f"{target}.{'weight' if role == 'weight' else 'bias'}"
        value = tensors[role] * scale if role == "up_bias" else tensors[role]
        if shapes.get(name) != tuple(value.shape):
            problems.append(f"{name} is {shapes.get(name)}, the adapter's {tuple(value.shape)}")
        _sensible(file, part.key(role), float(value.float().norm()) / max(value.numel(), 1) ** 0.5)
        before = adapter.deltas.get(name)
        if isinstance(before, Expansion):
            problems.append(f"{name} has two kinds of differences")
        else:
            adapter.deltas[name] = value if before is None else before + value
    return problems


def _sensible(file: Path, key: str, change: float) -> None:
    if not change <= factors.LARGEST_CHANGE:  # NaN too
        raise ModelError(
            f"{file}: {key} changes its weights by up to {change:.3g}, more than {factors.LARGEST_CHANGE:g}; the file "
            "or its alpha is damaged."
        )
