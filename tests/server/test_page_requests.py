"""The home page's requests: each survives the form, and the command that the page shows makes the same request."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from typer.testing import CliRunner

import kinema.server
from kinema.cli.main import app
from kinema.core.request import Request

PICTURE, CLIP, MASK = (f"sha256:{digit * 64}" for digit in "123")
NAMES = {PICTURE: "a photo.png", CLIP: "clip.mp4", MASK: "mask.png"}
SOURCE = {"kind": "source", "video": CLIP}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {"prompt": "it's a \"red\" ball; $HOME"},
    "settings": {"prompt": "a ball", "model": "kinema-mini-wan", "profile": "fast", "seconds": 1.5, "seed": 3,
                 "steps": 4, "guidance": 2.5, "negative_prompt": "a square", "size": "64x32", "upscale": 4},
    "picture": {"prompt": "a car", "conditions": [{"kind": "image", "image": PICTURE, "at": "first"}]},
    "reference": {"prompt": "a star", "conditions": [{"kind": "reference", "images": [PICTURE]}]},
    "path": {"prompt": "a star", "conditions": [
        {"kind": "trajectory", "points": [[0.1, 0.5], [0.9, 0.25]], "object": "yellow star"}]},
    "remove": {"canvas": "source", "fill": "auto", "conditions": [
        SOURCE, {"kind": "mask", "boxes": [[0.25, 0.5, 0.75, 0.875]], "follow": True, "shadow": True,
                 "shape": "original_expand", "ratio": 0.1}]},
    "remove at a point": {"prompt": "a desert", "canvas": "source", "fill": "auto", "conditions": [
        SOURCE, {"kind": "mask", "click": [0.5, 0.25], "shape": "original_expand", "ratio": 0.1}]},
    "replace": {"prompt": "a car", "canvas": "source", "conditions": [
        SOURCE, {"kind": "mask", "image": MASK, "follow": True, "shape": "bbox_expand", "ratio": 0.1}]},
    "replace everywhere": {"prompt": "a car", "canvas": "source", "conditions": [
        SOURCE, {"kind": "mask", "image": MASK, "shape": "original"}]},
    "extend": {"canvas": "source", "seconds": 1.0, "conditions": [
        {"kind": "continue", "clip": CLIP, "frames": 5, "place": "start"}]},
    # What the page has no control for is kept as it is.
    "last": {"prompt": "a car", "conditions": [{"kind": "image", "image": PICTURE, "at": "last"}]},
    "options": {"prompt": "a ball", "frames": 9, "options": {"shift": 4.0}, "upscale": ["nearest:3"]},
    "style": {"prompt": "a ball", "conditions": [{"kind": "style", "adapter": "mini-pan-left", "weight": 0.5}]},
    "outpaint": {"canvas": "source", "fill": "auto", "conditions": [SOURCE | {"grow": [0.25, 0.0, 0.25, 0.0]}]},
    "timed path": {"prompt": "a star", "conditions": [
        {"kind": "trajectory", "points": [[0.1, 0.5], [0.9, 0.25]], "times": [0.0, 0.5]}]},
}  # fmt: skip
MAKE = """async ([request, names]) => {
  const { draftOf, requestOf } = await import("/page/request.js"), { commandOf } = await import("/page/command.js");
  const draft = draftOf(request, names);
  return [requestOf(draft, null, draft.region?.media), commandOf(request, names, location.origin).text];
}"""


class Files(SimpleHTTPRequestHandler):
    """The page's files under /page/, and nothing else."""

    def translate_path(self, path: str) -> str:
        return str(Path(kinema.server.__file__).with_name("page") / Path(path).name)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def made():
    """For each request: the request that the form makes of it, and the command."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/page/icon.svg")
        yield {name: page.evaluate(MAKE, [request, NAMES]) for name, request in REQUESTS.items()}
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_survives_the_form(made, name):
    assert Request.from_dict(made[name][0]) == Request.from_dict(REQUESTS[name])


@pytest.mark.parametrize("name", REQUESTS)
def test_the_command_makes_the_same_request(made, name, tmp_path, monkeypatch):
    for file in NAMES.values():
        (tmp_path / file).write_bytes(MEDIA[Path(file).suffix]())
    monkeypatch.chdir(tmp_path)
    *before, command = made[name][1].split("\n") if "<<" not in made[name][1] else [made[name][1]]
    for line in before:
        subprocess.run(["sh", "-c", line], check=True, timeout=10)
    first, _, document = command.partition("\n")
    words, given = shlex.split(first.replace(" <<'END'", "")), document.removesuffix("\nEND")
    said = CliRunner().invoke(app, [*words[1:], "--request-only"], input=given or None)
    assert said.exit_code == 0, said.output
    wanted = json.dumps(REQUESTS[name])
    for media, file in NAMES.items():
        wanted = wanted.replace(media, str(tmp_path / file))
    assert Request.from_json(said.stdout) == Request.from_json(wanted)


def _picture() -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (32, 32), 255).save(file, "PNG")
    return file.getvalue()


def _clip() -> bytes:
    import tempfile

    import numpy as np

    from kinema.core.chunk import Chunk
    from kinema.media.write import write

    with tempfile.TemporaryDirectory() as folder:
        write([Chunk(np.zeros((9, 32, 32, 3), np.uint8), 0, 8.0)], Path(folder) / "clip.mp4")
        return (Path(folder) / "clip.mp4").read_bytes()


MEDIA = {".png": _picture, ".mp4": _clip}
