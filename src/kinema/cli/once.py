"""What all commands refuse while their arguments are parsed: an option that is given twice (of `--seed 1 --seed 2` the
last would silently win), and a number that is not plain decimal (`--steps 5_0` would pass for 50). For a wrong choice,
the error names the nearest legal one."""

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
    """A command that refuses an option that is given twice, except a repeatable one or a switch. Typer's contexts and
    parameters are its own or click's, by its version; only what both have is used."""

    numbers: typing.ClassVar[dict[str, Reader]] = {}
    """Parameters that are numbers, and the function that parses each."""
    choices: typing.ClassVar[dict[str, tuple[str, ...]]] = {}
    """Parameters that take one of several words, and the words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            found, _, order = self.make_parser(ctx).parse_args(args=list(args))
        except Exception as error:
            if hasattr(error, "possibilities"):  # no such option: only the nearest is named
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
            # Typer of some versions checks values by pydantic, and its messages begin so.
            if isinstance(message := getattr(error, "message", None), str):
                message = message.removeprefix("Value error, ") + self._nearest_choice(error, found)
                error.message = message  # type: ignore[attr-defined]
            raise

    def _near(self, option: str) -> list[str]:
        known = {name.lstrip("-"): name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        near = nearest(option.lstrip("-"), known) if option.startswith("--") else None
        return [known[near]] if near is not None else []

    def _nearest_choice(self, error: Exception, typed: dict[str, Any]) -> str:
        """Return a sentence with the word that is nearest to a wrong one, or an empty text."""
        name = str(getattr(getattr(error, "param", None), "name", ""))
        value = typed.get(name)
        near = nearest(value, self.choices.get(name, ())) if isinstance(value, str) else None
        return f" Nearest legal value: {near}." if near is not None else ""

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
    """Whether a parameter is an option that may be given once."""
    is_switch = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
    repeatable = getattr(parameter, "multiple", False) or getattr(parameter, "count", False)
    return parameter.param_type_name == "option" and not is_switch and not repeatable


def numbers(callback: Callable[..., Any]) -> dict[str, Reader]:
    """Return the parameters of a command that are numbers, optional and repeatable ones included, by name."""
    found: dict[str, Reader] = {}
    for name, hint in typing.get_type_hints(callback).items():
        kinds = _kinds(hint)
        if int in kinds or float in kinds:
            found[name] = numerals.decimal if float in kinds else numerals.integer
    return found


def choices(callback: Callable[..., Any]) -> dict[str, tuple[str, ...]]:
    """Return the words that each parameter takes that is a Literal, by name."""
    found: dict[str, tuple[str, ...]] = {}
    for name, hint in typing.get_type_hints(callback).items():
        for kind in _kinds(hint):
            if typing.get_origin(kind) is typing.Literal:
                found[name] = typing.get_args(kind)
    return found


def _kinds(hint: Any) -> set[Any]:
    """Return a type and the types within it, two levels deep."""
    kinds = {hint, *typing.get_args(hint)}
    return kinds | {inner for each in kinds for inner in typing.get_args(each)}


def everywhere(app: typer.Typer) -> None:
    """Apply this to all commands of an application and of the applications within it."""
    for command in app.registered_commands:
        known: dict[str, Any] = {}
        if command.callback is not None:
            known = {"numbers": numbers(command.callback), "choices": choices(command.callback)}
        command.cls = type("Once", (Once,), known)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            everywhere(group.typer_instance)
