"""Where ComfyUI's web interface is. The extra `server` is not imported, so a command can say that it is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ...core.errors import RequestError
from ...core.outside import exists

AUTO, PACKAGE, TESTED = "auto", "comfyui_frontend_package", "1.58.1"
BASE = "/ui"


def interface_folder(where: str) -> Path:
    """The folder with the interface's index.html. where: "auto", the installed package; else a path: that folder, or
    one that has it inside. RequestError: there is none."""
    legal = f"`pip install --no-deps comfyui-frontend-package=={TESTED}` and --ui auto, or --ui FOLDER with index.html"
    if where == AUTO:
        spec = importlib.util.find_spec(PACKAGE)
        places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
        if not places:
            raise RequestError("ComfyUI's interface is not installed.", field="ui", value=where, legal=legal)
    else:
        places = [Path(where).expanduser()]
    for place in places:
        for inside in (place, place / "static", place / PACKAGE / "static"):
            if exists(inside / "index.html"):
                return inside.resolve()
    raise RequestError(f"{where} has no index.html.", field="ui", value=where, legal=legal)
