"""`kinema rerun` and `kinema inspect`: what a finished clip tells about itself."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.apart import keep_apart, named
from ..core.errors import MediaError, RequestError
from ..core.outside import exists
from . import completion, output, show
from .exits import guarded
from .options import OUTPUT, AsJson, Device, Dtype, Output, Sheet, option
from .piping import writes
from .progress import reporter
from .say import note, say

if TYPE_CHECKING:
    from ..core.plan import Manifest

File = Annotated[Path, typer.Argument(metavar="CLIP", help="A clip that Kinema made.", show_default=False)]
AnyFile = Annotated[Path, typer.Argument(metavar="CLIP", help="A clip or picture.", show_default=False)]


@guarded
@writes()
def rerun(
    file: File,
    output_: Output = None,
    sheet: Sheet = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Where the model is now, if it is not known by its name.",
            complete=completion.models,
        ),
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Go on although weights or inputs have changed or cannot be compared, or it takes more than a day.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a clip again from the manifest inside it: the same frames on the same machine."""
    from . import work

    if output_ is not None:
        output.check_clip(output_)
    if sheet is not None:
        output.check_sheet(sheet)
    from ..engine.manifest import verify
    from ..engine.rerun import prepare
    from .film import refuse_rerun

    refuse_rerun(file)
    found = read(file)
    for done, step in afterwards(file).items():
        raise RequestError(
            f"{file}: was {done} from {step.get('clip')} afterwards; make that one again, then do the same to it.",
            field="file", value=str(file), legal="a clip as it was generated",
        )  # fmt: skip
    target = output_ or str(output.unused(file.with_name(f"{output.stem(str(file), 'clip')}-rerun{file.suffix}")))
    output.check_clip(target)
    keep_apart({"output": target, "sheet": sheet}, [file, model])
    with reporter(as_json) as on_event:
        ready = prepare(found, file.parent, model=model, device=device, force=force)
        keep_apart({"output": target, "sheet": sheet}, named(ready.plan))
        on_event(work.to_come(ready.plan, ready.model, device))
        engine = work.generator_of(ready.plan, ready.model, device, dtype, on_event)
        differences = _differences(found, engine.device_name)
        if not force:
            verify(found, engine.digests(ready.plan), ready.plan)
        made = work.run(work.ClipWork(ready.plan, target, sheet=sheet), engine, on_event)
    made["differences"] = differences
    if as_json:
        typer.echo(json.dumps(made))
        return
    for line in differences:
        note(f"Note: {line}; frames may differ a little.")
    say(*work.words(made).split("\n"))


@guarded
def inspect(file: AnyFile, as_json: AsJson = False) -> None:
    """Show how a clip was made, and what is in the file."""
    from ..conditions.inputs import check_regular
    from ..media.manifest import carried
    from ..media.read import probe

    if not exists(file):
        raise MediaError(f"{file}: no such file.")
    check_regular(str(file))
    info = asdict(probe(file))
    if isinstance(film := carried(file).get("film"), dict):
        _inspect_film(file, info, film, as_json)
        return
    try:
        found = read(file)
    except MediaError as error:
        if "carries no manifest" not in str(error):
            raise
        found = None
    steps = afterwards(file)
    if as_json:
        manifest = found.model_dump(mode="json") if found is not None else None
        typer.echo(json.dumps({"path": str(file), "probe": info, "manifest": manifest, **steps}))
        return
    show.console().print(show.facts(probe_rows(file, info)))
    show.console().print()
    for done, step in steps.items():
        show.console().print(show.facts(step_rows(step), title=done.capitalize()))
        show.console().print()
    if found is None and steps:
        say(f"The clip that it was {next(iter(steps))} from carries no manifest.")
    elif found is None:
        say("It carries no manifest: Kinema did not make it, or its notes were stripped.")
    else:
        show.manifest(found)


def _inspect_film(file: Path, info: dict[str, Any], film: dict[str, Any], as_json: bool) -> None:
    from .film import film_rows

    if as_json:
        typer.echo(json.dumps({"path": str(file), "probe": info, "manifest": None, "film": film}))
        return
    show.console().print(show.facts(probe_rows(file, info)))
    show.console().print()
    show.console().print(show.facts(film_rows(film), title="A film of"))


def read(file: Path) -> Manifest:
    """The manifest of a clip, of the generated clip where something was done to it afterwards. MediaError where it
    carries none, RequestError where it is of another shape."""
    from ..conditions.inputs import check_regular
    from ..core.plan import Manifest
    from ..media.manifest import STEPS, read_manifest

    if not exists(file):
        raise MediaError(f"{file}: no such file.")
    check_regular(str(file))
    found = read_manifest(file)
    steps = [name for name in STEPS if found.pop(name, None) is not None]
    if steps and not found:
        raise MediaError(f"{file}: carries no manifest of a generated clip; it was {steps[0]} from one without.")
    return Manifest.from_dict(found)


def afterwards(file: Path) -> dict[str, dict[str, Any]]:
    """What was done to a clip after it was generated, and how, by name."""
    from ..media.manifest import STEPS, carried

    found = carried(file)
    return {name: found[name] for name in STEPS if isinstance(found.get(name), dict)}


def step_rows(step: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a note says of such a step, in words; the file may be anybody's."""
    rows: list[tuple[str, Any]] = []
    for name, value in step.items():
        if isinstance(value, dict):
            rows += [(name.replace("_", " "), f"{key} {show.compact(each)}") for key, each in value.items()]
        else:
            rows.append((name.replace("_", " "), show.compact(value)))
    return rows


def probe_rows(file: Path, info: dict[str, Any]) -> list[tuple[str, Any]]:
    variable = ", variable" if info["variable_fps"] else ""
    length = f"{info['num_frames']} frames, {info['seconds']:.2f} s at {info['fps']:g} fps{variable}"
    return [
        ("file", file),
        ("size", f"{info['width']}x{info['height']}"),
        ("length", length if info["num_frames"] != 1 else "1 frame"),
        (
            "codec",
            f"{info['codec']}, {info['bit_depth']} bits" + (", with sound" if info["has_audio"] else ""),
        ),
        *([("colours", colors(info))] if colors(info) else []),
    ]


def colors(info: dict[str, Any]) -> str:
    """Transfer and primaries, where a file names any; what is done to HDR with it."""
    hdr = "" if info["transfer"] == "SDR" else f"HDR ({info['transfer']}), read as SDR by tone mapping"
    return ", ".join(part for part in (hdr, info["primaries"]) if part)


def _differences(found: Manifest, device: str) -> list[str]:
    """What is not as it was when the clip was made."""
    from importlib.metadata import PackageNotFoundError, version

    from ..engine.manifest import own_version

    # Manifests of early versions call every GPU "cuda".
    unnamed = found.device.split(":")[0] == "cuda" and device not in ("cpu", "mps")
    changed = found.device not in ("", device) and not unnamed
    lines = [f"made on {found.device}, now on {device}"] if changed else []
    for name, then in {"kinema": found.kinema, **found.versions}.items():
        try:
            now = own_version() if name == "kinema" else version(name)
        except PackageNotFoundError:
            now = "not installed"
        if now != then:
            lines.append(f"made with {name} {then}, now {now}")
    return lines
