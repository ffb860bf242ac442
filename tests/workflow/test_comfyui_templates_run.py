"""Official templates run to files on the miniatures: some by default, all in scope in the slow test."""

from __future__ import annotations

import copy
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from graphs import Counted
from PIL import Image

from kinema.media.read import read_chunks
from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.run.execute import run_workflow
from kinema.workflow.run.folders import FolderOutputs

LACKING = ("txt_to_image_to_video", "video_wan_vace_inpainting")
"""The first makes a still picture, the second names an object, for which Grounding DINO has to be here. Wan-Alpha's
template runs here with one autoencoder in place of its two."""
SMALL = {"width": 32, "height": 32, "length": 5}


class AnyFile:
    """A file for every name that a graph loads: a picture, or a clip."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data

    def path(self, name: str, /) -> Path:
        path = self.folder / Path(name).name
        if not path.exists() and path.suffix.lower() in (".mp4", ".webm", ".mov"):
            shutil.copy(self.data / "cat.mp4", path)
        elif not path.exists():
            Image.new("RGB", (64, 48), (40, 90, 200)).save(path)
        return path


def small(prompt):
    """The graph with one step a stage, and a small size where it is no link."""
    found = copy.deepcopy(prompt)
    for each in found.values():
        inputs = each["inputs"]
        if each["class_type"] == "ResizeImageMaskNode":
            continue
        for name, value in SMALL.items():
            if name in inputs and not isinstance(inputs[name], list):
                inputs[name] = value
        if each["class_type"] == "LoadVideo":
            continue
        if each["class_type"] == "PrimitiveInt" and isinstance(value := inputs["value"], int):
            steps = {20: 2, 10: 1, 4: 2, 2: 1, 5: 1}  # of a run, and of its first stage; 5: seconds
            inputs["value"] = steps.get(value, value) if value < 80 else 5 if value == 81 else 32
        if each["class_type"] == "PrimitiveFloat" and inputs["value"] == 5:
            inputs["value"] = 0.25  # seconds
        for name, value in {"steps": 2, "start_at_step": 1, "end_at_step": 1}.items():
            if name in inputs and not isinstance(inputs[name], list) and 0 < inputs[name] < 100:
                inputs[name] = value
    return found


def run_template(name, prompt, engines, folder, data):
    work = examine(parse_api(small(prompt), name))
    models = {}
    for each in work.models:
        if each.folder == "loras":
            models[each.name] = "none"
        elif each.folder in ("diffusion_models", "checkpoints") or not each.model:
            models[each.name] = "kinema-mini-svd" if "svd" in each.name else "kinema-mini-wan"
    (folder / "in").mkdir()
    with FolderOutputs(folder / "out", folder / "temp") as outputs:
        written = run_workflow(
            work, models=models, inputs=AnyFile(folder / "in", data), outputs=outputs, cache=None, engines=engines
        )  # fmt: skip
    results = [each for each in written if each.kind == "output"]
    assert results
    for each in results:
        frames = np.concatenate([chunk.frames for chunk in read_chunks(each.path, audio=False)])
        assert len(frames) == each.facts["frames"] and frames.std() > 3, each.path


@pytest.mark.parametrize("name", ["video_wan2_2_14B_i2v", "video_wan_vace_14B_v2v", "video_wan_vace_flf2v"])
def test_a_template_runs_on_the_miniature(name, mini, real_data, tmp_path):
    prompt = json.loads((real_data / "workflows" / "goldens.json").read_text("utf-8"))[name]
    run_template(name, prompt, Counted(mini), tmp_path, real_data)


@pytest.mark.slow
def test_all_templates_in_scope_run_on_miniatures(real_data, tmp_path):
    from kinema.jobs.pool import EnginePool

    pool = EnginePool("cpu")

    class Engines:
        @contextmanager
        def lease(self, model, on_event):
            with pool.lease(model) as engine:
                yield engine

    goldens = json.loads((real_data / "workflows" / "goldens.json").read_text("utf-8"))
    for name, prompt in goldens.items():
        if name not in LACKING:
            (tmp_path / name).mkdir()
            run_template(name, prompt, Engines(), tmp_path / name, real_data)
