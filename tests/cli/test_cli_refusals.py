"""Every command with every wrong input: refused in its first second, without torch, in words that are kept in
refusals.txt. KINEMA_GOLDEN=write writes that file anew; what changed is then for the reviewer to read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_tools import SOURCE

GOLDEN = Path(__file__).with_name("refusals.txt")
INPUTS = ("photo.png", "text.txt", "bare", "empty.mp4", "cut.mp4", "cut.png", "missing.mp4", "sound.mp4", "good.mp4")
"""bare: a folder without media. sound.mp4: a clip without pictures."""
COMMANDS = (
    "generate x --image {}",
    "generate x --last {}",
    "generate x --reference {}",
    "generate x --source {}",
    "generate x --source good.mp4 --mask {}",
    "generate x --continue {}",
    "generate x --trajectory {}",
    "generate x --model kinema-mini-zeroscope --set base={}",
    "generate x --model kinema-mini-animatediff --set controlnet={}",
    "generate --request {}",
    "generate x --model {}",
    "generate --resume {}",
    "animate {}",
    "remove {} --box 4,4,12,12",
    "remove good.mp4 --mask {}",
    "edit {} ball --box 4,4,12,12",
    "edit good.mp4 ball --mask {}",
    "edit good.mp4 ball --box 4,4,12,12 --reference {}",
    "outpaint {} --left 0.2",
    "extend {}",
    "between {} good.mp4",
    "between good.mp4 {}",
    "restyle {} ball --control edge",
    "upscale {}",
    "upscale {} --by model --prompt x",
    "control {} --kind edge",
    "control good.mp4 --kind layout --mask {}",
    "mask {} --box 4,4,12,12",
    "track {} --point 4000,40",
    "path preview {}",
    "evaluate clip {} --metrics trajectory_error",
    "interpolate {} --by blend",
    "interpolate good.mp4 --model {}",
    "interpolate fast.gif --times 2 -o x.gif",
    "score {}",
    "score good.mp4 --melody {}",
    "score good.mp4 --sound {}",
    "music calm --sound {}",
    "music calm --melody {}",
    "rerun {}",
    "inspect {}",
    "direct x --bible {}",
    "direct x --blocklist {}",
    "workflow show {}",
    "workflow convert {}",
    "channel start {}",
    "channel init {}",
    "models add {}",
    "models show {}",
    "models check {}",
    "models convert {} out.safetensors",
    "evaluate miniature wan --model {}",
    "train lora --data {} --out run",
    "train {} --out run",
    "train lora --out run",
    "train lora --data missing --out run",
    "train lora --data broken --out begun",
    "train lora --data clips --out run --resume --replace",
    "train lora --data clips --out run --minutes 0",
    "train lora --data clips --out run --device tpu",
    "train lora --data clips --out run --stage nothing",
    "train lora --data clips --out run --set rank",
    "train lora --data clips --out run --set rank=0",
    "train lora --data clips --out run --set rank=many",
    "train lora --data clips --out run --set lr=7",
    "train lora --data clips --out run --set colour=red",
    "train lora --data clips --out run --set dialect=latin",
    "train lora --data clips --out run --set optimizer=lion",
    "train lora --data clips --out run --set shard=on",
    "train lora --data clips --out run --set shard=perhaps",
    "train lora --data clips --out run --set checkpointing=on --set model=kinema-mini-zeroscope",
    "train lora --data clips --out run --set model=nothing",
    "train lora --data clips --out run --set base=nothing",
    "train lora --data clips --out run --set frames=10 --set model=kinema-mini-wan",
    "train lora --data clips --out done",
    "train lora --data clips --out done --resume --set rank=16",
)
MOST_S = 1.5


CASES = list(dict.fromkeys(pattern.format(name) for pattern in COMMANDS for name in INPUTS))
CASES.remove("channel start empty.mp4")  # a channel of defaults, which would run


@pytest.fixture(scope="module")
def table(shared) -> dict[str, dict[str, object]]:
    """What commands say to inputs, in one process of its own: there it is seen who imports torch."""

    def make(folder: Path) -> None:
        place = folder / "inputs"
        place.mkdir()
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join([SOURCE, str(Path(__file__).parent)]), "COLUMNS": "200",
            "KINEMA_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", "import refusals; refusals.main()"], cwd=place, env=environment, text=True,
            capture_output=True, timeout=300, input=json.dumps(CASES), check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (folder / "table.json").write_text(done.stdout)

    return json.loads((shared("refusals", make) / "table.json").read_text())


def test_the_words_are_those_that_were_agreed_upon(table) -> None:
    said = {f"$ kinema {command}": f"  {found['code']}: {found['told']}" for command, found in table.items()}
    if os.environ.get("KINEMA_GOLDEN") == "write":
        GOLDEN.write_text("".join(f"{command}\n{told}\n" for command, told in said.items()), encoding="utf-8")
    lines = GOLDEN.read_text(encoding="utf-8").split("\n")[:-1]
    agreed = dict(zip(lines[::2], lines[1::2], strict=True))
    assert list(agreed) == [f"$ kinema {command}" for command in CASES]
    assert said == {command: agreed[command] for command in said}


def test_each_is_said_in_the_first_second_without_torch(table) -> None:
    assert {
        command: found["seconds"]
        for command, found in table.items()
        if found["seconds"] > MOST_S and found["code"] == 2
    } == {}
    assert [command for command, found in table.items() if found["torch"]] == []


def test_none_is_for_programmers(table) -> None:
    """No traceback, no words of libraries, no legal range of one value."""
    for command, found in table.items():
        told = str(found["told"])
        assert found["code"] in (2, "begun", 0), (command, told)
        for word in ("Traceback", "Errno", "codec", "pydantic", "BaseModel", "instance of", " 1 frames", "1 to 1"):
            assert word not in told, (command, told)
        if found["code"] == 2:
            assert told.endswith("."), (command, told)


def test_what_is_wrong_never_begins(table) -> None:
    wrong = [each for each in INPUTS if each not in ("good.mp4", "photo.png")]
    begun = [
        command for command, found in table.items()
        if found["code"] in ("begun", 0) and any(name in command.split() or f"={name}" in command for name in wrong)
    ]  # fmt: skip
    # An empty bible or blocklist says nothing, and is legal; so is any text as a list of words.
    legal = ("direct x --bible empty.mp4", "direct x --blocklist empty.mp4", "direct x --blocklist text.txt")
    assert set(begun) <= set(legal)
