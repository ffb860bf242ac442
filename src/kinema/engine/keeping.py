"""Whether a run can be saved and resumed as requested."""

from __future__ import annotations

from typing import Any

from ..core.errors import RequestError
from ..core.plan import Plan


def check_keeping(plan: Plan, state: Any = None, keep: Any = None, keep_every: int = 0) -> None:
    """Raise RequestError if the run of a plan cannot be saved or resumed with these arguments. state: a SamplingState
    or a FillState."""
    if (keep is not None) != (keep_every > 0):
        raise RequestError(
            f"keep_every = {keep_every} {'with' if keep is not None else 'without'} keep.", field="keep_every",
            value=keep_every, legal="1 or more, together with keep",
        )  # fmt: skip
    if state is not None and (then := state.plan.deciding()) != (now := plan.deciding()):
        names = [name for name in {**now, **then} if now.get(name) != then.get(name)]
        raise RequestError(
            f"The saved state belongs to another plan ({', '.join(names)}).", field="state", value=state.plan.prompt,
            legal="a state of this plan (state.plan)",
        )  # fmt: skip
    if state is not None:
        state.check_inputs()
