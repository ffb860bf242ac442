"""`-o` of a command: a file, a folder/ with its slash, or - for standard output.

A name without a suffix gets the default one (ball -> ball.mp4), with a note. With `-o -` the command writes a temporary
file, which is copied to standard output when it is complete; all messages go to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import os
import shutil
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from ..core.errors import MediaError, RequestError
from ..core.outside import exists
from .names import PIPED, STDOUT
from .options import OUTPUT, option
from .say import note

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def writes(ending: str = ".mp4", piped: tuple[str, ...] = (".mp4", ".webm", ".gif", ".webp")) -> Decorator:
    """Resolve the argument `output_` of a command, and add the option --format. ending: the suffix of a name without
    one. piped: the suffixes for standard output, the default first."""

    def around(command: Callable[..., None]) -> Callable[..., None]:
        formats = [each.removeprefix(".") for each in piped]

        @functools.wraps(command)
        def run(*args: Any, format_: str | None = None, **given: Any) -> None:
            asked = given.get("output_")
            if format_ is not None and (asked != STDOUT or format_ not in formats):
                raise RequestError(
                    f"--format {format_}.", field="format", value=format_,
                    legal=f"{', '.join(formats)}, with -o - (a file's name says its format)",
                )  # fmt: skip
            if asked == STDOUT:
                with _piped(piped[0] if format_ is None else f".{format_}") as target:
                    command(*args, **{**given, "output_": target})
            elif asked is not None:
                named = with_ending(asked, ending)
                if named != asked and not given.get("as_json"):
                    note(f"{asked} has no suffix: writing {named}.")
                command(*args, **{**given, "output_": named})
            else:
                command(*args, **given)

        words = f"Format for -o -: {', '.join(formats)}. Default: {formats[0]}."
        kind = Annotated[str | None, option("--format", metavar="NAME", panel=OUTPUT, help=words)]
        hints = typing.get_type_hints(command, include_extras=True)
        parameters = [
            each.replace(annotation=hints[each.name]) for each in inspect.signature(command).parameters.values()
        ]
        added = inspect.Parameter("format_", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        after = next((i for i, each in enumerate(parameters, 1) if each.name == "output_"), len(parameters))
        kinds = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        del run.__wrapped__  # type: ignore[attr-defined]
        run.__signature__ = inspect.Signature([*kinds[:after], added, *kinds[after:]])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in [*kinds, added]}
        return run

    return around


def with_ending(text: str, ending: str) -> str:
    """Return the name, with a suffix if it has none and is no folder/. Raises RequestError for a folder without its
    slash."""
    if text.endswith(("/", os.sep)) or Path(text).suffix or Path(text).name in ("", ".."):
        return text
    if exists(text) and Path(text).is_dir():
        raise RequestError(
            f"{text}: is a folder; end the name with a slash to write frames into it.", field="output", value=text,
            legal="a file, or a folder name ending with a slash", nearest=f"{text}/",
        )  # fmt: skip
    return text + ending


def no_stdout(target: str | os.PathLike[str], name: str, field: str = "output") -> None:
    """Raise RequestError if the output is standard output, for a command that cannot write to it."""
    if os.fspath(target) == STDOUT:
        raise RequestError(
            f"{name} cannot go to standard output.", field=field, value=STDOUT, legal="a name (./- for one called -)"
        )


class _Aside(io.TextIOBase):
    """Standard error in place of standard output; the name of the temporary file is written as -."""

    def __init__(self, hidden: str) -> None:
        self.hidden, self.real = hidden, sys.stderr

    def write(self, text: str) -> int:
        self.real.write(text.replace(self.hidden, STDOUT))
        return len(text)

    def flush(self) -> None:
        self.real.flush()

    def isatty(self) -> bool:
        return self.real.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.real.encoding


@contextlib.contextmanager
def _piped(ending: str) -> Iterator[str]:
    """Yield the name of a temporary file that is copied to standard output at the end; prints go to standard error."""
    from ..core.leftovers import temporary_folder

    real = sys.stdout
    if real.isatty():
        raise RequestError(
            "-o - writes the bytes of a file, and standard output is a terminal.", field="output", value=STDOUT,
            legal="-o - with standard output going to a file or a program, or -o FILE",
        )  # fmt: skip
    with temporary_folder(PIPED) as folder:
        target = folder / f"output{ending}"
        with contextlib.redirect_stdout(_Aside(str(target))):
            yield str(target)
        if not target.is_file():  # with --request-only, for example
            return
        try:
            real.flush()
            with target.open("rb") as file:
                shutil.copyfileobj(file, real.buffer)
            real.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MediaError(f"Standard output: cannot be written ({error.strerror or error}).") from None
