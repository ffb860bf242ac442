"""Which channels the Fun models take beside the noise, by their number (no torch)."""

from __future__ import annotations

MASK = 4
"""Channels of a mask: the frames of a latent frame."""


def channels(in_channels: int, latents: int, camera: bool) -> tuple[str, ...]:
    """The parts that are concatenated to the noise, in order: `control`, `mask` and `start`; empty for other models.

    in_channels: of the patch embedding. latents: channels of the latents. camera: has an adapter for camera rays.
    """
    known = {
        (latents, True): ("start",),
        (latents + MASK, True): ("mask", "start"),
        (2 * latents, False): ("control", "start"),
        (2 * latents + MASK, False): ("control", "mask", "start"),
    }
    return known.get((in_channels - latents, camera), ())


def variant(in_channels: int, latents: int, *, camera: bool, reference: bool, images: bool) -> str:
    """The variant of a Fun-Control or Fun-Camera model; "" for other models. images: takes CLIP's image states."""
    parts = channels(in_channels, latents, camera)
    second = "mask" in parts
    if not parts or images == second or (camera and reference):
        return ""
    kind = "camera" if camera else "control"
    if latents != 16:
        return f"fun-{kind}-5b" if second and not camera else ""
    return f"fun-{kind}-2.2" if second else f"fun-{kind}-ref" if reference else f"fun-{kind}"


def is_fun(variant: str) -> bool:
    return variant.startswith("fun-")
