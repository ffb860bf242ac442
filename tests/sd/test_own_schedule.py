"""A noise schedule that ends in pure noise, stored with motion adapters and temporal layers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

import kinema
from kinema.core.errors import ModelError
from kinema.diffusion.scheduling import noise_level
from kinema.sd import discrete
from kinema.sd.image_model import own_schedule
from kinema.training.tasks.ddpm import Schedule

sys.path.insert(0, str(Path(__file__).parents[1] / "families"))
from tiny_sd import image_model, motion_adapter

OWN = {"beta_schedule": "scaled_linear", "beta_start": 0.001, "beta_end": 0.013, "prediction_type": "v_prediction"}


def ending_in_noise() -> DDIMScheduler:
    return DDIMScheduler(**OWN, rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False)


def test_trained_as_it_is_sampled():
    pattern = ending_in_noise()
    schedule = Schedule.of(pattern)
    assert schedule.zero_snr and schedule.alphas_bar[-1] == 0
    assert torch.allclose(schedule.alphas_bar, pattern.alphas_cumprod, atol=1e-6)
    x0, noise = torch.randn(2, 1, 4, 3, 8, 8)
    last = torch.tensor([999])
    noisy, target = schedule.mix(x0, noise, last)
    assert torch.equal(noisy, noise) and torch.equal(target, -x0), "nothing of the truth is left, and it is asked for"
    some = torch.tensor([700])
    assert torch.allclose(schedule.mix(x0, noise, some)[0], pattern.add_noise(x0, noise, some), atol=1e-5)
    with pytest.raises(ValueError, match="got 'epsilon'"):
        Schedule(prediction="epsilon", zero_snr=True)


def test_previews_begin_at_noise_alone():
    pattern = discrete.scheduler_of(ending_in_noise(), 5, torch.device("cpu"))
    assert noise_level(pattern, 0) == float("inf") and 0 < noise_level(pattern, 1) < float("inf")
    clean, noise = torch.randn(2, 1, 4, 2, 4, 4)
    shown = discrete.denoised(noise, -clean, noise_level(pattern, 0), pattern)
    assert torch.allclose(shown, clean), "a velocity at noise alone is the clean clip, turned round"


def adapter_with_schedule(folder: Path) -> Path:
    image_model(folder / "base")
    torch.manual_seed(1)
    motion_adapter(folder / "adapter", middle=True)
    return folder / "adapter"


def generated(model: Path, base: Path, **more) -> np.ndarray:
    engine = kinema.load(str(model), device="cpu")
    fields = {"frames": 4, "steps": 3, "width": 32, "height": 32, "seed": 1, "profile": "exact"}
    return engine.generate("a ball", options={"base": str(base)}, **fields, **more).frames()


def test_a_motion_adapter_brings_its_schedule(tmp_path):
    adapter = adapter_with_schedule(tmp_path)
    assert own_schedule(adapter) is None
    plain = generated(adapter, tmp_path / "base")
    ending_in_noise().save_pretrained(adapter / "scheduler")
    engine = kinema.load(str(adapter), device="cpu")
    engine.family.use_base(tmp_path / "base")
    config = engine.family.parts.scheduler.config
    assert config.rescale_betas_zero_snr and config.beta_end == 0.013
    assert (generated(adapter, tmp_path / "base") != plain).any()


def test_a_schedule_of_an_unknown_kind_is_refused(tmp_path):
    adapter = adapter_with_schedule(tmp_path)
    ending_in_noise().save_pretrained(adapter / "scheduler")
    file = adapter / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": "Pump"}))
    with pytest.raises(ModelError, match="Pump is not a diffusers scheduler"):
        kinema.load(str(adapter), device="cpu")


def test_temporal_layers_bring_theirs(tmp_path):
    shipped = Path(kinema.__file__).parent / "miniatures"
    layers = shutil.copytree(shipped / "mini_zeroscope", tmp_path / "layers")
    shutil.rmtree(layers / "scheduler", ignore_errors=True)
    ending_in_noise().save_pretrained(layers / "scheduler")
    engine = kinema.load(str(layers), device="cpu")
    engine.family.use_base(shipped / "mini_image")
    assert engine.family.parts.scheduler.config.beta_end == 0.013
