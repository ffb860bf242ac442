"""What a node of ComfyUI declares: its inputs in widget order, its outputs, and what it becomes in Kinema.

A declaration lists facts that every workflow file depends on: a file stores the values of widgets by position only.
Names, types, defaults and ranges are ComfyUI's; the texts are Kinema's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MAX_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """One input. widget: it has a value of its own, at the next position in the file; else it is a socket.

    options: legal values of a choice; empty if they are the files of `folder`. children: for a dynamic choice, the
    inputs that each value adds, named "parent.child". grows: the sockets "name.PREFIX0", "name.PREFIX1", ... or
    "name.a", "name.b", .... extra: it is followed in the file by one more value, of the button or control beside it.
    prompts: the text may choose at random, as {day|night}.
    """

    name: str
    type: str
    default: Any = None
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    folder: str = ""
    children: Mapping[str, tuple[DeclaredInput, ...]] = field(default_factory=dict)
    widget: bool = True
    optional: bool = False
    extra: bool = False
    grows: bool = False
    prompts: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """One class of nodes.

    title: its name on the page. becomes: what a node of it is in Kinema; roles: the same by the name of the input that
    it is linked to. missing: what Kinema lacks to run it, or "". value: it computes a plain value (`values.py`).
    result: it writes or shows its input, so a graph with it has something to do.
    """

    name: str
    inputs: tuple[DeclaredInput, ...]
    outputs: tuple[str, ...]
    becomes: str
    title: str = ""
    missing: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    value: bool = False
    result: bool = False

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name)

    @property
    def sockets(self) -> tuple[DeclaredInput, ...]:
        return tuple(each for each in self.inputs if not each.widget)

    def inputs_of(self, given: Mapping[str, Any]) -> list[DeclaredInput]:
        """The inputs of a node with these values: those of its dynamic choices included, with their full names."""
        found: list[DeclaredInput] = []
        waiting = [("", each) for each in reversed(self.inputs)]
        while waiting:
            prefix, each = waiting.pop()
            named = replace(each, name=f"{prefix}{each.name}", optional=True) if prefix else each
            found.append(named)
            chosen = given.get(named.name)
            if named.children and isinstance(chosen, str):
                waiting += [(f"{named.name}.", child) for child in reversed(named.children.get(chosen, ()))]
        return found


def socket(name: str, type_: str, *, optional: bool = False, grows: bool = False) -> DeclaredInput:
    """An input that only a link can supply."""
    return DeclaredInput(name, type_, widget=False, optional=optional, grows=grows)


def sockets(text: str, *, optional: bool = False) -> tuple[DeclaredInput, ...]:
    """Sockets from a text: "model MODEL, positive CONDITIONING"."""
    return tuple(socket(*each.split(), optional=optional) for each in text.split(", "))


def integer(name: str, default: int, low: int | None = None, high: int | None = None) -> DeclaredInput:
    return DeclaredInput(name, "INT", default, low, high)


def seed(name: str) -> DeclaredInput:
    """A seed, with the control that changes it after each run."""
    return DeclaredInput(name, "INT", 0, 0, MAX_SEED, extra=True)


def number(name: str, default: float, low: float | None = None, high: float | None = None) -> DeclaredInput:
    return DeclaredInput(name, "FLOAT", default, low, high)


def boolean(name: str, default: bool) -> DeclaredInput:
    return DeclaredInput(name, "BOOLEAN", default)


def text(name: str, default: str = "", *, prompts: bool = False) -> DeclaredInput:
    return DeclaredInput(name, "STRING", default, prompts=prompts)


def choice(name: str, *options: str, default: str | None = None) -> DeclaredInput:
    return DeclaredInput(name, "COMBO", options[0] if default is None else default, options=options)


def file(name: str, folder: str) -> DeclaredInput:
    """The name of a file in one of ComfyUI's folders of models."""
    return DeclaredInput(name, "COMBO", "", folder=folder)


def upload(name: str) -> DeclaredInput:
    """The name of a picture or clip in ComfyUI's input folder, with the button that uploads one."""
    return DeclaredInput(name, "COMBO", "", folder="input", extra=True)


def dynamic(name: str, default: str, **children: tuple[DeclaredInput, ...]) -> DeclaredInput:
    """A choice whose value adds inputs. The keys of `children` have "_" for a blank."""
    found = {key.replace("_", " "): inputs for key, inputs in children.items()}
    return DeclaredInput(name, "COMBO", default, options=tuple(found), children=found)


def size(width: int, height: int, *, step: int = 16) -> tuple[DeclaredInput, ...]:
    """Width and height in pixels, 16 to 16384. step: the page's step, which no prompt is held to."""
    low = min(step, 16)
    return integer("width", width, low, 16384), integer("height", height, low, 16384)
