"""A process that plans (plan_pool.py): a request per line on stdin, a plan or a refusal per line on stdout.

Media are named by hash on both sides; no client sees the paths of their files.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
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
    from ..core.by_hash import hashes_found_by, renamed
    from ..core.request import Request
    from ..engine.plan import plan

    names = {path: name for name, path in media.items()}
    try:
        with hashes_found_by(lambda name: Path(media[name])):
            found = plan(Request.from_dict(fields), None, device)
        return {"plan": renamed(found.model_dump(mode="json"), names)}
    except KinemaError as error:
        return {"refused": renamed(error.to_dict(), names)}
    except Exception as error:  # a library's fault with a damaged input
        why = f"The request cannot be planned ({type(error).__name__})."
        return {"refused": RequestError(why).to_dict()}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
