"""Exit codes and error messages of the commands (MEANINGS; docs/cli.md shows the same table).

A command is refused (2) for an invalid option or value, a file that is missing or has the wrong type, or an output that
cannot be written, before any work. It has failed (1) if something goes wrong later, or if this machine lacks what it
requires (weights, a package, memory, disk space, a server).

Every deliberate error is one message without a traceback; with `--json`, one JSON object on stdout.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from ..core import whole
from ..core.apart import check_name
from ..core.errors import (
    Cancelled,
    KinemaError,
    MediaError,
    ModelError,
    RenamedWarning,
    RequestError,
    WeightsMissing,
)
from . import names
from .names import STDOUT
from .say import note, say, typed

OK, FAILED, BAD_REQUEST, LOST, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
MEANINGS = {
    OK: "done",
    FAILED: "failed: an error during the work, or this machine lacks what it requires (weights, a package, memory, "
    "disk space, a server); `models check` and `doctor`: something is damaged or missing",
    BAD_REQUEST: "refused before any work: wrong usage, an illegal value, an unknown name, a missing or unreadable "
    "file, an output that cannot be written",
    LOST: "partly done: `kinema mask` lost its object and did not find it again (the mask is written; `--anyway` "
    "gives 0); `kinema evaluate` left out clips, `kinema curate` files, each named with the reason",
    INTERRUPTED: "stopped by Ctrl-C",
    TERMINATED: "terminated (SIGTERM)",
}
TEXTS = ("prompt", "negative", "theme", "object_")
"""Arguments that are text, not file names."""
STOPPED = "Stopped. No incomplete file was left."


_working = False


def begin() -> None:
    """Mark the start of the work: an error from now on is a failure (1), not a refusal (2)."""
    global _working
    _working = True


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that no handler treats it as a failure."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: its errors are printed, as JSON with `as_json`, and turned into exit codes."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        global _working
        _working = False
        gc.freeze()  # the modules that were imported stay; collecting garbage among them slows quick commands
        gc.enable()
        as_json = bool(kwargs.get("as_json"))
        kwargs = {name: typed(value) if name in TEXTS and isinstance(value, str) else value for name, value in
                  kwargs.items()}  # fmt: skip
        aside = kwargs.get("output_") == STDOUT
        try:
            _check_names(kwargs)
            with _renamed_notes():
                command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(FAILED) from None
        except (KeyboardInterrupt, Terminated, KinemaError, MemoryError) as error:
            report(describe(error), as_json, aside)
            raise typer.Exit(exit_code(error)) from None
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":
                raise
            report(describe(error), as_json, aside)
            raise typer.Exit(FAILED) from None
        finally:
            names.release()

    return run


def _check_names(arguments: dict[str, Any]) -> None:
    """Raise RequestError if a file is named as no file system allows: no command needs to ask for it itself."""
    for field, value in arguments.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, Path):
                check_name(each, field.rstrip("_"), whole.MAX_NAME_BYTES)


@contextmanager
def _renamed_notes() -> Iterator[None]:
    """Print each warning about an old name once, as a line on stderr."""
    printed: set[str] = set()
    default = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, RenamedWarning):
            default(message, category, *rest, **more)
        elif str(message) not in printed:
            printed.add(str(message))
            note(f"Note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", RenamedWarning)
        warnings.showwarning = show
        yield


def exit_code(error: BaseException) -> int:
    if isinstance(error, RequestError):
        return BAD_REQUEST
    if isinstance(error, MediaError | ModelError) and not (_working or isinstance(error, WeightsMissing)):
        return BAD_REQUEST
    if isinstance(error, KeyboardInterrupt | Cancelled):
        return INTERRUPTED
    return TERMINATED if isinstance(error, Terminated) else FAILED


def describe(error: BaseException) -> dict[str, Any]:
    """Return the error as a JSON-ready object with `error` (its kind) and `message`."""
    if isinstance(error, KinemaError):
        return error.to_dict()
    if isinstance(error, KeyboardInterrupt | Terminated):
        return {"error": "Cancelled", "message": STOPPED}
    return {
        "error": "OutOfMemory",
        "message": "Not enough memory. A smaller size, fewer frames or a smaller model requires less; "
        "`kinema plan` with the same arguments estimates how much.",
    }


def report(found: dict[str, Any], as_json: bool, aside: bool = False) -> None:
    """Print one JSON object on stdout, or the message in red on stderr. aside: all on stderr."""
    if as_json:
        typer.echo(json.dumps(found), err=aside)
    else:
        say(found["message"], err=True, color=typer.colors.RED)


def watch_for_sigterm() -> None:
    """Let SIGTERM unwind the work like Ctrl-C, instead of killing the process."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _forget_stdout() -> None:
    """Redirect stdout to nothing after its reader has closed it, so that Python's shutdown prints no error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
