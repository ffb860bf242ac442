"""Motion guidance inside diffusers' CogVideoXTransformer3DModel: the fusers run in every block between the modulation
(`norm1`) and the attention, on the video tokens only.

    motion = MotionFeatures(guidance.fuser, guidance(flow_latents_BCTHW))      # once per clip; guidance: MotionGuidance
    with guided(transformer, motion):
        transformer(...)                                               # any number of times

The transformer itself is not changed: hooks on its `norm1` layers exist inside the context only. Gradients flow through
them; with gradient checkpointing, `backward` has to run inside the context too, because it computes the blocks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from .networks import State

KEPT_BYTES = 2**30
"""The states of a clip's fusers are kept up to this size, and above it computed again in every step."""


class MotionFeatures:
    """The motion of a clip: a fuser and its features (B, T, K, h, w) per block. ValueError if their numbers differ."""

    def __init__(self, fusers: Sequence[Any], features: Sequence[torch.Tensor]) -> None:
        if len(fusers) != len(features):
            raise ValueError(f"{len(fusers)} fusers take as many motion features, got {len(features)}.")
        self.fusers, self.features = fusers, features
        self._kept: dict[int, State] = {}

    def state(self, block: int) -> State:
        """The state of a block's fuser. Without gradients, small states are computed once."""
        if torch.is_grad_enabled():
            return self.fusers[block].state(self.features[block])
        if block in self._kept:
            return self._kept[block]
        state = self.fusers[block].state(self.features[block])
        if len(self.fusers) * sum(each.numel() * each.element_size() for each in state) <= KEPT_BYTES:
            self._kept[block] = state
        return state

    def frames(self, start: int, stop: int) -> MotionFeatures:
        """The motion of the latent frames [start, stop), counted in the transformer's patches: a window of the clip."""
        if (start, stop) == (0, self.features[0].shape[1]):
            return self
        return MotionFeatures(self.fusers, [each[:, start:stop] for each in self.features])

    @property
    def batch(self) -> int:
        return self.features[0].shape[0]

    @property
    def tokens(self) -> int:
        """The number of video tokens."""
        _, frames, _, rows, columns = self.features[0].shape
        return frames * rows * columns


@contextmanager
def guided(transformer: Any, motion: MotionFeatures | None) -> Iterator[None]:
    """Run the transformer with motion guidance inside this context; without motion (None), as it is.

    ValueError if the transformer has another number of blocks than the motion; inside the context, if the video has
    another number of tokens, or a batch that is no multiple of the motion's (guidance branches share one motion).
    """
    blocks = transformer.transformer_blocks if motion is not None else []
    if motion is not None and len(motion.features) != len(blocks):
        raise ValueError(f"Motion features for {len(motion.features)} blocks, but the transformer has {len(blocks)}.")
    hooks = [block.norm1.register_forward_hook(_hook(motion, number)) for number, block in enumerate(blocks)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(motion: Any, block: int) -> Callable[..., Any]:
    def fuse(module: Any, inputs: Any, outputs: Any) -> Any:
        tokens_BLD, *rest = outputs
        batch, tokens = tokens_BLD.shape[:2]
        if tokens != motion.tokens or batch % motion.batch:
            raise ValueError(
                f"The motion of {motion.batch} clips of {motion.tokens} video tokens does not fit {batch} of {tokens}."
            )
        return motion.fusers[block].fuse(tokens_BLD, motion.state(block)), *rest

    return fuse
