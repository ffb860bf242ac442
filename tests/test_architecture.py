"""The house keeps its shape: arrows point down, imports are cheap, the public names are these."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kinema

ROOT = Path(kinema.__file__).parent
FLOORS = {
    "core": 1,
    "media": 2, "diffusion": 2, "weights": 2, "toyland": 2,
    "conditions": 3, "segmentation": 3, "propagation": 3, "sd": 3, "post": 3, "music": 3, "features": 3,
    "engine": 4, "families": 4, "http": 4,
    "jobs": 5, "training": 5, "curation": 5, "evaluation": 5, "workflow": 5,
    "server": 6, "channel": 6,
    "cli": 7,
}  # fmt: skip
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)
MODULES = {".".join(("kinema", *path.relative_to(ROOT).with_suffix("").parts)) for path in FILES}


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file's syntax tree: a dozen tests read them."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.fixture(autouse=True, scope="module")
def _forgotten():
    """The tests of other files need not carry the trees along."""
    yield
    nodes.cache_clear()


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def imports(path: Path):
    """(module, line) of every kinema import in a file, relative ones resolved, those under TYPE_CHECKING included."""
    package = ("kinema", *path.relative_to(ROOT).parts[:-1])
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.split(".")[0] == "kinema")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).rstrip(".")
            if module.split(".")[0] == "kinema":
                names = [alias.name for alias in node.names]
                yield from ((f"{module}.{name}" if module.count(".") == 0 else module, node.lineno) for name in names)


def imported(path: Path):
    """For each name that a file imports from kinema: (the name as a module, or else where it is imported from,)."""
    package = ("kinema", *path.relative_to(ROOT).parts[:-1])
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield tuple(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, (node.module or "").split("."))))
            for alias in node.names:
                yield (f"{module}.{alias.name}",) if f"{module}.{alias.name}" in MODULES else (module,)


def upward(path: Path):
    """What a file imports against the arrows, one line each."""
    own = room(path)
    for module, line in imports(path) if own != "miniatures" else ():
        parts = module.split(".")
        if len(parts) < 2 or parts[1] not in FLOORS:
            continue
        there = parts[1]
        if own == there:
            if own == "families" and len(parts) > 2 and parts[2] != path.relative_to(ROOT).parts[1]:
                yield f"{path.name}:{line}: a family imports another family ({module})"
        elif FLOORS[there] >= FLOORS[own]:
            sibling = " (a sibling)" if FLOORS[there] == FLOORS[own] else ""
            yield f"{path.name}:{line}: {own} imports {module}{sibling}"


def test_imports_go_down():
    assert [line for path in FILES for line in upward(path)] == []


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("core/x.py", "import kinema.media.read", "x.py:1: core imports kinema.media.read"),
        ("engine/x.py", "\nfrom ..families.wan import model", "x.py:2: engine imports kinema.families.wan (a sibling)"),
        ("families/wan/x.py", "from ..svd import cards", "a family imports another family (kinema.families.svd)"),
        ("cli/x.py", "def f():\n    from kinema.engine import load", None),
        ("families/wan/x.py", "from . import cards\nfrom ...core import plan", None),
    ],
)
def test_what_goes_up_is_found(tmp_path, monkeypatch, file, text, wrong):
    monkeypatch.setattr("test_architecture.ROOT", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = list(upward(path))
    assert (len(found), wrong is None or wrong in found[0]) == (int(wrong is not None), True), found


def test_files_read_in_one_sitting():
    long = {path.name: count for path in FILES if (count := len(path.read_text("utf-8").splitlines())) > 400}
    assert long == {}
    assert [path for path in FILES if path.stem in ("utils", "helpers", "misc", "common")] == []


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules each of which reaches all others of its group (Tarjan's components larger than one)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_, found = [], []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        open_.append(module)
        for other in sorted(edges[module]):
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in open_:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            group = open_[open_.index(module) :]
            del open_[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(edges):
        if module not in order:
            visit(module)
    return found


def test_files_of_a_room_import_each_other_in_no_circle():
    """Imports inside functions and those for types alone count too: a circle of files is one file in pieces."""
    chain, ring = {"a": {"b"}, "b": {"c"}, "c": set()}, {"a": {"b"}, "b": {"c"}, "c": {"b"}}
    assert circles(chain) == [] and circles(ring) == [["b", "c"]]
    names = {}
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(("kinema", *parts)).removesuffix(".__init__")] = path
    edges: dict[str, set[str]] = {}
    for name, path in names.items():
        wanted = {module for pair in imported(path) for module in pair if module in names}
        edges[name] = {other for other in wanted - {name} if other.split(".")[1] == name.split(".")[1]}
    assert any(edges.values())
    assert circles(edges) == []


def fresh(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_importing_kinema_is_cheap():
    code = (
        "import time, sys; t = time.process_time(); import kinema; print(time.process_time() - t);"
        "heavy = {'torch', 'av', 'numpy', 'diffusers', 'transformers', 'pydantic'} & set(sys.modules); print(heavy)"
    )
    for _ in range(3):  # the first may be cold
        seconds, heavy = fresh(code).split("\n", 1)
        assert heavy.strip() == "set()"
        if float(seconds) < 0.15:
            break
    assert float(seconds) < 0.15


def test_planning_and_cli_need_no_torch():
    code = (
        "import sys, kinema, kinema.cli.main; kinema.plan('a red ball rolls left', seed=1);"
        "print({'torch', 'av', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    assert fresh(code).strip() == "set()"


def test_every_module_imports_without_a_gpu():
    """In this process where it sees no GPU: a fresh one would import PyTorch and its libraries once more."""
    names = [
        ".".join(("kinema", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for path in FILES
        if room(path) != "miniatures"
    ]
    if importlib.import_module("torch").cuda.is_available():
        fresh(
            "import importlib, os; os.environ['CUDA_VISIBLE_DEVICES'] = ''\n"
            f"for name in {names!r}: importlib.import_module(name)"
        )
    for name in names:
        importlib.import_module(name)


def test_public_names():
    assert sorted(kinema.__all__) == sorted(
        [
            "__version__", "evaluate", "generate", "models", "plan", "load", "Request", "Plan", "Card", "Chunk", "Clip",
            "Engine",
            "Image", "Reference", "Source", "Mask", "Control", "Trajectory", "Camera", "Continue", "Style", "Audio",
            "KinemaError", "RequestError", "ModelError", "WeightsMissing", "MediaError", "Cancelled",
            "OutsideDomainWarning",
        ]
    )  # fmt: skip
    for name in kinema.__all__:
        assert getattr(kinema, name) is not None


def test_only_residency_moves_networks():
    """Networks move between devices in one file; tensors may move anywhere."""
    for path in FILES:
        if room(path) in ("training", "evaluation") or path.name == "residency.py":
            continue
        text = path.read_text(encoding="utf-8")
        for word in ("transformer.to(", "vae.to(", "encoder.to(", "module.to(", "model.to(", "network.to("):
            assert word not in text, f"{path.name}: {word}"
        for node in nodes(path) if ".to(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "to":
                made = node.func.value
                name = made.func if isinstance(made, ast.Call) else None
                last = getattr(name, "attr", getattr(name, "id", ""))
                opened = last in ("load", "network", "opened", "from_pretrained")
                assert not opened, f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def test_temporary_folders_bear_the_mark_of_their_process():
    """What a killed process leaves is removed by the next one only where its name says whose it was."""
    for path in FILES:
        if path.name == "leftovers.py":
            continue
        for word in ("TemporaryDirectory", "NamedTemporaryFile", "mkdtemp", "mkstemp"):
            assert word not in path.read_text(encoding="utf-8"), f"{path}: {word}; use leftovers.temporary_folder()"


def _renames(node: ast.AST) -> bool:
    """Does a node rename, replace or fsync a file? `text.replace(old, new)` and `value.replace(field=...)` do not."""
    if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil"):
        return any(alias.name in ("replace", "rename", "renames", "fsync", "move") for alias in node.names)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
    if owner in ("os", "shutil"):
        return node.func.attr in ("replace", "rename", "renames", "fsync", "fdatasync", "move")
    return node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords


def test_files_are_replaced_in_one_place():
    """What is written elsewhere with a rename of its own forgets the disk, the permissions or what a killed process
    leaves; core/whole.py has whole(), put(), move_file() and set_aside()."""
    for text, renames in (
        ("os.replace(a, b)", True), ("path.replace(other)", True), ("path.rename(other)", True), ("os.fsync(n)", True),
        ("from os import replace", True), ("shutil.move(a, b)", True), ("text.replace('a', 'b')", False),
        ("when.replace(tzinfo=UTC)", False), ("replace(value, a=1)", False),
    ):  # fmt: skip
        assert any(map(_renames, ast.walk(ast.parse(text)))) is renames, text
    for path in FILES:
        if path.name == "whole.py" and room(path) == "core":
            continue
        for node in nodes(path):
            assert not _renames(node), f"{path}:{node.lineno}: {ast.unparse(node)}"


def test_the_readme_names_each_room():
    readme = (ROOT.parents[1] / "README.md").read_text(encoding="utf-8")
    for folder in sorted({room(path) for path in FILES}):
        assert f"{folder}/" in readme, f"the README's map lacks {folder}/"


OF_FAMILIES = {
    "layers of Wan's own code": r"self_attn|cross_attn|img_emb|vace_blocks|time_projection",
    "layers of AnimateDiff's own code": r"temporal_transformer\b|attention_blocks|motion_modules",
}
"""Words that only a family may know, and what they are."""
MAY_SAY = ("families", "training", "miniatures")


@pytest.mark.parametrize("what", OF_FAMILIES)
def test_shared_code_knows_no_layers_of_a_family(what):
    """Docstrings may show an example; code may not."""
    for path in FILES:
        if room(path) in MAY_SAY:
            continue
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                assert not re.search(OF_FAMILIES[what], node.value), f"{path}:{node.lineno}: {node.value!r}"


def test_imports_inside_the_package_are_relative():
    """So that a room can move, and a reader sees how far an import reaches."""
    absolute = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in nodes(path)
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "kinema")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "kinema" for alias in node.names))
    ]
    assert absolute == []


SAME_NAME = {"Note", "Part", "Score", "GuidanceStep", "VideoEncoder"}
"""Public classes of one name in two rooms, each of which is its field's own word there (a note of music and one for a
person, a part of a score and one of the work, the score of a piece and that of a clip, an encoder of files and a
network), or a protocol and what has it (GuidanceStep)."""


def test_a_class_has_a_name_of_its_own():
    names: dict[str, list[str]] = {}
    for path in FILES:
        for node in nodes(path)[0].body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: places for name, places in names.items() if len(places) > 1 and name not in SAME_NAME} == {}
