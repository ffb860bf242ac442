"""The process of a planner (planner.py): a request per line on stdin, a plan or a refusal per line on stdout.

Media are named by hash on both sides; only in between are they files, whose paths no client sees.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from ..core.errors import KinemaError, RequestError


def main() -> int:
    """Until the end of stdin. What libraries print goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answers.write(json.dumps(answered(asked["request"], asked["media"], asked["device"])) + "\n")
        answers.flush()
    return 0


def answered(fields: dict[str, Any], media: Mapping[str, str], device: str | None) -> dict[str, Any]:
    """{"plan": ...} or {"refused": ...}. media: hash -> path."""
    from ..core.request import Request
    from ..engine.plan import plan

    names = {path: name for name, path in media.items()}
    try:
        request = Request.from_dict(renamed(fields, media))
        return {"plan": renamed(plan(request, None, device).model_dump(mode="json"), names)}
    except KinemaError as error:
        return {"refused": {"message": "", **renamed(error.to_dict(), names)}}
    except Exception as error:  # a library's fault with a damaged input
        why = f"The request cannot be planned ({type(error).__name__})."
        return {"refused": RequestError(why).to_dict()}


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A plain value with each of these names replaced, also inside sentences."""
    if isinstance(value, str):
        for old, new in names.items():
            value = value.replace(old, new)
        return value
    if isinstance(value, dict):
        return {key: renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [renamed(each, names) for each in value]
    return value


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
