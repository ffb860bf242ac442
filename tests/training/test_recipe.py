"""The recipe of the Wan miniature, from scratch: a few steps, and two minutes of the command."""

import json
from dataclasses import replace

import pytest
from diffusers import WanVACEPipeline
from rehearsal import HOW, RECIPES, ROOT, by_steps, by_the_clock
from typer.testing import CliRunner

from kinema.cli.main import app


@pytest.fixture(params=HOW)
def train(request, monkeypatch):
    if request.param == "steps":
        monkeypatch.syspath_prepend(str(RECIPES))
        from mini_wan_editions import SMALL

        narrow = ("--set", "vae_base=8", "--set", "vae_decoder_base=8")
        shallow = replace(SMALL, batch=2, transformer={**SMALL.transformer, "num_layers": 2, "vace_layers": [0]})
        few = {"EDITIONS": {"small": shallow}, "CLIPS": 1, "BATCH": 2, "HELD_OUT_BATCH": 2}
        return lambda out, *more: by_steps("mini_wan", out, *narrow, *more, clips=2, **few)
    return lambda out, *more: by_the_clock("mini_wan", out, *more, minutes=2)


def test_it_makes_a_folder_that_opens_and_resume_has_nothing_left_to_do(train, tmp_path):
    train(tmp_path)
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
    assert set(card["training"]["stages"]) == set(names[:-1]), "only the results of the stages"
    assert card["edition"] == "small" and card["world"]["detail"] == "plain" and len(card["weights_sha256"]) == 5
    assert (folder / "tiny_decoder" / "config.json").exists() and (folder / "few_step" / "few_step.json").exists()
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 40_000_000
    before = (folder / "transformer" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns
    assert "all stages of this run are done" in train(tmp_path, "--resume")
    assert (folder / "transformer" / "diffusion_pytorch_model.safetensors").stat().st_mtime_ns == before


def test_what_cannot_be_is_refused_before_work(tmp_path):
    for arguments, words in (
        (["--device", "cuda:77"], "CUDA devices"),
        (["--set", "edition=huge"], "edition must be one of small, large"),
        (["--stage", "nothing"], "No such stage: nothing"),
        (["--set", "edition"], "has no value"),
        (["--set", "start=nowhere"], "no model_index.json"),
    ):
        asked = ["train", str(ROOT / "recipes" / "mini_wan.py"), "--out", str(tmp_path / "x"), *arguments]
        refused = CliRunner().invoke(app, asked)
        assert refused.exit_code == 2 and words in " ".join(refused.output.split()), (arguments, refused.output)
    assert not (tmp_path / "x").exists()


def test_training_goes_on_from_a_finished_model(tmp_path, mini_path, monkeypatch):
    """Training starts from its weights; its VAE and tiny decoder are copied and not trained."""
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
