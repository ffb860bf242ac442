"""The command `kinema`: the table of its verbs, and its entry point."""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import Annotated

import typer

from ..core.display import command
from ..core.quiet import quiet_process
from . import (
    animate,
    channel,
    clip,
    completion,
    control,
    direct,
    doctor,
    edit,
    evaluate,
    exits,
    film,
    generate,
    history,
    interpolate,
    mask,
    models,
    music,
    once,
    path,
    samples,
    serve,
    styles,
    toyland,
    track,
    train,
    upscale,
    worker,
)
from .say import say, settle_streams

app = typer.Typer(
    name="kinema",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("generate")(generate.generate)
app.command("plan")(generate.plan)
app.command("animate")(animate.animate)
app.command("remove")(edit.remove)
app.command("edit")(edit.edit)
app.command("outpaint")(edit.outpaint)
app.command("extend")(edit.extend)
app.command("between")(edit.between)
app.command("restyle")(edit.restyle)
app.command("upscale")(upscale.upscale)
app.command("control")(control.control)
app.command("mask")(mask.mask)
app.command("track")(track.track)
app.add_typer(path.app, name="path")
app.command("direct")(direct.direct)
app.command("make-film")(film.make_film)
app.add_typer(channel.app, name="channel")
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("music")(music.music)
app.command("score")(music.score)
app.command("interpolate")(interpolate.interpolate)
app.command("rerun")(clip.rerun)
app.command("inspect")(clip.inspect)
app.command("history")(history.history)
app.add_typer(models.app, name="models")
app.command("styles")(styles.styles)
app.command("samples")(samples.samples)
app.add_typer(toyland.app, name="toyland")
app.add_typer(evaluate.app, name="evaluate")
app.command("train")(train.train)
app.command("doctor")(doctor.doctor)
app.command("completion")(completion.completion)
once.everywhere(app)


def _wrap_help(app: typer.Typer) -> None:
    """Let the help of all commands wrap to the width of the terminal, not where a docstring breaks its lines."""
    for each in app.registered_commands:
        if each.callback is not None:
            each.help = flowing(each.callback.__doc__ or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _wrap_help(group.typer_instance)


def flowing(docstring: str) -> str:
    """Return the paragraphs of a docstring, each on one line."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


_wrap_help(app)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        say(f"kinema {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Generate video from text, images, paths and masks with open models.

    Try: kinema generate "a red ball rolls left over a green hill at sunset"
    """


def main() -> None:
    """Run the command line and exit, with a code of `exits.MEANINGS`."""
    exits.watch_for_sigterm()
    settle_streams()
    quiet_process()
    completion.prepare()
    command()
    as_json = "--json" in sys.argv[1:]
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
