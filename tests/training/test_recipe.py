"""The miniature's recipe from nothing, by the command that people use, in two minutes on a CPU."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from diffusers import WanVACEPipeline

ROOT = Path(__file__).parents[2]


def train(out: Path, *more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from kinema.cli.main import main; main()", "train", "recipes/mini_wan.py"]
    return subprocess.run(
        [*command, "--minutes", "2", "--out", str(out), *more], cwd=ROOT, capture_output=True, text=True, timeout=1500,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip


def processor_s() -> float:
    """Seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_two_minutes_make_a_folder_that_opens_and_resume_has_nothing_left_to_do(tmp_path):
    began, before = time.monotonic(), processor_s()
    done = train(tmp_path)
    took, busy = time.monotonic() - began, processor_s() - before
    assert done.returncode == 0, done.stderr
    assert busy < 138 and (took < 138 or busy < 0.7 * took), "two minutes are two minutes, on a machine of its own"
    record = json.loads((tmp_path / "stages.json").read_text())
    names = ["clips", "vae", "decoder", "tiny", "cache", "video", "few_step", "export"]
    assert [name for name in record if name not in ("schema", "settings")] == names
    assert record["vae"]["psnr_db"] > 5 and record["vae"]["gate_passed"] is False
    assert set(record["video"]["swap_percent"]) >= {"color", "kind", "motion", "background"}
    assert record["video"]["samples"] > 0 and record["few_step"]["bytes"] < 4_000_000
    folder = tmp_path / "export"
    pipeline = WanVACEPipeline.from_pretrained(folder)
    assert pipeline.vae_scale_factor_spatial == 8 and pipeline.vae_scale_factor_temporal == 4
    card = json.loads((folder / "card.json").read_text())
    assert set(card["training"]["stages"]) == set(names[:-1]), "what each stage gave, and nothing else of the record"
    assert card["edition"] == "small" and card["world"]["detail"] == "plain" and len(card["weights_sha256"]) == 5
    assert (folder / "tiny_decoder" / "config.json").exists() and (folder / "few_step" / "few_step.json").exists()
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 40_000_000
    before = (folder / "transformer" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    assert train(tmp_path, "--resume").returncode == 0
    assert (folder / "transformer" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == before


def test_what_cannot_be_is_refused_before_work(tmp_path):
    for arguments, words in (
        (["--device", "cuda:77"], "CUDA devices"),
        (["--set", "edition=huge"], "edition is one of small, large"),
        (["--stage", "nothing"], "There is no stage"),
        (["--set", "edition"], "has no value"),
        (["--set", "start=nowhere"], "no model_index.json"),
    ):
        refused = train(tmp_path / "x", *arguments)
        assert refused.returncode == 2 and words in refused.stderr + refused.stdout, (arguments, refused.stderr)
    assert not (tmp_path / "x").exists()


def test_training_goes_on_from_a_finished_model(tmp_path, mini_path, monkeypatch):
    """Its weights are the start, its autoencoder and tiny decoder are kept, and no stage trains them."""
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    import torch
    from mini_wan import Run, stages
    from mini_wan_editions import SMALL
    from safetensors.torch import load_file

    from kinema.training.core.stages import Settings

    settings = Settings(out=tmp_path, minutes=1.0, options={"start": str(mini_path), "edition": "small"})
    assert [stage.name for stage in stages(settings)] == ["clips", "keep", "cache", "video", "few_step", "export"]
    run = Run(settings, SMALL)
    parts = run.new_parts()
    saved = load_file(mini_path / "transformer" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(parts["transformer"].state_dict()[name], value.float()) for name, value in saved.items())
    run.keep(0.0)
    for name in ("vae", "tiny_decoder"):
        kept = (tmp_path / name / "diffusion_pytorch_model.safetensors").read_bytes()
        assert kept == (mini_path / name / "diffusion_pytorch_model.safetensors").read_bytes()
    assert run.best_vae() == tmp_path / "vae"
