"""The noise scheduler of EasyAnimate's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.errors import ModelError
from ...weights.folder import lone_scheduler, scheduler


def flow_euler(folder: Path) -> Any:
    """The scheduler of a folder. ModelError for another class than the published one."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    own = scheduler(folder) if (folder / "model_index.json").exists() else lone_scheduler(folder)
    if type(own) is not FlowMatchEulerDiscreteScheduler:
        raise ModelError(
            f"{folder / 'scheduler'}: unsupported class {type(own).__name__}. Supported: "
            "FlowMatchEulerDiscreteScheduler."
        )
    return own
