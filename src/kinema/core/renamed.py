"""Names of the previous version, still read: fields of requests, plans and manifests. They are never written.

To drop them, remove this file and its imports.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

from .errors import RenamedWarning
from .upscale import AUTO, PIXEL_METHODS, steps_of

OLD_FIELDS = {"enlarge": "upscale", "second_pass": "upscale"}
"""Old fields of a request, and their new names."""
OLD_CANVAS, CANVAS = "larger", "upscale"


def request_fields(fields: dict[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Return the fields of a request with `enlarge` and `second_pass` as steps of `upscale`, and `canvas="larger"` as
    "upscale", with a RenamedWarning for each. If `upscale` is given too, `second_pass` replaces its steps by a model
    and `enlarge` those by pixel methods."""
    found = dict(fields)
    if found.get("canvas") == OLD_CANVAS:
        found["canvas"] = CANVAS
        renamed('canvas = "larger"', 'canvas = "upscale"', quiet)
    old = {name: found.pop(name) for name in OLD_FIELDS if name in found}
    if not old:
        return found
    steps = steps_of(found.get("upscale", ()))
    steps = steps if isinstance(steps, tuple) else ()
    by_model = [step for step in steps if not _by_pixels(step)]
    by_pixels = [step for step in steps if _by_pixels(step)]
    if "second_pass" in old:
        renamed("second_pass", 'upscale = [{"by": MODEL, ...}]', quiet)
        by_model = [] if old["second_pass"] is None else [_second_pass(old["second_pass"])]
    if "enlarge" in old:
        renamed("enlarge", "upscale = K", quiet)
        times = old["enlarge"]
        none = times is None or (not isinstance(times, bool) and times == 1)
        by_pixels = [] if none else [{"by": AUTO, "scale": times}]
    found["upscale"] = (*by_model, *by_pixels)
    return found


def _by_pixels(step: Any) -> bool:
    by = step.get("by", AUTO) if isinstance(step, dict) else getattr(step, "by", "")
    return by in (AUTO, *PIXEL_METHODS)


def _second_pass(old: Any) -> Any:
    if not isinstance(old, dict):
        return {"by": old}
    return {"by" if name == "model" else name: value for name, value in ({"model": ""} | old).items()}


def renamed(old: str, new: str, quiet: bool = False) -> None:
    """Issue a RenamedWarning at the user's line with the old name."""
    if quiet:
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("kinema", "pydantic"):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{old} is called {new} now; the next version reads the new name only.", RenamedWarning, level)


OLD_IN_PLANS = frozenset({"enlarge", "second"})
OLD_WEIGHTS, WEIGHTS = "second/", "upscale/0/"
"""Prefix of the weights of an upscale by a model in a manifest: the old and the current one."""


def plan_fields(data: dict[str, Any]) -> dict[str, Any]:
    """Return a saved plan with `second` and `enlarge` as steps of `upscale`, and `canvas="larger"` as "upscale". No
    warning: plans are not written by hand."""
    if OLD_IN_PLANS.isdisjoint(data) or "upscale" in data:
        return data
    found = {name: value for name, value in data.items() if name not in OLD_IN_PLANS}
    second, times = data.get("second"), data.get("enlarge", 1)
    steps: list[dict[str, Any]] = []
    if second is not None:
        steps.append({"by": second.get("model", "") if isinstance(second, dict) else "", "plan": second})
    if times != 1 or isinstance(times, bool):
        steps.append({"by": "lanczos", "scale": times})
    found["upscale"] = steps
    if found.get("canvas") == OLD_CANVAS:
        found["canvas"] = CANVAS
    if found.get("canvas", "model") == "model" and "output" in found:
        found["output"] = (found.get("width"), found.get("height"))
    return found


def manifest_fields(data: dict[str, Any]) -> dict[str, Any]:
    """Return a saved manifest with the weights of `second_pass` renamed to those of an upscale step. For its plan:
    `plan_fields`."""
    weights = data.get("weights")
    if not isinstance(weights, dict) or not any(str(name).startswith(OLD_WEIGHTS) for name in weights):
        return data
    found = {
        WEIGHTS + name.removeprefix(OLD_WEIGHTS) if str(name).startswith(OLD_WEIGHTS) else name: value
        for name, value in weights.items()
    }
    return {**data, "weights": found}


def making_fields(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a channel's [making] with `second_pass` as `upscale`, and a RenamedWarning."""
    if "second_pass" not in data or "upscale" in data:
        return data
    renamed("making.second_pass", "making.upscale")
    return {("upscale" if name == "second_pass" else name): value for name, value in data.items()}


def upscale_of(making: dict[str, Any]) -> str:
    """Return the upscale of a shot planned by this version or the previous one."""
    return str(making.get("upscale", making.get("second_pass", "none")))
