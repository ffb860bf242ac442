"""`kinema curate`: from a folder of videos to a training set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ..core.errors import RequestError
from .exits import LOST, guarded
from .options import AsJson, Device, option
from .piping import no_stdout
from .progress import reporter
from .say import answer, note

if TYPE_CHECKING:
    from ..curation.run import CurationResult

NAME = "folder"
SHOWN = 12


class FolderByDefault(TyperGroup):
    """A group of commands whose command `folder` may be left out: `kinema curate videos -o dataset`."""

    def with_command(self, args: list[str]) -> list[str]:
        """Return the arguments with the command that is left out."""
        first = args[0] if args else "--help"
        return args if first in self.commands or first in ("--help", "-h") else [NAME, *args]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.with_command(args))


app = typer.Typer(cls=FolderByDefault, no_args_is_help=True, help="From a folder of videos to a training set.")
DataSet = Annotated[
    Path, typer.Argument(metavar="DATASET", help="A folder that kinema curate made.", show_default=False)
]


@app.callback()
def _group() -> None:
    """From a folder of videos to a training set: split, measure, mark, report, export."""


@app.command(NAME)
@guarded
def folder(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of videos.", show_default=False)],
    output_: Annotated[
        Path, typer.Option("--output", "-o", metavar="DATASET", help="The folder of the data set.", show_default=False)
    ],
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            metavar="offline|svd|easyanimate|tora",
            help="Stages and thresholds: Kinema's own, or a paper's.",
        ),
    ] = "offline",
    cuts: Annotated[
        list[str] | None,
        option("--cuts", metavar="NAME", help="Detectors of cuts in place of the recipe's: cascade, content, adaptive, "
               "fades, transnet. Several: repeat it, or commas."),
    ] = None,
    stages: Annotated[
        list[str] | None,
        option("--stages", metavar="NAME", help="Measurements in place of the recipe's. Several: repeat, or commas."),
    ] = None,
    stage_option: Annotated[
        list[str] | None,
        option("--stage-option", metavar="STAGE.NAME=VALUE", help="An option of a stage. Repeatable."),
    ] = None,
    longest: Annotated[
        float | None, option("--longest", metavar="SECONDS", help="Divide longer shots into equal clips.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes. 0: one per core.")] = 0,
    ray: Annotated[
        str | None,
        option("--ray", metavar="ADDRESS|local", help="Work on Ray Data instead: a cluster, or this machine."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a data set where it was.")] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Split the videos of a folder into shots, measure them, and mark which ones a recipe keeps."""
    from ..curation.run import curate

    no_stdout(output_, "A data set")
    with reporter(as_json, begins=False) as on_event:
        found = curate(
            source, output_, recipe=recipe, cuts=_words(cuts), stages=_words(stages), longest_s=longest,
            options=_pairs(stage_option), workers=workers or os.cpu_count() or 1, ray=ray, resume=resume,
            device=device or "cpu", on_event=on_event,
        )  # fmt: skip
    answer(_facts(found), as_json, _text(found, output_))
    if found.num_unreadable:
        raise typer.Exit(LOST)


@app.command("report")
@guarded
def report(
    dataset: DataSet,
    output_: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The page. Default: DATASET/report.html.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page with histograms of the figures, their thresholds, and pictures of what fell where."""
    from ..curation.dataset import REPORT
    from ..curation.report import write_report

    target = output_ or dataset / REPORT
    no_stdout(target, "A page")
    with reporter(as_json, begins=False) as on_event:
        write_report(dataset, target, on_event=on_event)
    answer({"report": str(target)}, as_json, str(target))


@app.command("mark")
@guarded
def mark(
    dataset: DataSet,
    changes: Annotated[
        list[str] | None,
        option("--set", metavar="COLUMN=VALUE", help="text_area=0.05 changes a threshold, motion_svd>=0.1 adds one, "
               "text_area=off removes it. Repeatable."),
    ] = None,
    recipe: Annotated[
        str | None,
        option("--recipe", metavar="offline|svd|easyanimate|tora", help="Begin with this recipe's thresholds."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change thresholds and mark the clips again. Nothing is measured."""
    from dataclasses import replace

    from ..curation.dataset import TABLE, CurationFile, changed_thresholds, remark
    from ..curation.recipes import find_recipe
    from ..curation.table import table_columns

    kept = CurationFile.read(dataset)
    if not changes and recipe is None:
        raise RequestError("Nothing to change.", field="set", legal="--set COLUMN=VALUE, or --recipe NAME")
    before = find_recipe(recipe).thresholds if recipe is not None else kept.thresholds
    measured = [column.name for column in table_columns(dataset / TABLE)]
    columns = list(dict.fromkeys([*measured, *(each.column for each in before)]))
    thresholds = changed_thresholds(before, changes or (), columns)
    counts = remark(dataset, thresholds)
    replace(kept, recipe=recipe or kept.recipe, thresholds=thresholds).write(dataset)
    clips, chosen = counts.pop("clips"), counts.pop("kept")
    lines = [f"{chosen} of {clips} clips kept", *_counts(counts)]
    lines += [f"threshold: {each.text()}" for each in thresholds]
    answer({"clips": clips, "kept": chosen, "reasons": counts}, as_json, "\n".join(lines))


@app.command("export")
@guarded
def export(
    dataset: DataSet,
    output_: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder for the clips.", show_default=False)
    ],
    shards: Annotated[bool, typer.Option("--shards", help="WebDataset shards instead of files.")] = False,
    shard_clips: Annotated[int, typer.Option("--shard-clips", metavar="N", help="Most clips of a shard.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Write the kept clips with their captions, for kinema train --data."""
    from ..curation.export import export as write_set

    no_stdout(output_, "A folder of clips")
    with reporter(as_json, begins=False) as on_event:
        found = write_set(dataset, output_, shards=shards, shard_clips=shard_clips, on_event=on_event)
    for name, why in found.failed[:SHOWN]:
        note(f"failed: {name}: {why}")
    if found.bare:
        note(
            f"{found.bare} of {found.clips} clips have no caption: training takes them without words, or with those of "
            "a .txt file beside a clip. Their figures are in figures.jsonl."
        )
    facts = {
        "folder": str(found.folder), "clips": found.clips, "without_caption": found.bare, "failed": dict(found.failed),
    }  # fmt: skip
    answer(facts, as_json, f"{found.folder}: {found.clips} clips")
    if found.failed:
        raise typer.Exit(LOST)


def _words(typed: list[str] | None) -> list[str] | None:
    return None if typed is None else [word.strip() for each in typed for word in each.split(",") if word.strip()]


def _pairs(typed: list[str] | None) -> dict[str, str]:
    found = {}
    for text in typed or ():
        name, equals, value = text.partition("=")
        if not equals or "." not in name:
            raise RequestError(f"--stage-option {text!r}.", field="stage_option", value=text, legal="STAGE.NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _facts(found: CurationResult) -> dict[str, Any]:
    return {
        "table": str(found.table),
        "files": found.files,
        "clips": found.clips - found.num_unreadable,
        "kept": found.kept,
        "reasons": dict(found.reasons),
        "unreadable": dict(found.unreadable),
        "num_unreadable": found.num_unreadable,
        "video_s": round(found.video_s, 3),
        "seconds": round(found.seconds, 3),
    }


def _text(found: CurationResult, dataset: Path) -> str:
    clips = found.clips - found.num_unreadable
    lines = [f"{found.table}: {clips} clips of {found.files} files ({found.video_s:.1f} s), {found.kept} kept"]
    lines += _counts({why: num for why, num in found.reasons.items() if why not in dict(found.unreadable).values()})
    lines += [f"unreadable: {name}: {why}" for name, why in found.unreadable[:SHOWN]]
    if (more := found.num_unreadable - SHOWN) > 0:
        lines.append(f"unreadable: {more} more; the table has all")
    return "\n".join([*lines, f"kinema curate report {dataset}"])


def _counts(reasons: dict[str, int]) -> list[str]:
    ordered = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    return [f"{num:>6}  {why}" for why, num in ordered[:SHOWN]]
