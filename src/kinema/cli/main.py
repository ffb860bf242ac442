"""The entry point of the command `kinema`."""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

import typer

from ..core.display import command
from ..core.quiet import quiet_process
from . import completion, exits
from .say import settle_streams
from .verbs import VERBS, application


def __getattr__(name: str) -> Any:
    if name == "app":  # the whole command line, for tests and the help pages
        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command line and exit, with a code of `exits.MEANINGS`."""
    exits.watch_for_sigterm()
    settle_streams()
    quiet_process()
    completion.prepare()
    command()
    as_json = "--json" in sys.argv[1:]
    # Pydantic looks for plugins in all installed packages, which takes a fifth of the start of a quick command.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()  # until the command begins: what is imported stays (exits.py)
    typed = sys.argv[1:2] if completion.VARIABLE not in os.environ else []
    app = application(*(name for name in typed if name in VERBS))
    try:
        code = app(standalone_mode=not as_json)
    except (KeyboardInterrupt, exits.Terminated) as error:
        exits.report(exits.describe(error), as_json)
        sys.exit(exits.exit_code(error))
    except Exception as error:
        # Outside standalone mode a usage error arrives here; with --json it is printed as JSON.
        format_message = getattr(error, "format_message", None)
        if format_message is None:
            raise
        typer.echo(json.dumps({"error": "UsageError", "message": format_message()}))
        sys.exit(exits.BAD_REQUEST)
    sys.exit(code if isinstance(code, int) else exits.OK)
