"""How a command ends, by its exit code (MEANINGS; docs/cli.md shows the same table).

Refused (2) is what cannot be, whatever one tries: an option, a value, a file that is not there or not of its kind, a
place that cannot be written to. It is found before the work begins. What goes wrong later, or would go with what this
machine lacks (weights, a package, memory, room on the disk, a server), has failed (1).

Every deliberate error is one clear message without a traceback; with `--json`, one JSON object on stdout.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

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
    FAILED: "failed: the work broke off, or this machine lacks what it needs (weights, a package, memory, room, a "
    "server); `models check` and `doctor`: something is damaged or missing",
    BAD_REQUEST: "refused before any work: wrong usage, a value that is not legal, a name that nothing has, a file "
    "that is not there or cannot be used, a place that cannot be written to",
    LOST: "done in part: `kinema mask` lost its object and did not find it again (the mask is written; `--anyway` "
    "gives 0)",
    INTERRUPTED: "stopped by Ctrl-C",
    TERMINATED: "terminated (SIGTERM)",
}
TEXTS = ("prompt", "negative", "theme", "thing")
"""Arguments of commands that are words, and no names of files."""
STOPPED = "Stopped. Nothing half-written was left behind."


_working = False


def begin() -> None:
    """The work of this command begins: what is wrong from now on has failed, and is not refused."""
    global _working
    _working = True


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that nothing on the way out takes it for a failure."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its errors told and turned into exit codes. An argument `as_json` asks for JSON."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        global _working
        _working = False
        as_json = bool(kwargs.get("as_json"))
        kwargs = {name: typed(value) if name in TEXTS and isinstance(value, str) else value for name, value in
                  kwargs.items()}  # fmt: skip
        aside = kwargs.get("output_") == STDOUT
        try:
            with _renamed_in_words():
                command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_stdout()
            raise typer.Exit(FAILED) from None
        except (KeyboardInterrupt, Terminated, KinemaError, MemoryError) as error:
            tell(describe(error), as_json, aside)
            raise typer.Exit(exit_code(error)) from None
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":
                raise
            tell(describe(error), as_json, aside)
            raise typer.Exit(FAILED) from None
        finally:
            names.release()

    return run


@contextmanager
def _renamed_in_words() -> Iterator[None]:
    """An old name is told in one line on stderr, once."""
    told: set[str] = set()
    usual = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, RenamedWarning):
            usual(message, category, *rest, **more)
        elif str(message) not in told:
            told.add(str(message))
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
    """The error as a JSON-ready object with `error` (its kind) and `message`."""
    if isinstance(error, KinemaError):
        return error.to_dict()
    if isinstance(error, KeyboardInterrupt | Terminated):
        return {"error": "Cancelled", "message": STOPPED}
    return {
        "error": "OutOfMemory",
        "message": "There is not enough memory for this. A smaller size, fewer frames or a smaller model "
        "needs less; `kinema plan` with the same arguments tells how much is expected.",
    }


def tell(found: dict[str, Any], as_json: bool, aside: bool = False) -> None:
    """One JSON object on stdout, or the message in red on stderr. aside: all on stderr."""
    if as_json:
        typer.echo(json.dumps(found), err=aside)
    else:
        say(found["message"], err=True, color=typer.colors.RED)


def watch_for_sigterm() -> None:
    """From now on SIGTERM unwinds the work as Ctrl-C does, instead of killing it where it stands."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _forget_stdout() -> None:
    """Whoever read our output has gone; keep Python from complaining while it shuts down."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
