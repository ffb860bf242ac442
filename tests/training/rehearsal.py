"""Run recipes in small: in this process, bounded by steps, which does not depend on the machine's load; or with the
command, bounded by the clock."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.training.core import loop, stages
from kinema.training.data import parallel_vae
from kinema.training.data.store import write_shards
from kinema.training.tasks import image_to_video, temporal
from kinema.training.tasks.edm import align_times

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
HOW = ["steps", pytest.param("clock", marks=pytest.mark.slow)]
"""Parameters for a fixture that trains: with `by_steps`, and in `make test-all` also with `by_the_clock`."""
SMALLER = {
    "CAPTIONS": 600, "REHEARSED": 1, "REHEARSAL_STEPS": 2, "SAMPLE_STEPS": 2, "LENGTHS": (4,),
    "align_times": partial(align_times, steps=20),
}  # fmt: skip
"""Smaller values of constants in recipes: number of captions for the tokenizer (20,000 take seconds in each stage),
clips of an evaluation and their steps; frames of a step of Stable Video Diffusion, and steps for fitting its time
embedding (400 take half of the rehearsal)."""


def named(recipe: str) -> str:
    """The recipe argument of the command: a file of recipes/, or the name of a recipe that ships with Kinema."""
    file = RECIPES / f"{recipe}.py"
    return str(file) if file.is_file() else recipe


def by_the_clock(recipe: str, out: Path, *more: str, minutes: float = 0.1) -> str:
    """Run the command in its own process with the recipe's own sizes for so many minutes. With two or more, the command
    must keep to them."""
    began, before = time.monotonic(), _processor_s()
    command = [sys.executable, "-c", "from kinema.cli.main import main; main()", "train", named(recipe)]
    done = subprocess.run(
        [*command, "--minutes", str(minutes), "--out", str(out), *more], cwd=ROOT, capture_output=True, text=True,
        timeout=1500, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=False,
    )  # fmt: skip
    took, busy, whole = time.monotonic() - began, _processor_s() - before, 69 * minutes
    assert done.returncode == 0, done.stderr
    if minutes >= 2:
        assert busy < whole and (took < whole or busy < 0.7 * took), (
            "the command keeps to its minutes on an idle machine"
        )
    return done.stdout


def _processor_s() -> float:
    """CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by_steps(
    recipe: str, out: Path, *more: str, steps: int = 1, clips: int = 1, batch: int = 1, **constants: Any
) -> str:
    """Run `kinema train RECIPE --out OUT MORE` with `steps` training steps of `batch` clips or images, and at most
    `clips` rendered clips. Returns the output; fails with it if the exit code is not 0.

    constants: other values of constants in the recipe and the recipe files that it imports.
    """
    smaller_values = {**SMALLER, "write_shards": partial(_write_few, clips), "train": partial(_train, batch)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "progress_of", lambda step, elapsed, config: step / steps)
        patch.setattr(parallel_vae, "compiled", parallel_vae.compiled)
        patch.setattr(temporal, "HELD_OUT_STEPS", temporal.HELD_OUT_STEPS[:2])
        patch.setattr(image_to_video, "HELD_OUT_SIGMAS", image_to_video.HELD_OUT_SIGMAS[:1])
        patch.setattr(sys, "path", list(sys.path))  # recipes add their folder
        load = stages.load_recipe

        def smaller(path: Path) -> Any:
            found = load(path)
            beside = (vars(module) for module in list(sys.modules.values()) if _is_recipes(module))
            for names in (found.__globals__, *beside):
                for name, value in {**smaller_values, **constants}.items():
                    if name in names:
                        patch.setitem(names, name, value)
            return found

        patch.setattr(stages, "load_recipe", smaller)
        asked = ["train", named(recipe), "--minutes", "0.1", "--out", str(out), *more]
        done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def _write_few(clips: int, folder: Path, world: Any, seeds: Sequence[int], **how: Any) -> None:
    write_shards(folder, world, list(seeds)[:clips], **how)


def _train(batch: int, task: Any, *given: Any) -> Any:
    if hasattr(task, "batch_size"):
        task.batch_size = min(task.batch_size, batch)
    return loop.train(task, *given)


def _is_recipes(module: Any) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(str(RECIPES))
