"""The formats of written clips: suffixes and frame rates, for checks before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import RequestError

SUFFIXES = (".mp4", ".webm", ".gif", ".webp", ".png", ".jpg", ".jpeg")
"""Of a file; a name that ends with a slash is a folder of frames."""
RATES = {".gif": 50.0}
"""Maximum fps by the suffix of the written file."""
LEAST_RATE, MOST_RATE = 0.1, 1000.0


def check_rate(name: str, fps: float) -> None:
    """RequestError if a file of this name cannot be written at this frame rate."""
    ending = Path(f"x{name}" if name.startswith(".") else name).suffix.lower()
    most = RATES.get(ending, MOST_RATE)
    if not LEAST_RATE <= fps <= most:
        kind = f"{ending} files" if ending in RATES else "clips"
        near = LEAST_RATE if fps < LEAST_RATE else most
        raise RequestError(
            f"The frame rate of {kind} must be {LEAST_RATE:g} to {most:g} fps, got {fps:g}.", field="fps", value=fps,
            legal=f"{LEAST_RATE:g} to {most:g}" + (", or a .mp4 or .webm file" if ending in RATES else ""),
            nearest=f"{near:g}",
        )  # fmt: skip
