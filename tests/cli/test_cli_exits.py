"""One table of exit codes: in the code, on the page, and kept by every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from cli_tools import run

from kinema.cli import exits
from kinema.cli.progress import reporter
from kinema.core import errors
from kinema.core.errors import Cancelled, KinemaError, MediaError, ModelError, RequestError, WeightsMissing

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_has_the_table() -> None:
    rows = re.findall(r"^\| ([0-9]+) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == exits.MEANINGS


def kinds(of: type[KinemaError]) -> list[type[KinemaError]]:
    return [of, *(found for each in of.__subclasses__() for found in kinds(each))]


@pytest.mark.parametrize("kind", [each for each in kinds(KinemaError) if each.__module__ == errors.__name__])
@pytest.mark.parametrize("working", [False, True])
def test_each_kind_of_error(kind: type[KinemaError], working: bool) -> None:
    """Before the work begins, what is wrong with what was given is refused; later it has failed."""

    @exits.guarded
    def command() -> None:
        if working:
            reporter(True)
        raise kind("no")

    with pytest.raises(typer.Exit) as ended:
        command()
    refused = issubclass(kind, RequestError) or (
        issubclass(kind, MediaError | ModelError) and kind is not WeightsMissing and not working
    )
    wanted = exits.INTERRUPTED if issubclass(kind, Cancelled) else exits.BAD_REQUEST if refused else exits.FAILED
    assert ended.value.exit_code == wanted


def test_the_next_command_begins_anew() -> None:
    assert run("samples", "-o", "s").exit_code in (0, 2)
    exits.begin()
    assert run("inspect", "missing.mp4").exit_code == exits.BAD_REQUEST


def test_all_golden_refusals_are_of_one_code() -> None:
    told = re.findall(r"^  (\w+): ", Path(__file__).with_name("refusals.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(told) == {str(exits.BAD_REQUEST), str(exits.OK), "begun"}
    assert told.count(str(exits.BAD_REQUEST)) > 400
