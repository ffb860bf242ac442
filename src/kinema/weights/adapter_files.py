"""Adapter files in every dialect, read into one form (`Adapter`) for a network whose parameter shapes are
known.

A key is: prefix + name of a module + role. The name is looked up among four spellings of each of the
network's own modules (diffusers' or the original Wan's words, joined by dots or by underscores), so that one
way serves them all, VACE's blocks, norms and modulations included, which diffusers' converters leave out:

    diffusers   transformer.blocks.0.attn1.to_q.lora_A.weight               (alpha in the file's metadata)
    PEFT        base_model.model.blocks.0.attn1.to_q.lora_A.default.weight  (alpha in adapter_config.json)
    original    diffusion_model.blocks.0.self_attn.q.lora_down.weight, .lora_A.weight, .alpha
    kohya       lora_unet_blocks_0_self_attn_q.lora_down.weight, .lora_up.weight, .alpha
    processors  unet.down_blocks.0...attn1.processor.to_q_lora.down.weight   (older diffusers, AnimateDiff)
    lightx2v    the original's, with .diff, .diff_b, .diff_m: differences of weight, bias and modulation

A file can hold layers for the text encoder too (`lora_te_...`, `text_encoder....`): those are another network's.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from .headers import header

log = logging.getLogger(__name__)

Shapes = dict[str, tuple[int, ...]]

PREFIXES = (
    "base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "pipe.dit.",
    "unet.", "lora_unet_", "lora_transformer_",
)  # fmt: skip

TEXT = re.compile(r"^(?:lora_te1?_(?:text_model_)?|text_encoder\.(?:text_model\.)?)")
"""What keys of the text encoder begin with; in newer transformers its modules have no text_model around them."""

ROLES = (
    ("down", re.compile(r"\.(?:lora_(?:A|down)(?:\.[^.]+)??|lora(?:_linear_layer)?\.down)\.weight$|\.lora_A$")),
    ("up", re.compile(r"\.(?:lora_(?:B|up)(?:\.[^.]+)??|lora(?:_linear_layer)?\.up)\.weight$|\.lora_B$")),
    ("up_bias", re.compile(r"\.lora_(?:B|up)(?:\.[^.]+)??\.bias$")),
    ("alpha", re.compile(r"\.alpha$")),
    ("weight", re.compile(r"\.diff$")),
    ("bias", re.compile(r"\.diff_b$")),
    ("modulation", re.compile(r"\.diff_m$")),
)
PROCESSOR = re.compile(r"\.processor\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
PROCESSOR_PARTS = {"out": "out.0"}
OTHER_KINDS = re.compile(r"dora_scale|lora_magnitude_vector|lokr_|hada_w|oft_blocks|ia3_l")

ORIGINAL_WORDS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"^condition_embedder\.time_embedder\.linear_1\b", "time_embedding.0"),
        (r"^condition_embedder\.time_embedder\.linear_2\b", "time_embedding.2"),
        (r"^condition_embedder\.text_embedder\.linear_1\b", "text_embedding.0"),
        (r"^condition_embedder\.text_embedder\.linear_2\b", "text_embedding.2"),
        (r"^condition_embedder\.time_proj\b", "time_projection.1"),
        (r"^condition_embedder\.image_embedder\.norm1\b", "img_emb.proj.0"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj\b", "img_emb.proj.1"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.2\b", "img_emb.proj.3"),
        (r"^condition_embedder\.image_embedder\.norm2\b", "img_emb.proj.4"),
        (r"^scale_shift_table$", "head.modulation"),
        (r"^proj_out\b", "head.head"),
        (r"(?<=\d\.)scale_shift_table$", "modulation"),
        (r"(?<=\d\.)proj_in\b", "before_proj"),
        (r"(?<=\d\.)proj_out\b", "after_proj"),
        (r"(?<=\d\.)norm2\b", "norm#"),
        (r"(?<=\d\.)norm3\b", "norm2"),
        (r"norm#", "norm3"),
        (r"\battn1\b", "self_attn"),
        (r"\battn2\b", "cross_attn"),
        (r"\bto_([qkv])\b", r"\1"),
        (r"\bto_out\.0\b", "o"),
        (r"\badd_([kv])_proj\b", r"\1_img"),
        (r"\bnorm_added_k\b", "norm_k_img"),
        (r"\bffn\.net\.0\.proj\b", "ffn.0"),
        (r"\bffn\.net\.2\b", "ffn.2"),
    )
)
"""diffusers' words to those of the original code; Wan's second and third norm change places."""


MOTION_WORDS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"(\.motion_modules\.\d+)\.", r"\1.temporal_transformer."),
        (r"\.attn([12])\b", lambda found: f".attention_blocks.{int(found[1]) - 1}"),
        (r"(?<=\d\.)norm([12])\b", lambda found: f"norms.{int(found[1]) - 1}"),
        (r"(?<=\d\.)norm3\b", "ff_norm"),
    )
)
"""diffusers' words for a motion module to those of AnimateDiff."""


@dataclass(frozen=True)
class Adapter:
    """layers: module -> (A (rank, in, ...), B (out, rank, ...)), alpha / rank folded into B: weight + B @ A.
    deltas: parameter -> what is added to it. unknown: keys that name nothing in this network."""

    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    deltas: dict[str, torch.Tensor] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def read(file: Path, shapes: Shapes, text: bool = False) -> Adapter:
    """The adapter for a network with these parameters (name -> shape), a denoiser or (text) a text encoder; empty where
    the file is for the other one alone. ModelError where no key names a part of it, where a shape does not fit, or
    where the file is of a kind that is not LoRA (DoRA, LoKr, LoHa)."""
    from safetensors import SafetensorError, safe_open

    entries = header(file)
    names = _spellings(shapes)
    parts: dict[str, dict[str, torch.Tensor]] = {}
    stems: dict[str, str] = {}
    unknown: list[str] = []
    others = False
    try:
        with safe_open(str(file), framework="pt") as tensors:
            for key in _keys(file, entries):
                if bool(TEXT.match(key)) != text:
                    others = True
                    continue
                role, stem = split(TEXT.sub("", key))
                target = names.get(f"{stem}.modulation" if role == "modulation" else stem)
                if target is None or role is None:
                    unknown.append(key)
                    continue
                parts.setdefault(target, {})[role] = tensors.get_tensor(key)
                stems[target] = stem
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None
    if not parts and others and not unknown:
        return Adapter()
    if not parts:
        raise ModelError(f"{file}: no key names a part of this network. It has: {', '.join(unknown[:3])}, ...")
    found = _assemble(file, parts, stems, shapes, _settings(file, entries, text), tuple(unknown))
    if unknown:
        log.warning("%s: %d keys name nothing in this network: %s", file, len(unknown), ", ".join(unknown[:3]))
    return found


def split(key: str) -> tuple[str | None, str]:
    """A key's role and the name of its module, prefixes taken off. The role is None where there is none."""
    role = None
    key = PROCESSOR.sub(lambda found: f".to_{PROCESSOR_PARTS.get(found[1], found[1])}.lora_{found[2]}.weight", key)
    for name, pattern in ROLES:
        if found := pattern.search(key):
            role, key = name, key[: found.start()]
            break
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), None):
        key = key.removeprefix(prefix)
    return role, key


def plain_name(name: str) -> str:
    """A parameter's name without the layer that PEFT lays around a module."""
    return name.replace(".base_layer.", ".")


def original_name(name: str) -> str:
    """The original Wan's name of a module or parameter that diffusers names so."""
    for pattern, word in ORIGINAL_WORDS:
        name = pattern.sub(word, name)
    return name


def motion_name(name: str) -> str:
    """AnimateDiff's own name of a motion module or parameter that diffusers names so; others stay as they are."""
    if ".motion_modules." not in name:
        return name
    for pattern, word in MOTION_WORDS:
        name = pattern.sub(word, name)
    return name


def describe_file(file: Path) -> dict[str, Any]:
    """Facts of an adapter file from its header and, of the tensors, its alphas alone."""
    from safetensors import safe_open

    entries = header(file)
    keys = [key for key in _keys(file, entries) if split(key)[0]]
    if not keys:
        raise ModelError(f"{file}: not an adapter: none of its keys is one of LoRA's.")
    roles = {key: split(key)[0] for key in keys}
    ranks = Counter(int(entries[key]["shape"][0]) for key in keys if roles[key] == "down" and entries[key]["shape"])
    with safe_open(str(file), framework="pt") as tensors:
        alphas = Counter(float(tensors.get_tensor(key)) for key in keys if roles[key] == "alpha")
    settings, notes = _settings(file, entries), entries.get("__metadata__") or {}
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
        raise ModelError(f"{file}: {other}: DoRA, LoKr, LoHa, OFT and IA3 adapters are not supported, only LoRA.")
    return keys


def _dialect(keys: list[str]) -> str:
    if any(re.search(r"\.diff(_[bm])?$", key) for key in keys):
        return "lightx2v"
    if keys[0].startswith(("lora_unet_", "lora_transformer_")):
        return "kohya"
    if keys[0].startswith("base_model.model."):
        return "peft"
    return "original" if any(re.search(r"self_attn|cross_attn|ffn\.[02]\.", key) for key in keys) else "diffusers"


def _first(table: dict[str, Any], *names: str) -> str | None:
    return next((str(table[name]) for name in names if table.get(name)), None)


def _spellings(shapes: Shapes) -> dict[str, str]:
    """Every spelling of a module, or of a parameter that no module of its own holds, to diffusers' name of
    it."""
    found: dict[str, str] = {}
    original = original_name if any("scale_shift_table" in name for name in shapes) else motion_name
    for name in shapes:
        path, _, last = name.rpartition(".")
        target = path if last in ("weight", "bias") else name
        for spelling in (target, original(target)):
            found[spelling] = found[spelling.replace(".", "_")] = target
    return found


def _settings(file: Path, entries: dict[str, Any], text: bool = False) -> dict[str, Any]:
    """PEFT's settings of the adapter (lora_alpha, alpha_pattern, use_rslora), from the file beside it or from
    the metadata that diffusers writes; empty where there are none."""
    try:
        if file.name == "adapter_model.safetensors" and (file.parent / "adapter_config.json").exists():
            return json.loads((file.parent / "adapter_config.json").read_text(encoding="utf-8"))
        told = json.loads((entries.get("__metadata__") or {}).get("lora_adapter_metadata", "{}"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: its settings cannot be read: {error}.") from None
    if text:
        told = {key.removeprefix("text_encoder."): told[key] for key in told if key.startswith("text_encoder.")}
    return {key.removeprefix("transformer.").removeprefix("unet."): value for key, value in told.items()}


def _scale(part: dict[str, torch.Tensor], stem: str, settings: dict[str, Any]) -> float:
    """alpha / rank (alpha / sqrt(rank) for rank-stabilised LoRA); 1 where no alpha is given."""
    rank = part["down"].shape[0]
    if "alpha" in part:
        return float(part["alpha"]) / rank
    alpha = settings.get("lora_alpha")
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", stem):
            alpha = value
            break
    if alpha is None:
        return 1.0
    return float(alpha) / (rank**0.5 if settings.get("use_rslora") else rank)


def _assemble(
    file: Path,
    parts: dict[str, dict[str, torch.Tensor]],
    stems: dict[str, str],
    shapes: Shapes,
    settings: dict[str, Any],
    unknown: tuple[str, ...],
) -> Adapter:
    """Pair the matrices, fold the scales in, and check every shape against the network."""
    adapter, problems = Adapter(unknown=unknown), []
    for target, part in parts.items():
        scale = 1.0
        if "down" in part or "up" in part:
            if not ("down" in part and "up" in part):
                problems.append(f"{target} has only one of its two matrices")
                continue
            scale, down, up = _scale(part, stems[target], settings), part["down"], part["up"]
            whole = shapes.get(f"{target}.weight", ())
            fits = len(whole) > 1 and down.shape[1:] == whole[1:] and up.shape[:2] == (whole[0], down.shape[0])
            if not fits:
                problems.append(f"{target} is {tuple(whole)}, the adapter {tuple(up.shape)} x {tuple(down.shape)}")
            adapter.layers[target] = (down, up if scale == 1.0 else up.float() * scale)
        for role in ("weight", "bias", "up_bias", "modulation"):
            if role not in part:
                continue
            name = target if target in shapes else f"{target}.{'weight' if role == 'weight' else 'bias'}"
            value = part[role] * scale if role == "up_bias" else part[role]
            if shapes.get(name) != tuple(value.shape):
                problems.append(f"{name} is {shapes.get(name)}, the adapter's {tuple(value.shape)}")
            adapter.deltas[name] = adapter.deltas[name] + value if name in adapter.deltas else value
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{file}: does not fit this network: {'; '.join(problems[:3])}{more}.")
    return adapter
