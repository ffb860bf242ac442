"""The kinds of jobs as the server sees them. Their bodies are planned before they are stored, in processes of their own
(plan_pool.py), so that the store only parses them: the files of strangers are not read in the server's process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..jobs.clip import CLIP
from ..jobs.clip_body import parse
from ..jobs.kinds import Kinds


def _check(body: Any, _store: Any) -> None:
    parse(body)


KINDS = Kinds([replace(CLIP, check=_check)])
