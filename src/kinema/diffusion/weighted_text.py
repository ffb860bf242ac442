"""Prompts with weights, as ComfyUI applies them: each token's state is moved away from that of an empty prompt at its
place, z' = z_empty + weight * (z - z_empty). The pieces between parentheses, and lines, are tokenised each for itself.
"""

from __future__ import annotations

from typing import Any

import torch

from ..core.prompt_weights import weighted


def tokens(text: str, tokenizer: Any, limit: int) -> tuple[list[int], list[float]]:
    """(ids, weights) of a prompt, with the special tokens and at most `limit` in all; not padded. tokenizer: a
    transformers tokenizer."""
    special = list(tokenizer([""], add_special_tokens=True)["input_ids"][0])
    ids: list[int] = []
    weights: list[float] = []
    for piece, weight in weighted(text):
        for line in filter(None, piece.split("\n")):
            found = tokenizer([line], add_special_tokens=False, verbose=False)["input_ids"][0]
            ids += found
            weights += [weight] * len(found)
    room = limit - len(special)
    begin = special[:-1]
    return [*begin, *ids[:room], special[-1]], [*(1.0 for _ in begin), *weights[:room], 1.0]


def apply(states_BLD: torch.Tensor, empty_BLD: torch.Tensor, weights: list[float]) -> torch.Tensor:
    """Text states with weights. empty_BLD: of the empty prompt, of the same length. Places after the weights keep
    their states."""
    if all(weight == 1.0 for weight in weights):
        return states_BLD
    by_token = torch.ones(states_BLD.shape[1], dtype=torch.float32, device=states_BLD.device)
    by_token[: len(weights)] = torch.tensor(weights, dtype=torch.float32)
    moved = empty_BLD.float() + (states_BLD.float() - empty_BLD.float()) * by_token[None, :, None]
    return torch.where(by_token[None, :, None] == 1, states_BLD, moved.to(states_BLD.dtype))
