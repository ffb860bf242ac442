"""Arithmetic in a text, as ComfyMathExpression has it: parsed into a tree and evaluated, never executed as code.

Time and memory are bounded: the length of the text, the depth of the tree and the size of every number.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal

MAX_CHARS = 500
MAX_DEPTH = 50
MAX_BITS = 256
"""Of a whole number, results between operations included."""

TOO_LARGE = f"a whole number of more than {MAX_BITS} bits"

MAX_DIGITS = 20
"""That `round` keeps or clears: 10 to this power is computed."""

Number = int | float | bool

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_COMPARED: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_, ast.Invert: operator.invert,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min, "max": max, "round": round, "abs": abs, "floor": math.floor, "ceil": math.ceil, "sqrt": math.sqrt,
    "pow": operator.pow, "log": math.log, "log2": math.log2, "log10": math.log10,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "sum": sum, "int": int,
    "float": float,
}  # fmt: skip


def evaluate(expression: str, values: Mapping[str, Number]) -> Number:
    """Evaluate arithmetic with named values: + - * / // % ** & | ^ ~, comparisons, and, or, not, A if CONDITION else
    B, and the functions of the table. Only the chosen side of `if` is evaluated.

    RequestError: not such an expression, an unknown name, a division by zero, a number over MAX_BITS bits or infinite.
    """
    shown = for_terminal(expression, 80)
    if len(expression) > MAX_CHARS:
        raise RequestError(
            f"The expression {shown} has {len(expression):,} characters.", field="expression",
            legal=f"at most {MAX_CHARS:,} characters",
        )  # fmt: skip
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return _one(_value(tree.body, values, 0))
    except (SyntaxError, MemoryError, RecursionError):
        raise RequestError(
            f"The expression {shown} cannot be read.", field="expression",
            legal="arithmetic, as: max(4, (int(a) // 16) * 16)",
        ) from None  # fmt: skip
    except (ArithmeticError, ValueError, TypeError) as reason:
        raise RequestError(
            f"The expression {shown} has no value: {for_terminal(str(reason), 200)}.", field="expression"
        ) from None


def _value(tree: ast.expr, values: Mapping[str, Number], depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise RecursionError

    def of(part: ast.expr) -> Any:
        return _value(part, values, depth + 1)

    match tree:
        case ast.Constant(value=int() | float() as value):
            return _bounded(value)
        case ast.Name(id=name) if name in values:
            return _bounded(values[name])
        case ast.Name(id=name):
            known = ", ".join(sorted(values)) or "none"
            raise ValueError(f"{name} is not linked (linked: {known})")
        case ast.UnaryOp(op=op, operand=part) if type(op) in _UNARY:
            return _UNARY[type(op)](of(part))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _applied(_BINARY[type(op)], _one(of(left)), _one(of(right)))
        case ast.BoolOp(op=op, values=parts):
            found: Any = True
            for part in parts:
                found = of(part)
                if bool(found) is isinstance(op, ast.Or):
                    break
            return found
        case ast.Compare(left=left, ops=ops, comparators=parts) if all(type(op) in _COMPARED for op in ops):
            terms = [of(part) for part in (left, *parts)]
            return all(_COMPARED[type(op)](*pair) for op, pair in zip(ops, pairwise(terms)))
        case ast.IfExp(test=test, body=body, orelse=other):
            return of(body) if of(test) else of(other)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _applied(_FUNCTIONS[name], *(of(part) for part in args))
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_one(of(part)) for part in parts]
    raise SyntaxError


def _one(value: Any) -> Number:
    if isinstance(value, list):
        raise TypeError("a list is only legal inside min, max and sum")
    return value


def _applied(function: Callable[..., Any], *terms: Any) -> Any:
    """The function's value. A power is estimated before it is computed."""
    if function is operator.pow and len(terms) == 2:
        base, exponent = terms
        if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS:
            if exponent > 0 and abs(base) > 1:
                raise OverflowError(TOO_LARGE)
            terms = (float(base), exponent)
    if function is round and len(terms) == 2 and not (isinstance(terms[1], int) and abs(terms[1]) <= MAX_DIGITS):
        raise ValueError(f"round to {terms[1]} digits; at most {MAX_DIGITS}")
    return _bounded(function(*terms))


def _bounded(value: Any) -> Any:
    if isinstance(value, list):
        return value
    if not isinstance(value, int | float):
        raise TypeError(f"a {type(value).__name__} is not a number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OverflowError(TOO_LARGE)
    if isinstance(value, float) and not math.isfinite(value):
        raise OverflowError("the result is not a finite number")
    return value
