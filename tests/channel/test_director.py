"""The director in Python and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kinema
from kinema.channel.writing.director import Director
from kinema.cli.main import app


def run(*arguments):
    return CliRunner().invoke(app, ["direct", *arguments], catch_exceptions=False, prog_name="kinema")


def test_shots_one_by_one_and_from_anywhere():
    whole = list(islice(Director("a storm at sea", seed=3, shots=4).takes(), 20))
    assert [take.number for take in whole[:5]] == [0, 1, 2, 3, 0]
    assert list(islice(Director("a storm at sea", seed=3, shots=4).takes(start=2), 12)) == whole[8:]


def test_the_command_prints_shots():
    found = run("a storm at sea", "--shots", "8", "--seed", "3")
    assert found.exit_code == 0 and found.output.count("the camera") == 8 and "written by: grammar" in found.output


def test_json_with_requests_that_can_be_planned():
    found = run("a storm at sea", "--shots", "3", "--episodes", "2", "--seed", "3", "--json", "--requests")
    told = json.loads(found.stdout)
    assert found.exit_code == 0 and [len(episode["shots"]) for episode in told["episodes"]] == [3, 3]
    shot = told["episodes"][1]["shots"][0]
    plan = kinema.plan(kinema.Request.from_dict(shot["request"]))
    assert plan.frames == 17 and shot["request"]["prompt"] == shot["prompt"] and plan.seed == shot["seed"]
    again = run("a storm at sea", "--shots", "3", "--start", "2", "--seed", "3", "--json", "--requests")
    assert json.loads(again.stdout)["episodes"] == told["episodes"][1:]


def test_a_bible_of_ones_own(tmp_path):
    bible = tmp_path / "bible.yaml"
    bible.write_text("look: soft paper\ncast:\n  - {name: Ada, description: a Small white boat}\n", encoding="utf-8")
    told = json.loads(run("x", "--seed", "1", "--bible", str(bible), "--json").stdout)
    bible.write_text(bible.read_text(encoding="utf-8"), encoding="utf-16")
    assert json.loads(run("x", "--seed", "1", "--bible", str(bible), "--json").stdout) == told, "UTF-16"
    assert all(
        shot["prompt"].startswith("a Small white boat ") and "; soft paper; " in shot["prompt"]
        for shot in told["episodes"][0]["shots"]
    )
    bible.write_text("cast: [{name: Ada}]", encoding="utf-8")
    found = run("x", "--bible", str(bible))
    assert found.exit_code == 2 and "cast.0.description: Field required" in found.output


def test_a_language_model_on_the_command_line(serve, monkeypatch):
    monkeypatch.setenv("STUB_KEY", "sk-abc")
    arguments = ("a storm", "--shots", "3", "--model", "stub", "--key-env", "STUB_KEY", "--json")
    told = json.loads(run("--llm", serve("good").url, *arguments).stdout)
    assert told["episodes"][0]["writer"] == "language model" and "error" not in told["episodes"][0]
    found = run("--llm", serve("401").url, *arguments)
    (episode,) = json.loads(found.stdout)["episodes"]
    assert found.exit_code == 0 and episode["writer"] == "grammar" and "responded 401" in episode["error"]
    assert "sk-abc" not in found.output


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["x", "--shots", "0"], 2, "Nearest legal value: 1"),
        (["x", "--shots", "61"], 2, "Nearest legal value: 60"),
        (["x", "--seed", "-1"], 2, "seed = -1"),
        (["x", "--model", "m"], 2, "--llm URL"),
        (["x", "--llm", "http://127.0.0.1:9/v1"], 2, "--model NAME"),
        (["x", "--llm", "nowhere", "--model", "m"], 2, "http or https address"),
        (["x", "--llm", "http://127.0.0.1:9/v1", "--model", "m", "--key-env", "NOT_SET_AT_ALL"], 2, "not set"),
        (["p0rn"], 2, "blocked word"),
        (["x" * 300], 2, "200 at most"),
        (["x", "--bible", "none.yaml"], 2, "none.yaml"),
        (["x", "--blocklist", "none.txt"], 2, "none.txt"),
    ],
)
def test_refusals(arguments, code, told):
    found = run(*arguments)
    assert found.exit_code == code and told in found.output
    assert json.loads(run(*arguments, "--json").stdout)["message"]


def test_directing_needs_no_torch_and_no_http_library():
    code = (
        "import sys; sys.argv = ['kinema', 'direct', 'a storm', '--seed', '1']\n"
        "import kinema.cli.main as cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print({'torch', 'av', 'diffusers', 'transformers', 'httpx2'} & set(sys.modules))"
    )
    source = str(Path(kinema.__file__).parents[1])
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert found.stdout.strip().endswith("set()")
