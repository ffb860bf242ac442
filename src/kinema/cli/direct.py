"""`kinema direct`: a theme to the shots of a programme."""

from __future__ import annotations

import json
import secrets
import shlex
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.errors import KinemaError, RequestError
from .exits import guarded
from .options import OUTPUT, AsJson, option
from .output import check_parent
from .say import note, say

if TYPE_CHECKING:
    from ..channel.writing.shots import Episode, StyleBible
    from ..http.chat import Endpoint

WRITER, MAX_EPISODES = "Writer", 1000


@guarded
def direct(
    theme: Annotated[
        str, typer.Argument(metavar="THEME", help='The theme, as "a storm at sea".', show_default=False)
    ],
    shots: Annotated[int, typer.Option("--shots", metavar="N", help="Shots per episode.")] = 8,
    episodes: Annotated[int, typer.Option("--episodes", metavar="N", help="Number of episodes.")] = 1,
    seconds: Annotated[
        float | None,
        option("--seconds", metavar="S", help="Duration of the whole film, title cards and joins included. "
               "Default: about 2 s per shot."),
    ] = None,
    start: Annotated[int, typer.Option("--start", metavar="N", help="The first episode's number.")] = 1,
    seed: Annotated[
        int | None, option("--seed", metavar="N", help="The same seed gives the same shots, offline. Default: new.")
    ] = None,
    bible: Annotated[
        Path | None,
        option(
            "--bible",
            metavar="FILE",
            help="A style bible for all episodes, as YAML or JSON: style, look, seconds, negative_prompt, cast (name "
            "and description of each).",
        ),
    ] = None,
    blocklist: Annotated[
        Path | None,
        option("--blocklist", metavar="FILE", help="More blocked words, one entry per line."),
    ] = None,
    world: Annotated[
        Literal["mini", "full"],
        typer.Option(
            "--world",
            metavar="mini|full",
            help="Vocabulary of the offline writer: that of the shipped miniatures, or all of Toyland.",
            rich_help_panel=WRITER,
        ),
    ] = "mini",
    llm: Annotated[
        str | None,
        option(
            "--llm",
            metavar="URL",
            panel=WRITER,
            help="An OpenAI-compatible language model, as http://127.0.0.1:8080/v1. The offline writer is the "
            "fallback.",
        ),
    ] = None,
    model: Annotated[str | None, option("--model", metavar="NAME", panel=WRITER, help="Its model name.")] = None,
    key_env: Annotated[
        str | None,
        option("--key-env", metavar="VAR", panel=WRITER, help="The environment variable with its API key."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="S", help="Timeout of one answer, in seconds.", rich_help_panel=WRITER)
    ] = 60.0,
    requests: Annotated[
        bool,
        typer.Option(
            "--requests", help="With --json: also the request of each shot.", rich_help_panel=OUTPUT
        ),
    ] = False,
    output_: Annotated[
        Path | None,
        option(
            "--output", "-o", metavar="FILE", panel=OUTPUT,
            help="Also write a film plan (.json) for `kinema make-film`.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write the shots of a programme: episodes with a prompt per shot."""
    from ..channel.writing.breaker import SteadyWriter
    from ..channel.writing.director import Director, writer_for
    from ..channel.writing.moderation import Moderation
    from ..channel.writing.shots import MAX_SHOTS
    from ..channel.writing.writer_grammar import GrammarWriter
    from ..toyland.scene import WORLD, WORLD_MINI

    for name, value, most in (
        ("shots", shots, MAX_SHOTS),
        ("episodes", episodes, MAX_EPISODES),
        ("start", start, 10**9),
    ):
        if not 1 <= value <= most:
            nearest = min(max(value, 1), most)
            raise RequestError(f"{name} = {value}.", field=name, value=value, legal=f"1 to {most:,}", nearest=nearest)
    if seed is not None and not 0 <= seed < 2**63:
        raise RequestError(f"seed = {seed}.", field="seed", value=seed, legal="0 to 2^63 - 1")
    if output_ is not None:
        from ..workflow.film_plan import check_place

        check_place(output_)
        check_parent(output_)
    endpoint = _endpoint(llm, model, key_env, timeout)
    moderation = Moderation(blocklist)
    grammar = GrammarWriter({"mini": WORLD_MINI, "full": WORLD}[world])
    writer = writer_for(endpoint, moderation, grammar)
    seed = secrets.randbelow(2**31) if seed is None else seed
    director = Director(theme, _bible(bible), writer, seed=seed, shots=shots, moderation=moderation)
    reported: list[dict[str, Any]] = []
    written: list[Episode] = []

    def report(episode: Episode, error: str) -> None:
        if as_json:
            reported.append(_plain(episode, director.bible, error, requests))
            return
        if error:
            note(f"Written by the offline writer: {error}")
        say(*_text(episode, director.bible).split("\n"))

    errors: list[str] = []
    for episode in islice(director.episodes(start - 1), episodes):
        written.append(episode)
        errors.append(writer.error if isinstance(writer, SteadyWriter) else "")
        if seconds is None:  # else the length of each shot is known only when all are written
            report(episode, errors[-1])
    length_s = None
    if seconds is not None:
        from ..channel.writing.film import of_length

        written, length_s = of_length(written, director.bible, seed, seconds)
        for episode, error in zip(written, errors, strict=True):
            report(episode, error)
    if output_ is not None:
        from ..channel.writing.film import film_of

        film_of(written, director.bible, seed).save(output_)
    if as_json:
        length = {} if length_s is None else {"length_s": round(length_s, 3)}
        typer.echo(json.dumps({"theme": director.theme.text, "seed": seed, **length, "episodes": reported}))
    else:
        say(f"seed {seed}" + ("" if length_s is None else f"; a film of {length_s:.1f} s"))
        if output_ is not None:
            say(f"{output_}  (a film plan; next: kinema make-film {shlex.quote(str(output_))})")


def _endpoint(url: str | None, model: str | None, key_env: str | None, timeout: float) -> Endpoint | None:
    from ..channel.writing.shots import parsed
    from ..http.chat import Endpoint

    if url is None:
        stray = next((name for name, value in (("--model", model), ("--key-env", key_env)) if value is not None), None)
        if stray:
            raise RequestError(f"{stray} requires --llm URL.", field=stray.strip("-"), legal="--llm URL with it")
        return None
    if model is None:
        raise RequestError("--llm URL requires --model NAME.", field="model", legal="the model's name at that address")
    return parsed(
        Endpoint, {"base_url": url, "model": model, "key_env": key_env, "timeout_s": timeout}, "language model"
    )


def _bible(path: Path | None) -> StyleBible:
    """Return the style bible in a file; JSON is YAML too."""
    from ..channel.writing.shots import StyleBible, parsed
    from ..core.outside import MAX_YAML_BYTES, parse_yaml
    from ..core.text_file import read_text

    if path is None:
        return StyleBible()
    try:
        data = parse_yaml(read_text(path, max_bytes=MAX_YAML_BYTES).text, str(path))
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file.", field="bible", value=str(path)) from None
    except KinemaError as error:
        raise RequestError(f"Cannot read the style bible: {error}", field="bible", value=str(path)) from None
    return parsed(StyleBible, {} if data is None else data, f"style bible ({path})")


def _plain(episode: Episode, bible: StyleBible, error: str, requests: bool) -> dict[str, Any]:
    from ..channel.writing.prompt import prompt_of, request_of

    found = episode.model_dump(mode="json") | {"number": episode.number + 1}
    for fields, shot in zip(found["shots"], episode.shots, strict=True):
        fields["prompt"] = prompt_of(shot, episode.cast, bible)
        if requests:
            fields["request"] = json.loads(request_of(shot, episode.cast, bible).to_json())
    return found | ({"error": error} if error else {})


def _text(episode: Episode, bible: StyleBible) -> str:
    from ..channel.writing.prompt import prompt_of

    cast = "; ".join(f"{member.name}, {member.description}" for member in episode.cast)
    lines = [f"{episode.number + 1}. {episode.title}  (written by: {episode.writer})", f"   with {cast}"]
    lines += [f"   note: {note}" for note in episode.notes]
    for number, shot in enumerate(episode.shots, 1):
        lines.append(f"   {number:>2}  {shot.part}, {shot.continuity}, {shot.seconds:g} s, seed {shot.seed}")
        lines.append(f"       {prompt_of(shot, episode.cast, bible)}")
    return "\n".join([*lines, ""])
