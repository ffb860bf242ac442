"""What generates the clip of a plan: an engine, or its stand-in for a plan that uses no model or may not need it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.events import OnEvent
from ..core.plan import Plan
from . import state_file
from .estimate import device_name

if TYPE_CHECKING:
    from .fill_state import FillState
    from .on_demand import OnDemand
    from .resume import SamplingState
    from .without_model import WithoutModel


def stand_in(
    plan: Plan, load: Callable[[OnEvent], Any] | None = None, model: str = "", device: str | None = None
) -> WithoutModel | OnDemand | None:
    """Return the stand-in of an engine for a plan, or None if the engine is required from the start.

    load: loads and returns the engine, reporting to a callback; None: it is loaded already. model, device: as for
    `load.load`.
    """
    if not plan.uses_model:
        from .without_model import WithoutModel

        return WithoutModel()
    if plan.fill == "both" and load is not None:
        from .on_demand import OnDemand

        return OnDemand(model or plan.model, device_name(device), load)
    return None


def read_state(path: Path) -> SamplingState | FillState:
    """Read a saved state of sampling or of a fill. Raises MediaError for any other file, before torch is imported."""
    if state_file.kind(path) == "fill":
        from .fill_state import FillState

        return FillState.read(path)
    from .resume import SamplingState

    return SamplingState.read(path)
