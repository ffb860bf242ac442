"""CLIP's text states, as every pipeline of Stable Diffusion makes them: padded to the tokenizer's length, no mask
unless the encoder asks for one."""

from __future__ import annotations

from typing import Any

import torch


def text_states(prompt: str, tokenizer: Any, encoder: Any, device: torch.device, skip: int = 0) -> torch.Tensor:
    """(1, L, D). A prompt that is too long loses its end. skip: layers left out at the end of the encoder ("CLIP
    skip"), its last normalisation kept."""
    length = tokenizer.model_max_length
    words = tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    ids = words.input_ids.to(device)
    mask = words.attention_mask.to(device) if getattr(encoder.config, "use_attention_mask", False) else None
    if not skip:
        return encoder(ids, attention_mask=mask)[0]
    found = encoder(ids, attention_mask=mask, output_hidden_states=True).hidden_states[-(skip + 1)]
    inner = getattr(encoder, "text_model", encoder)
    return inner.final_layer_norm(found)


def lost_words(prompt: str, tokenizer: Any) -> int:
    """How many tokens of a prompt do not fit."""
    return max(0, len(tokenizer(prompt, truncation=False).input_ids) - int(tokenizer.model_max_length))
