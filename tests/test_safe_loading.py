"""Nothing that a stranger's folder holds is run: not its Python, not its pickles. Every call in the code that could is
looked at, and hostile folders are opened."""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import kinema
from kinema.core.errors import KinemaError

SOURCE = Path(kinema.__file__).parent
CHECKOUT = SOURCE.parents[1]
FILES = sorted(
    path
    for root in (SOURCE, *(CHECKOUT / name for name in ("recipes", "benchmarks", "examples", "dev", "tests")))
    for path in root.rglob("*.py")
)
WORDS = re.compile(
    r"from_pretrained|from_single_file|from_config|pipeline\(|load|Unpickler|trust_remote_code|eval\(|exec\("
)


@functools.cache
def calls() -> list[tuple[str, ast.Call]]:
    """(file, call) of every call in a file that has one of the words."""
    texts = {path.relative_to(CHECKOUT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
    return [
        (name, node)
        for name, text in texts.items()
        if WORDS.search(text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and WORDS.search(f"{called(node)[1]}(")
    ]


def called(node: ast.Call) -> tuple[str, str]:
    """(what is before the last dot, the last name) of a call."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return ast.unparse(function.value), function.attr
    return "", function.id if isinstance(function, ast.Name) else ""


def said(node: ast.Call, name: str) -> object:
    """The plain value of a keyword argument; Ellipsis where it is not given or is computed."""
    found = next((word.value for word in node.keywords if word.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else ...


def unsafe(node: ast.Call, tests: bool = False) -> str | None:
    """What is wrong with a call, in words; None where nothing is."""
    before, name = called(node)
    if name in ("from_pretrained", "from_single_file") and not tests and said(node, "trust_remote_code") is not False:
        return "needs trust_remote_code=False"
    if name == "from_config" and before.startswith("Auto") and said(node, "trust_remote_code") is not False:
        return "needs trust_remote_code=False"
    if name == "pipeline" and before in ("", "transformers") and "task" in {word.arg for word in node.keywords}:
        return "transformers' pipelines open any folder's code"
    if said(node, "trust_remote_code") is True:
        return "trusts the code of strangers"
    if name == "load" and before == "torch" and said(node, "weights_only") is not True:
        return "needs weights_only=True"
    if name in ("load", "loads", "Unpickler") and before in ("pickle", "cloudpickle", "dill", "joblib", "_pickle"):
        return "opens pickles"
    if before in ("np", "numpy") and name == "load" and said(node, "allow_pickle") is True:
        return "opens pickles"
    if before == "yaml" and name in ("load", "load_all", "unsafe_load", "full_load", "unsafe_load_all"):
        return "needs yaml.safe_load"
    if before == "" and name in ("eval", "exec"):
        return "runs text as code"
    if before.endswith("hub") and name in ("load", "load_state_dict_from_url"):
        return "runs a repository's code"
    return None


def test_no_call_runs_what_a_stranger_wrote():
    """Tests open only what they made themselves; of the rules they keep those on pickles and code."""
    assert len(FILES) > 400
    found = [
        f"{name}:{node.lineno}: {ast.unparse(node)[:80]}: {words}"
        for name, node in calls()
        if (words := unsafe(node, tests=name.startswith("tests/")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("call", "bad"), [
    ("AutoTokenizer.from_pretrained(x)", True), ("kind.from_pretrained(x, trust_remote_code=trust)", True),
    ("AutoModel.from_pretrained(x, trust_remote_code=True)", True), ("AutoModel.from_config(c)", True),
    ("type(s).from_config(s.config)", False), ("X.from_pretrained(x, trust_remote_code=False)", False),
    ("torch.load(f)", True), ("torch.load(f, weights_only=False)", True), ("torch.load(f, weights_only=True)", False),
    ("pickle.load(f)", True), ("yaml.load(t)", True), ("yaml.safe_load(t)", False), ("eval(t)", True),
    ("network.eval()", False), ("torch.hub.load(r, m)", True), ("exec(t)", True),
    ("transformers.pipeline(task='x')", True),
])  # fmt: skip
def test_the_rule_tells_good_from_bad(call, bad):
    node = ast.parse(call).body[0].value
    assert (unsafe(node) is not None) == bad


def test_weights_are_opened_through_one_door():
    """Every part of the package's own models goes through weights/folder.py: it fetches nothing and trusts nobody."""
    package = SOURCE.relative_to(CHECKOUT).as_posix()
    doors = {name for name, node in calls() if name.startswith(package) and called(node)[1] == "from_pretrained"}
    assert doors == {f"{package}/weights/folder.py"}


EVIL = "from pathlib import Path\nPath(__file__).with_name('MARK').write_text('ran')\nclass Evil: pass\n"
CLASSES = ("AutoConfig", "AutoTokenizer", "AutoProcessor", "AutoImageProcessor", "AutoModel", "AutoFeatureExtractor",
           "AutoModelForZeroShotObjectDetection", "AutoModelForDepthEstimation", "AutoModelForObjectDetection",
           "AutoModelForTextToWaveform")  # fmt: skip


def poison(folder: Path) -> Path:
    """Let every configuration in a folder name Python that lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evil.py").write_text(EVIL)
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        file = folder / name
        known = json.loads(file.read_text()) if file.exists() else {}
        table = {kind: ["evil.Evil", None] if kind == "AutoTokenizer" else "evil.Evil" for kind in CLASSES}
        strange = {"model_type": "evil", "tokenizer_class": "Evil", "processor_class": "Evil", "auto_map": table}
        file.write_text(json.dumps({**known, **strange}))
    return folder


@pytest.fixture
def watched(monkeypatch):
    """Standard input says yes to everything, and it is noticed when anybody asks."""
    asked = []
    answers = io.StringIO("y\n" * 50)
    monkeypatch.setattr(sys, "stdin", answers)
    monkeypatch.setattr(builtins, "input", lambda *words: asked.append(words) or "y")
    yield
    assert not asked, asked
    assert answers.tell() == 0


def refused(folder: Path, call) -> None:
    """The call may end well or in a KinemaError; the folder's Python does not run."""
    try:
        call()
    except KinemaError as error:
        assert "\n" not in str(error)
    assert not list(folder.rglob("MARK"))


@pytest.fixture
def wan(tmp_path, mini_path):
    folder = tmp_path / "wan"
    shutil.copytree(mini_path, folder)
    poison(folder / "tokenizer")
    return folder


def test_a_model_s_tokenizer_from_python(wan, watched):
    refused(wan, lambda: kinema.load(str(wan), device="cpu"))


def test_a_model_s_tokenizer_from_the_command_line(wan, watched):
    from typer.testing import CliRunner

    from kinema.cli.main import app

    out = str(wan.parent / "x.mp4")
    order = ["generate", "a red ball", "--model", str(wan), "-o", out, "--steps", "1", "--frames", "1"]
    ran = CliRunner().invoke(app, order, input="y\ny\ny\n")
    assert ran.exit_code in (0, 1, 2)
    assert not list(wan.rglob("MARK"))


def test_every_other_folder(tmp_path, watched):
    from transformers import AutoModelForDepthEstimation

    from kinema.families.wan.single_file import _tokenizer
    from kinema.sd.image_model import Folder
    from kinema.segmentation import find
    from kinema.weights import local

    folder = poison(tmp_path / "evil")
    (folder / "tokenizer.json").write_text("{}")
    picture = np.zeros((32, 32, 3), np.uint8)
    refused(folder, lambda: _tokenizer(folder))
    refused(folder, lambda: find.box_of(picture, "a cat", folder, "cpu"))
    refused(folder, lambda: local.processor(folder))
    refused(folder, lambda: local.load(AutoModelForDepthEstimation, folder))
    poison(tmp_path / "evil" / "tokenizer")
    with contextlib.suppress(OSError, ValueError, TypeError):
        Folder(folder, None).tokenizer()
    assert not list(folder.rglob("MARK"))
