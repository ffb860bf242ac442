"""`kinema evaluate FOLDER`: figures of a set of clips, and the comparison of two sets."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.outside import exists
from . import exits
from .exits import guarded
from .options import OUTPUT, AsJson, Device, option
from .piping import no_stdout
from .progress import reporter
from .say import answer, note, say

NAME = "set"
HERE = "Options"
ONLY_OF_SETS = (
    "--against", "--compare", "--list", "--protocol", "--features", "--pictures", "--output", "-o", "--workers",
    "--resume", "--uniform", "--save-statistics",
)  # fmt: skip
"""Options that `kinema evaluate clip` does not have."""


@guarded
def evaluate_set(
    clips: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="A folder of clips, or one clip.", show_default=False),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        option("--metrics", panel=HERE, metavar="NAME,...", help="Names from --list, or all. Several: commas."),
    ] = None,
    against: Annotated[
        Path | None,
        option(
            "--against", panel=HERE, metavar="FOLDER",
            help="The clips to compare with: a folder, a clip, or a .npz file of --save-statistics.",
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        option(
            "--compare", panel=HERE, metavar="A B",
            help="Instead of FOLDER: two folders of clips, or two that -o wrote. Says which differences are real.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        option(
            "--protocol", panel=HERE, metavar="NAME",
            help="Published protocol of fvd: frames, resize, covariance.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        option(
            "--features", panel=HERE, metavar="NAME",
            help="Video encoder of fvd: mini-i3d, pixel-statistics, i3d:FILE, videomae:MODEL.",
        ),
    ] = None,
    pictures: Annotated[
        str | None,
        option(
            "--pictures", panel=HERE, metavar="NAME",
            help="CLIP of clipsim: mini-clip, or a model of transformers.",
        ),
    ] = None,
    tracker: Annotated[
        str | None, option("--tracker", panel=HERE, metavar="NAME", help="Tracker of trajectory_error.")
    ] = None,
    uniform: Annotated[
        bool, typer.Option("--uniform", help="Leave out clips whose size or frame rate differs from most.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the metrics and what each needs.")] = False,
    workers: Annotated[
        int | None,
        option(
            "--workers", panel=HERE, metavar="N",
            help="Processes, one thread each. Default: by the number of clips and cores.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        option("--output", "-o", metavar="FOLDER", panel=OUTPUT, help="Folder for report.html, report.json and rows."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the rows in that folder.", rich_help_panel=OUTPUT)
    ] = False,
    save_statistics: Annotated[
        Path | None,
        option(
            "--save-statistics", metavar="FILE", panel=OUTPUT,
            help="Also write the statistics of the clips for fvd, as a .npz file for --against.",
        ),
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure a folder of clips. The word `set` may be left out.

    Broken clips, and clips that are too short for a metric, are named and left out (exit code 3); a killed run is
    continued with --resume.
    """
    from ..evaluation.yardsticks.contract import YardstickSettings

    settings = YardstickSettings(device, features, pictures, protocol, tracker)
    if listed:
        _list(settings, as_json)
        return
    if (clips is None) == (compare is None):
        raise RequestError(
            "Nothing to evaluate." if clips is None else "FOLDER and --compare exclude each other.", field="clips",
            value=None if clips is None else str(clips), legal="FOLDER, or --compare A B",
        )  # fmt: skip
    if compare is not None and save_statistics is not None:
        raise RequestError("--save-statistics is of one set.", field="save_statistics", legal="without --compare")
    if resume and output is None:
        raise RequestError("--resume requires -o.", field="resume", legal="-o FOLDER, the folder of the killed run")
    if output is not None:
        no_stdout(output, "A folder of results")
        if exists(output) and not output.is_dir():
            raise RequestError(f"{output}: is a file, not a folder.", field="output", value=str(output))
        keep_apart({"output": output}, [clips, against, *(compare or ())], replaced=False)
    chosen: dict[str, Any] = {
        "metrics": metrics or (), "settings": settings, "workers": workers, "resume": resume, "uniform": uniform,
        "statistics": save_statistics,
    }  # fmt: skip
    command = _command(clips, compare, against, metrics or (), settings, uniform)
    if compare is not None:
        _compare(compare, against, output, chosen, command, as_json)
        return
    from ..evaluation.yardsticks import report, report_page, run

    with reporter(as_json) as on_event:
        found = run.evaluate(clips or "", against, out=output, on_event=on_event, **chosen)
        data = report.to_dict(found, command) if output is None else report_page.save(found, output, command)
    answer(data, as_json, report.as_text(found))
    if output is not None and not as_json:
        say(str(output / report_page.PAGE), str(output / report_page.JSON))
    _end(found.failed)


def _compare(
    pair: tuple[Path, Path], against: Path | None, output: Path | None, chosen: dict[str, Any], command: Sequence[str],
    as_json: bool,
) -> None:  # fmt: skip
    """Compare two reports, or evaluate two folders first."""
    from ..core.leftovers import temporary_folder
    from ..evaluation.yardsticks import compare, report, report_page, run
    from ..evaluation.yardsticks.compare_page import save

    failed: list[Any] = []
    with contextlib.ExitStack() as stack:
        place = output or stack.enter_context(temporary_folder("compare"))
        folders = []
        for name, each in zip("ab", pair):
            if compare.is_report(each):
                folders.append(each)
                continue
            on_event = stack.enter_context(reporter(as_json))
            found = run.evaluate(each, against, out=place / name, on_event=on_event, **chosen)
            command_of = [*command[:2], str(each), *command[5:]]
            report_page.save(found, place / name, command_of)
            failed += found.failed
            folders.append(place / name)
        result = compare.compare(folders[0], folders[1], chosen["metrics"], pair)
        data = compare.to_dict(result, command)
        if output is not None:
            save(result, data, output)
    answer(data, as_json, compare.as_text(result))
    for each in () if as_json else failed[: report.MOST_LINES]:
        note(f"Left out: {report.failed_text(each)}")
    _end(failed)


def _end(failed: Sequence[Any]) -> None:
    """Exit with the code of a run that left out clips."""
    if failed:
        raise typer.Exit(exits.LOST)


def _list(settings: Any, as_json: bool) -> None:
    from ..evaluation.yardsticks.table import YARDSTICKS
    from ..evaluation.yardsticks.vbench_semantic import NOT_COMPUTED

    found = []
    for name, make in YARDSTICKS.items():
        each = make(settings)
        found.append(
            {"name": name, "title": each.title, "unit": each.unit, "better": each.better, "against": each.against}
        )
    needs = {"no": "", "set": "--against", "pairs": "--against with the same names"}
    rows = [(each["name"], each["title"], each["better"], needs[each["against"]]) for each in found]
    widths = [max(len(row[column]) for row in rows) if rows else 0 for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines += ["", f"Not computed, of VBench: {', '.join(NOT_COMPUTED)}."]
    answer({"metrics": found, "not_computed": NOT_COMPUTED}, as_json, "\n".join(lines))


def _command(
    clips: Path | None, compare: tuple[Path, Path] | None, against: Path | None, metrics: Sequence[str], settings: Any,
    uniform: bool,
) -> list[str]:  # fmt: skip
    """The command that gives the same figures."""
    from dataclasses import asdict

    words = ["kinema", "evaluate"]
    words += [str(clips)] if compare is None else ["--compare", *map(str, compare)]
    words += ["--against", str(against)] if against is not None else []
    words += [word for name in metrics for word in ("--metrics", name)]
    words += [word for name, value in asdict(settings).items() if value is not None for word in (f"--{name}", value)]
    return words + (["--uniform"] if uniform else [])


def is_set(args: Sequence[str]) -> bool:
    """Whether arguments of `kinema evaluate`, without a command's name, are those of a set rather than of a clip."""
    options = {word.partition("=")[0] for word in args if word.startswith("-")}
    if options & set(ONLY_OF_SETS):
        return True
    if any(name not in ("", "trajectory_error") for name in _metrics(args)):
        return True
    from ..evaluation.yardsticks.read import is_clip_folder

    return any(exists(word) and is_clip_folder(Path(word)) for word in args if not word.startswith("-"))


def _metrics(args: Sequence[str]) -> list[str]:
    values = [after for word, after in itertools.pairwise(args) if word == "--metrics"]
    values += [word.partition("=")[2] for word in args if word.startswith("--metrics=")]
    return [name.strip() for value in values for name in value.split(",")]
