"""Nodes that compute plain values: numbers, texts, switches. Pure functions; conversion and planning evaluate them."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from ...core.errors import RequestError
from .declaration import Declaration, DeclaredInput, boolean, number, socket, sockets, text
from .expression import Number, evaluate

MAX_INT, MAX_FLOAT = 2**63 - 1, 1.7976931348623157e308

_INTEGER = DeclaredInput("value", "INT", 0, -MAX_INT, MAX_INT, extra=True)
_KINDS: dict[str, tuple[type, ...]] = {
    "PrimitiveInt": (int,), "PrimitiveFloat": (int, float), "PrimitiveBoolean": (bool,), "PrimitiveString": (str,),
    "PrimitiveStringMultiline": (str,),
}  # fmt: skip

VALUES = (
    Declaration("PrimitiveInt", (_INTEGER,), ("INT",), "a number", title="Int", value=True),
    Declaration(
        "PrimitiveFloat", (number("value", 0.0, -MAX_FLOAT, MAX_FLOAT),), ("FLOAT",), "a number", title="Float",
        value=True,
    ),
    Declaration(
        "PrimitiveBoolean", (boolean("value", False),), ("BOOLEAN",), "a yes or no", title="Boolean", value=True
    ),
    Declaration("PrimitiveString", (text("value"),), ("STRING",), "a text", title="String", value=True),
    Declaration(
        "PrimitiveStringMultiline", (text("value"),), ("STRING",), "a text", title="String (Multiline)", value=True
    ),
    Declaration(
        "ComfyMathExpression", (text("expression"), socket("values", "FLOAT,INT,BOOLEAN", grows=True)),
        ("FLOAT", "INT", "BOOLEAN"), "arithmetic", title="Math Expression", value=True,
    ),
    Declaration(
        "ComfySwitchNode", (boolean("switch", False), *sockets("on_false *, on_true *", optional=True)), ("*",),
        "the chosen one of its inputs", title="If/Else Switch", value=True,
    ),
)  # fmt: skip


def primitive(kind: str, value: Any) -> Any:
    """The value of a Primitive node, checked. A whole number is legal for a float. RequestError: another type."""
    kinds = _KINDS[kind]
    is_legal = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not is_legal:
        raise RequestError(
            f"{kind}: {reprlib.repr(value)}.", field="value", legal=" or ".join(one.__name__ for one in kinds)
        )
    return float(value) if kind == "PrimitiveFloat" else value


def math_expression(expression: str, values: Mapping[str, Number]) -> tuple[float, int, bool]:
    """The three outputs of ComfyMathExpression: the value as a float, truncated, and whether it is not zero.
    RequestError as `expression.evaluate`."""
    found = evaluate(expression, values)
    return float(found), int(found), bool(found)


def switch(chosen: bool, on_false: Callable[[], Any], on_true: Callable[[], Any]) -> Any:
    """The chosen side; the other one is not evaluated."""
    return on_true() if chosen else on_false()
