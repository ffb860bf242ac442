"""Wan's texts: cleaned as in its published pipelines, or with weights as in ComfyUI, and encoded by umT5."""

from __future__ import annotations

import html
import re
from typing import Any

import torch

from ...diffusion import weighted_text


def states(
    text: str, tokenizer: Any, encoder: Any, device: torch.device, length: int, weigh: bool
) -> tuple[torch.Tensor, list[float]]:
    """(states (1, length, D), zero after the text's own tokens; the weights of the tokens, none unless they weigh)."""
    weights: list[float] = []
    if weigh:
        ids, weights = weighted_text.tokens(text, tokenizer, length)
    else:
        (ids,) = tokenizer([text], max_length=length, truncation=True, add_special_tokens=True)["input_ids"]
    ids_BL = torch.tensor([ids], device=device)
    found_BLD = encoder(ids_BL, torch.ones_like(ids_BL)).last_hidden_state.to(device)
    return torch.nn.functional.pad(found_BLD, (0, 0, 0, length - found_BLD.shape[1])), weights


def clean(prompt: str) -> str:
    """Clean a prompt as Wan's published pipelines do: fix encodings (ftfy), unescape HTML twice, fold white space."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(prompt))).strip()
    return re.sub(r"\s+", " ", text).strip()
