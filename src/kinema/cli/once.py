"""Commands whose options are given once: of `--seed 1 --seed 2` the last would silently win."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand


class Once(TyperCommand):
    """A command that refuses an option that is given twice, unless it is repeatable, or a switch: there the second says
    the same. Typer's contexts and parameters are its own or click's, by its version; only what both have is used."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for parameter, times in Counter(order).items():
            if times > 1 and once(parameter):
                ctx.fail(f"{max(parameter.opts, key=len)} is given {times} times; it is taken once.")
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # Typer of some versions checks values by pydantic, and says so.
            if isinstance(message := getattr(error, "message", None), str):
                error.message = message.removeprefix("Value error, ")  # type: ignore[attr-defined]
            raise


def once(parameter: Any) -> bool:
    """Is it an option that may stand once?"""
    is_switch = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
    repeatable = getattr(parameter, "multiple", False) or getattr(parameter, "count", False)
    return parameter.param_type_name == "option" and not is_switch and not repeatable


def everywhere(app: typer.Typer) -> None:
    """All commands of the application, and of those within it, are such."""
    for command in app.registered_commands:
        command.cls = Once
    for group in app.registered_groups:
        if group.typer_instance is not None:
            everywhere(group.typer_instance)
