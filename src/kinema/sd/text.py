"""CLIP's text states, as in Stable Diffusion pipelines: padded to the tokenizer's length, without a mask unless the
encoder requires one. Stable Diffusion XL uses two text encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..diffusion import weighted_text


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


def _tokens(prompt: str, tokenizer: Any, weigh: bool) -> tuple[Any, list[float]]:
    """(ids and mask of a prompt, padded; weights of its tokens)."""
    length = tokenizer.model_max_length
    if not weigh:
        return tokenizer([prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt"), []
    ids, weights = weighted_text.tokens(prompt, tokenizer, length)
    return tokenizer.pad({"input_ids": [ids]}, padding="max_length", max_length=length, return_tensors="pt"), weights


def text_states(
    prompt: str, tokenizer: Any, encoder: Any, device: torch.device, skip: int = 0, weigh: bool = False
) -> torch.Tensor:  # fmt: skip
    """Encode a prompt to (1, L, D). A prompt that is too long is truncated. skip: number of the encoder's last layers
    to skip ("CLIP skip"), except the final normalisation. weigh: parentheses weigh words."""
    words, weights = _tokens(prompt, tokenizer, weigh)
    found = _states(words, encoder, device, skip)
    if any(weight != 1.0 for weight in weights):
        return weighted_text.apply(found, _states(_tokens("", tokenizer, False)[0], encoder, device, skip), weights)
    return found


def _states(words: Any, encoder: Any, device: torch.device, skip: int) -> torch.Tensor:
    ids = words.input_ids.to(device)
    mask = words.attention_mask.to(device) if getattr(encoder.config, "use_attention_mask", False) else None
    found: torch.Tensor
    if not skip:
        found = encoder(ids, attention_mask=mask)[0]
        return found
    found = encoder(ids, attention_mask=mask, output_hidden_states=True).hidden_states[-(skip + 1)]
    found = getattr(encoder, "text_model", encoder).final_layer_norm(found)
    return found


def two_text_states(
    prompt: str, tokenizers: tuple[Any, Any], encoders: tuple[Any, Any], device: torch.device, skip: int = 0,
    weigh: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Encode a prompt with two encoders: ((1, L, D + D2), the second encoder's summary (1, P)). The states are the
    penultimate layers (or `skip` layers earlier), concatenated and not normalised (Stable Diffusion XL, arXiv
    2307.01952)."""
    states, summary = [], torch.empty(0)
    for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
        words, weights = _tokens(prompt, tokenizer, weigh)
        found = encoder(words.input_ids.to(device), output_hidden_states=True)
        own, summary = found.hidden_states[-(skip + 2)], found[0]
        if any(weight != 1.0 for weight in weights):
            empty = _tokens("", tokenizer, False)[0].input_ids.to(device)
            own = weighted_text.apply(
                own, encoder(empty, output_hidden_states=True).hidden_states[-(skip + 2)], weights
            )
        states.append(own)
    return torch.cat(states, -1), summary
