"""Values of a prompt set from outside: "LoadImage.image=photo.png"."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import RequestError
from ..core.near import nearest
from ..core.outside import for_terminal
from .formats.api import is_link

Prompt = Mapping[str, Mapping[str, Any]]


def with_values(prompt: Prompt, settings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The prompt with inputs changed. settings: NODE.INPUT=VALUE; NODE is an id, a class or a title, and all nodes of
    that class or title are changed; VALUE is JSON if it can be read as that, else text. RequestError: no such node or
    input, an input that is linked."""
    found = {key: {**node, "inputs": dict(node["inputs"])} for key, node in prompt.items()}
    for text in settings:
        place, sign, value = text.partition("=")
        name, dot, field = place.rpartition(".")
        if not sign or not dot or not name or not field:
            raise RequestError(f"--set {for_terminal(text, 100)}.", field="set", value=text[:100],
                               legal="NODE.INPUT=VALUE, as LoadImage.image=photo.png")  # fmt: skip
        keys = [key for key, node in found.items() if name in _names(key, node)]
        if not keys:
            raise _unknown("node", name, {each for key, node in found.items() for each in _names(key, node)[1:]})
        for key in keys:
            inputs = found[key]["inputs"]
            if field not in inputs:
                raise _unknown(f"input of {name}", field, {each for each in inputs if not is_link(inputs[each])})
            if is_link(inputs[field]):
                raise RequestError(f"{place} is linked to node {inputs[field][0]}.", field="set", value=text[:100],
                                   legal="an input with a value")  # fmt: skip
            inputs[field] = _value(value, inputs[field])
    return found


def _names(key: str, node: Mapping[str, Any]) -> list[str]:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return [key, str(node["class_type"]), *([title] if isinstance(title, str) else [])]


def _value(text: str, before: Any) -> Any:
    if isinstance(before, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unknown(what: str, name: str, legal: Iterable[str]) -> RequestError:
    names = sorted(legal)
    near = nearest(name, names)
    return RequestError(
        f"No {what} {for_terminal(name, 60)!r}.", field="set", value=name[:60], legal=", ".join(names[:40]),
        **({"nearest": near} if near else {}),
    )  # fmt: skip
