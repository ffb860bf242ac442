"""The kind `workflow` with a stand-in for `run_workflow`: samplers count steps, results are pictures whose pixels are
a hash of everything behind them. `python -m kinema.jobs.worker --kinds comfy_stand_in:KINDS` runs it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from typing import Any

import numpy as np
from PIL import Image

from kinema.jobs.built_in import BUILT_IN
from kinema.jobs.kinds import Kinds
from kinema.server.comfy.kind import workflow_kind
from kinema.workflow.run.values import NodeEvent, Written

PREFIX = {"SaveImage": "filename_prefix", "SaveVideo": "filename_prefix", "SaveAnimatedWEBP": "filename_prefix"}


def run(work, *, models, inputs, outputs, cache, engines, report, carry, states) -> list[Written]:
    """`cfg` is the time of a step in seconds; `denoise` 0.5 is a sampler that fails, 0.25 one that ends its process."""
    values: dict[str, str] = {}
    written: list[Written] = []
    for key, node in work.running.items():
        report(NodeEvent("executing", key))
        given = {name: values[v[0]] if isinstance(v, list | tuple) else v for name, v in node["inputs"].items()}
        if node["class_type"] == "LoadImage":
            given["image"] = hashlib.sha256(inputs.path(given["image"]).read_bytes()).hexdigest()
        digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode())
        if node["class_type"] == "KSampler":
            _sample(key, given, digest, report)
        values[key] = digest.hexdigest()
        mine = []
        if node["class_type"] in PREFIX:
            suffix = ".webp" if node["class_type"] == "SaveAnimatedWEBP" else ".png"
            path = outputs.reserve(given["filename_prefix"], suffix, "output")
            Image.fromarray(pixels(values[key])).save(path, lossless=True)
            mine = [Written(key, path, "output", {"frames": 1 if suffix == ".png" else 2})]
        written += mine
        report(NodeEvent("executed", key, {"written": mine}))
    return written


def _sample(key: str, given: dict[str, Any], digest: Any, report: Any) -> None:
    steps = int(given["steps"])
    for step in range(steps):
        time.sleep(given["cfg"])
        digest.update(str(step).encode())
        report(NodeEvent("progress", key, {"value": step + 1, "max": steps}))
        report(NodeEvent("preview", key, {"frames": lambda: np.zeros((1, 16, 16, 3), np.uint8)}))
    if given["denoise"] == 0.25:
        os.kill(os.getpid(), signal.SIGKILL)
    if given["denoise"] == 0.5:
        raise ValueError("this sampler fails")


def pixels(text: str) -> np.ndarray:
    """A picture of a hash."""
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(4, 8)


KIND = workflow_kind(run)
ALL = (*BUILT_IN, KIND)
KINDS = Kinds(ALL)


def prompt(seed: int = 1, steps: int = 3, step_s: float = 0.0, prefix: str = "clip/It", **changed: Any) -> dict:
    """Text to video with the miniature, as an API prompt."""

    def node(kind: str, title: str = "", **inputs: Any) -> dict:
        return {"class_type": kind, "inputs": inputs, "_meta": {"title": title or kind}}

    return {
        "37": node("UNETLoader", unet_name="kinema-mini-wan", weight_dtype="default"),
        "38": node("CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan", device="default"),
        "39": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "6": node("CLIPTextEncode", text="a red ball rolls left", clip=["38", 0]),
        "7": node("CLIPTextEncode", text="", clip=["38", 0]),
        "40": node("EmptyHunyuanLatentVideo", width=64, height=64, length=5, batch_size=1),
        "3": node("KSampler", seed=seed, steps=steps, cfg=step_s, sampler_name="euler", scheduler="simple",
                  positive=["6", 0], negative=["7", 0], model=["37", 0], latent_image=["40", 0], denoise=1.0),
        "8": node("VAEDecode", samples=["3", 0], vae=["39", 0]),
        "28": node("SaveAnimatedWEBP", "Save it", images=["8", 0], filename_prefix=prefix, fps=8.0, lossless=True,
                   quality=80, method="default"),
    } | changed  # fmt: skip
