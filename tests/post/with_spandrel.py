"""spandrel, imported where torchvision is missing too: only its LaMa and RestoreFormer use it, which no test loads."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest


def spandrel() -> Any:
    """The module; the test is skipped without it."""
    if "spandrel" in sys.modules:
        return sys.modules["spandrel"]
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
                patch.setitem(sys.modules, name, ModuleType(name))
            functional: Any = sys.modules["torchvision.transforms.functional"]
            functional.InterpolationMode = functional.rotate = functional.normalize = None
            return pytest.importorskip("spandrel", reason="needs the extra `upscale`")
    return pytest.importorskip("spandrel", reason="needs the extra `upscale`")
