"""What all commands refuse as they read their arguments: an option that is given twice (of `--seed 1 --seed 2` the last
would silently win), and a number that is no plain one (`--steps 5_0` would pass for 50)."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from ..core import numerals
from ..core.near import nearest

Reader = Callable[[str], int | float]


class Once(TyperCommand):
    """A command that refuses an option that is given twice, unless it is repeatable, or a switch: there the second says
    the same. Typer's contexts and parameters are its own or click's, by its version; only what both have is used."""

    numbers: typing.ClassVar[dict[str, Reader]] = {}
    """Parameters that are numbers, and how each is read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            found, _, order = self.make_parser(ctx).parse_args(args=list(args))
        except Exception as error:
            if hasattr(error, "possibilities"):  # no such option: only what is near is named
                error.possibilities = self._near(str(getattr(error, "option_name", "")))
            raise
        for parameter, times in Counter(order).items():
            if times > 1 and once(parameter):
                ctx.fail(f"{max(parameter.opts, key=len)} is given {times} times; it is taken once.")
        for parameter in self.params:
            if (reader := self.numbers.get(str(parameter.name))) is not None:
                self._check(ctx, parameter, reader, found.get(parameter.name))
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer of some versions checks values by pydantic, and says so.
            if isinstance(message := getattr(error, "message", None), str):
                error.message = message.removeprefix("Value error, ")  # type: ignore[attr-defined]
            raise

    def _near(self, option: str) -> list[str]:
        known = {name.lstrip("-"): name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        near = nearest(option.lstrip("-"), known) if option.startswith("--") else None
        return [known[near]] if near is not None else []

    @staticmethod
    def _check(ctx: Any, parameter: Any, reader: Reader, given: Any) -> None:
        for text in given if isinstance(given, list | tuple) else (given,):
            if not isinstance(text, str):
                continue
            try:
                reader(text)
            except ValueError as error:
                is_option = parameter.param_type_name == "option"
                name = max(parameter.opts, key=len) if is_option else parameter.metavar or parameter.name
                ctx.fail(f"Invalid value for {name}: {error}.")


def once(parameter: Any) -> bool:
    """Is it an option that may stand once?"""
    is_switch = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
    repeatable = getattr(parameter, "multiple", False) or getattr(parameter, "count", False)
    return parameter.param_type_name == "option" and not is_switch and not repeatable


def numbers(callback: Callable[..., Any]) -> dict[str, Reader]:
    """Names of a command's parameters that are numbers (also where they may be left out, or repeated)."""
    found: dict[str, Reader] = {}
    for name, hint in typing.get_type_hints(callback).items():
        kinds = {hint, *typing.get_args(hint)}
        kinds |= {inner for each in kinds for inner in typing.get_args(each)}
        if int in kinds or float in kinds:
            found[name] = numerals.decimal if float in kinds else numerals.integer
    return found


def everywhere(app: typer.Typer) -> None:
    """All commands of the application, and of those within it, are such."""
    for command in app.registered_commands:
        asked = numbers(command.callback) if command.callback is not None else {}
        command.cls = type("Once", (Once,), {"numbers": asked})
    for group in app.registered_groups:
        if group.typer_instance is not None:
            everywhere(group.typer_instance)
