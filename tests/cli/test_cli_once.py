"""An option that is given twice is refused, wherever it is not repeatable."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import typer.main
from cli_tools import run

from kinema.cli.main import app
from kinema.cli.once import Once


@cache
def commands() -> dict[str, Any]:
    found: dict[str, Any] = {}

    def walk(command: Any, name: str) -> None:
        if hasattr(command, "commands"):
            for word, each in command.commands.items():
                walk(each, f"{name} {word}".strip())
        else:
            found[name] = command

    walk(typer.main.get_command(app), "")
    return found


def test_every_command_is_such() -> None:
    assert [name for name, each in commands().items() if not isinstance(each, Once)] == []


@pytest.mark.parametrize("name", sorted(commands()))
def test_each_option_of_each_command(name: str) -> None:
    """Each is refused by its command; the first one also by the whole command line, which prints the same words."""
    options = [each for each in commands()[name].params if each.param_type_name == "option"]
    once = [each for each in options if not (each.is_eager or each.is_flag or each.multiple)]
    for option in once:
        typed = [max(option.opts, key=len), *"1" * option.nargs, min(option.opts, key=len), *"2" * option.nargs]
        said = f"{typed[0]} is given 2 times"
        with pytest.raises(Exception, match=said) as refused:
            commands()[name].main(typed, prog_name=name, standalone_mode=False)
        assert getattr(refused.value, "exit_code", None) == 2
        if option is once[0]:
            twice = run(*name.split(), *typed)
            assert twice.exit_code == 2 and said in twice.stderr


def test_repeatable_ones_and_switches_may_be() -> None:
    assert run("plan", "x", "--set", "steps=2", "--set", "guidance=3", "--json", "--json").exit_code == 0
    twice = run("plan", "x", "--seed", "1", "--seed", "2")
    assert (twice.exit_code, twice.stdout) == (2, "") and "--seed is given 2 times" in twice.stderr


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_number_is_a_plain_one(name: str) -> None:
    """Not 50 for 5_0, nor for full-width digits, in whichever option."""
    options = {str(each.name): each for each in commands()[name].params}
    for key in commands()[name].numbers:
        option = max(options[key].opts, key=len)
        for text in ("5_0", "\uff15\uff10", "nan"):
            with pytest.raises(Exception, match="not a plain") as refused:
                commands()[name].main([option, text], prog_name=name, standalone_mode=False)
            assert getattr(refused.value, "exit_code", None) == 2
            assert option in str(refused.value)


def test_the_numbers_are_found() -> None:
    asked = commands()["generate"].numbers
    assert set(asked) >= {"steps", "seed", "guidance", "seconds", "fps"}
    assert sum(len(each.numbers) for each in commands().values()) > 40


@pytest.mark.parametrize("name", sorted(commands()))
def test_an_unknown_option_names_what_is_near_and_nothing_else(name: str) -> None:
    from kinema.core.near import nearest

    long = {option.lstrip("-") for each in commands()[name].params for option in each.opts if option.startswith("--")}
    for typed in ("zzyzx", "qwerty", *(f"{option}x" for option in long)):
        with pytest.raises(Exception, match="No such option") as refused:
            commands()[name].main([f"--{typed}"], prog_name=name, standalone_mode=False)
        near = [f"--{nearest(typed, long)}"] if nearest(typed, long) else []
        assert list(getattr(refused.value, "possibilities", ())) == near
        assert bool(near) == (typed not in ("zzyzx", "qwerty"))


@pytest.mark.parametrize(
    ("command", "near"),
    [("upscale x.mp4 --by lancos", "lanczos"), ("plan x --profile fst", "fast"), ("completion bahs", "bash"),
     ("remove x.mp4 --shape hulls", "hull"), ("plan x --fit zzyzx", None)],
)  # fmt: skip
def test_a_wrong_choice_names_the_nearest(command: str, near: str | None) -> None:
    told = run(*command.split())
    words = " ".join(told.stderr.replace("\u2502", " ").split())
    assert told.exit_code == 2 and "is not one of" in words
    assert (f"Nearest legal value: {near}." in words) if near else ("Nearest" not in words)
