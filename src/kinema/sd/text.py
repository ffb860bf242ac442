"""CLIP's text states, as every pipeline of Stable Diffusion makes them: padded to the tokenizer's length, no mask
unless the encoder asks for one. Stable Diffusion XL reads with two encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Words:
    """states (1, L, D) for the cross-attentions; summary (1, P) of the whole prompt, where the network asks for one."""

    states: torch.Tensor
    summary: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> Words:
        return Words(self.states.to(dtype), None if self.summary is None else self.summary.to(dtype))

    def beside(self, height: int, width: int) -> dict[str, Any]:
        """Further inputs of a network of Stable Diffusion XL's kind: the summary, and the picture's size, with nothing
        cut off."""
        if self.summary is None:
            return {}
        sizes = torch.tensor([[height, width, 0, 0, height, width]]).to(self.summary)
        return {"added_cond_kwargs": {"text_embeds": self.summary, "time_ids": sizes}}


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


def two_text_states(
    prompt: str, tokenizers: tuple[Any, Any], encoders: tuple[Any, Any], device: torch.device, skip: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """((1, L, D + D2), the second encoder's summary (1, P)): the last layer but one (and `skip` more) of both, side by
    side, not normalised (Stable Diffusion XL, arXiv 2307.01952)."""
    states, summary = [], torch.empty(0)
    for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
        length = tokenizer.model_max_length
        words = tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        found = encoder(words.input_ids.to(device), output_hidden_states=True)
        states.append(found.hidden_states[-(skip + 2)])
        summary = found[0]
    return torch.cat(states, -1), summary
