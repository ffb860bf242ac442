"""Where a command's `-o` leads: a file, a folder/ with its slash, or - for standard output.

A name without an ending gets the command's own (ball -> ball.mp4), and that is said. With `-o -` the command writes a
file of its own, whose bytes go to standard output when it is whole; everything else that the command says goes to
standard error.
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
    """Settles the argument `output_` of a command before it begins, and gives it the option --format. ending: of a name
    without one. piped: the endings of what may go to standard output, the usual one first."""

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
                    note(f"{asked} has no ending: {named} is written.")
                command(*args, **{**given, "output_": named})
            else:
                command(*args, **given)

        words = f"With -o -, what goes to standard output: {', '.join(formats)}. Default: {formats[0]}."
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
    """The name, with an ending where it has none and is no folder/. RequestError for a folder without its slash."""
    if text.endswith(("/", os.sep)) or Path(text).suffix or Path(text).name in ("", ".."):
        return text
    if exists(text) and Path(text).is_dir():
        raise RequestError(
            f"{text}: is a folder; end the name with a slash to write frames into it.", field="output", value=text,
            legal="a file, or a folder name ending with a slash", nearest=f"{text}/",
        )  # fmt: skip
    return text + ending


def no_stdout(target: str | os.PathLike[str], what: str, field: str = "output") -> None:
    """RequestError where what cannot go to standard output is to go there."""
    if os.fspath(target) == STDOUT:
        raise RequestError(
            f"{what} cannot go to standard output.", field=field, value=STDOUT, legal="a name (./- for one called -)"
        )


class _Aside(io.TextIOBase):
    """Standard error in the place of standard output; the name of the file that nobody sees is written as -."""

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
    """The name of a file whose bytes go to standard output at the end of the block; meanwhile what is printed goes to
    standard error."""
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
        if not target.is_file():  # a request that was only printed, say
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
