"""Recipes rehearsed in this process, bounded by steps: the same on every machine, however busy it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.training.core import loop, stages
from kinema.training.data import parallel_vae

ROOT = Path(__file__).parents[2]
CAPTIONS = 600
"""From which a tokenizer takes its words; recipes read 20,000, which takes seconds and is done for each stage."""


def train(recipe: str, out: Path, *more: str, steps: int = 2, **constants: Any) -> str:
    """`kinema train recipes/RECIPE.py --out OUT MORE` as a rehearsal, in which whatever learns takes `steps` steps;
    returns what it printed. constants: names in the recipe's file, and their values for this rehearsal. Fails with
    what the command printed where it does not end with 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "progress_of", lambda step, elapsed, config: step / steps)
        patch.setattr(sys, "path", list(sys.path))  # recipes add their folder
        patch.setattr(parallel_vae, "compiled", parallel_vae.compiled)
        load = stages.load_recipe

        def smaller(path: Path) -> Any:
            found = load(path)
            for name, value in {"CAPTIONS": CAPTIONS, **constants}.items():
                if name in found.__globals__:
                    patch.setitem(found.__globals__, name, value)
            return found

        patch.setattr(stages, "load_recipe", smaller)
        asked = ["train", str(ROOT / "recipes" / f"{recipe}.py"), "--minutes", "0.1", "--out", str(out), *more]
        done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
