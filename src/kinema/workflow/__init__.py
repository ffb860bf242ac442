"""Work of several requests: batches, films, the history; and workflows of ComfyUI.

    from kinema.workflow import examine, read_workflow, to_prompt

    workflow = read_workflow("clip.mp4")  # or .json, .png, ...
    to_prompt(workflow)  # the API prompt, as ComfyUI's page would send it
    examine(workflow).missing()  # unknown nodes and missing models, with what would supply them

These are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "read_workflow": ".formats.read", "parse_workflow": ".formats.read", "to_prompt": ".formats.convert",
    "examine": ".findings", "svg": ".draw_svg",
}  # fmt: skip

__all__ = ["examine", "parse_workflow", "read_workflow", "svg", "to_prompt"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
