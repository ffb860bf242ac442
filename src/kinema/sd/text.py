"""CLIP's text states, as in Stable Diffusion pipelines: padded to the tokenizer's length, without a mask unless the
encoder requires one. Stable Diffusion XL uses two text encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class PromptStates:
    """An encoded prompt. states: (1, L, D), for the cross-attentions. summary: pooled embedding (1, P), if required."""

    states: torch.Tensor
    summary: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> PromptStates:
        return PromptStates(self.states.to(dtype), None if self.summary is None else self.summary.to(dtype))

    def added_conditions(self, height: int, width: int) -> dict[str, Any]:
        """The further inputs of a Stable Diffusion XL network: the summary, and the uncropped image size."""
        if self.summary is None:
            return {}
        sizes = torch.tensor([[height, width, 0, 0, height, width]]).to(self.summary)
        return {"added_cond_kwargs": {"text_embeds": self.summary, "time_ids": sizes}}


def text_states(prompt: str, tokenizer: Any, encoder: Any, device: torch.device, skip: int = 0) -> torch.Tensor:
    """Encode a prompt to (1, L, D). A prompt that is too long is truncated. skip: number of the encoder's last layers
    to skip ("CLIP skip"), except the final normalisation."""
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
    """Encode a prompt with two encoders: ((1, L, D + D2), the second encoder's summary (1, P)). The states are the
    penultimate layers (or `skip` layers earlier), concatenated and not normalised (Stable Diffusion XL, arXiv
    2307.01952)."""
    states, summary = [], torch.empty(0)
    for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
        length = tokenizer.model_max_length
        words = tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        found = encoder(words.input_ids.to(device), output_hidden_states=True)
        states.append(found.hidden_states[-(skip + 2)])
        summary = found[0]
    return torch.cat(states, -1), summary
