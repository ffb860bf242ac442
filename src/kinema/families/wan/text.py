"""Wan's own cleaning of prompts, as its published pipelines do it before tokenizing."""

from __future__ import annotations

import html
import re


def clean(prompt: str) -> str:
    """Broken encodings mended (ftfy), HTML entities resolved twice, white space folded."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(prompt))).strip()
    return re.sub(r"\s+", " ", text).strip()
