"""The built-in kinds of jobs. A new one is a new file and one line here."""

from __future__ import annotations

from .clip import CLIP

BUILT_IN = (CLIP,)
