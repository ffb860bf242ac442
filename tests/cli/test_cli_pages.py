"""What --help and refusals of values look like, for every command."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main
from cli_tools import run

from kinema.cli.docs import commands, help_text
from kinema.cli.main import app
from kinema.cli.verbs import flowing


def command_of(name: str) -> Any:
    found: Any = typer.main.get_command(app)
    for word in name.split()[1:]:
        found = found.commands[word]
    return found


@pytest.mark.parametrize("name", commands())
def test_paragraphs_flow_and_arguments_are_in_capitals(name: str) -> None:
    command = command_of(name)
    for paragraph in re.split(r"\n\n", (command.help or "").strip()):
        assert name == "kinema" or "\n" not in paragraph
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = parameter.metavar or parameter.name
            assert shown == shown.upper() or "|" in shown, f"{name}: {shown}"


def test_a_docstring_s_lines_are_no_lines_of_the_page() -> None:
    assert flowing("One\n    two.\n\n    Three\n    four.\n    ") == "One two.\n\nThree four."
    lines = help_text("kinema mask").splitlines()
    at = next(index for index, line in enumerate(lines) if "Frames without the object" in line)
    assert lines[at + 1].strip().endswith("exit code is 3.")


@pytest.mark.parametrize(
    "arguments",
    [("generate", "x", "--profile", "fats"), ("generate", "x", "--fit", "near"), ("upscale", "x", "--by", "hand"),
     ("completion", "tcsh"), ("toyland", "render", "-o", "x", "--world", "big"),
     ("make-film", "x", "--profile", "fats")],
)  # fmt: skip
def test_no_library_s_words_stand_before_a_refusal(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "is not one of" in " ".join(result.stderr.split())
    assert "Value error" not in result.stderr
