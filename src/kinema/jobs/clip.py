"""The kind `clip`: generates the clip of a request (clip_body.py)."""

from __future__ import annotations

from typing import Any

from . import clip_body
from .kinds import JobKind


def run(context: Any, body: Any) -> dict[str, Any]:
    """Generate the clip; the context's worker has imported torch by then, others never do."""
    from .clip_run import run_clip

    return run_clip(context, clip_body.parse(body))


CLIP = JobKind("clip", clip_body.check, clip_body.media, run)
