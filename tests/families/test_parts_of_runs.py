"""Sampling, encoding and decoding as nodes of a graph do them (engine/segment.py), against loops written here from
ComfyUI's rules over plain diffusers classes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

import kinema
from kinema.core.errors import RequestError
from kinema.core.request import Request
from kinema.engine.segment import Segment
from kinema.families.wan.model import clean

PROMPT, NEGATIVE = "a red ball rolls left over a green hill", "snow"
SEED, STEPS, CFG, SHIFT = 11, 5, 3.0, 8.0
FRAMES, LATENTS = 9, (1, 16, 3, 8, 8)
TOLERANCE = 1e-4


def planned(engine, sampler="euler", schedule="simple", **options):
    return engine.plan(Request(
        prompt=PROMPT, negative_prompt=NEGATIVE, seed=SEED, steps=STEPS, guidance=CFG, frames=FRAMES, width=64,
        height=64, profile="exact",
        options={"shift": SHIFT, "motion_words": "text", "unknown_words": "keep", "sampler": sampler,
                 "schedule": schedule, **options},
    ))  # fmt: skip


class Reference:
    """The miniature as diffusers' and transformers' classes. model(x, sigma): denoised by the CFG rule."""

    def __init__(self, folder):
        from diffusers import AutoencoderKLWan, WanVACETransformer3DModel
        from transformers import AutoTokenizer, UMT5EncoderModel

        self.net = WanVACETransformer3DModel.from_pretrained(folder, subfolder="transformer").eval()
        self.vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
        encoder = UMT5EncoderModel.from_pretrained(folder, subfolder="text_encoder").eval()
        self.text = {}
        for text in (PROMPT, NEGATIVE):
            tokens = tokenizer([clean(text)], max_length=64, truncation=True, return_tensors="pt")
            states = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
            self.text[text] = torch.nn.functional.pad(states, (0, 0, 0, 64 - states.shape[1]))
        shape = (1, self.vae.config.z_dim, 1, 1, 1)
        self.mean, self.std = (torch.tensor(each).view(shape) for each in
                               (self.vae.config.latents_mean, self.vae.config.latents_std))  # fmt: skip
        gray = self.normal(self.encoded(torch.zeros(1, 3, FRAMES, 64, 64)))
        masked = torch.ones(1, 64, *gray.shape[2:])
        # VACE with nothing given: no pixels to keep (the gray), gray in the area to generate, all of it masked.
        self.control = torch.cat([gray, gray, masked], 1)

    def encoded(self, pixels):
        return self.vae.encode(pixels).latent_dist.mode()

    def normal(self, z):
        return (z - self.mean) / self.std

    def raw(self, z):
        return z * self.std + self.mean

    def velocity(self, x, sigma, text=PROMPT):
        return self.net(
            hidden_states=x.float(), timestep=torch.tensor([1000 * sigma]), encoder_hidden_states=self.text[text],
            control_hidden_states=self.control, control_hidden_states_scale=torch.ones(2), return_dict=False,
        )[0].double()  # fmt: skip

    def denoised(self, x, sigma):
        c, u = (x - sigma * self.velocity(x, sigma, text) for text in (PROMPT, NEGATIVE))
        return u + (c - u) * CFG


@pytest.fixture(scope="module")
def reference(mini_path):
    with torch.inference_mode():
        yield Reference(mini_path)


def shifted(t):
    return SHIFT * t / (1 + (SHIFT - 1) * t)


def simple(steps):
    table = [shifted(i / 1000) for i in range(1, 1001)]
    return [table[-1 - int(x * 1000 / steps)] for x in range(steps)] + [0.0]


def drawn(shape=LATENTS, seed=SEED):
    return torch.randn(shape, generator=torch.manual_seed(seed), device="cpu").double()


def euler(model, x, sigmas):
    for sigma, after in itertools.pairwise(sigmas):
        x = x + (x - model(x, sigma)) / sigma * (after - sigma)
    return x


def res_multistep(model, x, sigmas):
    """Exponential multistep of order 2 in t = -ln sigma, with phi functions; Euler at both ends."""
    old, before = None, None
    for sigma, after in itertools.pairwise(sigmas):
        found = model(x, sigma)
        if old is None or after == 0:
            x = x + (x - found) / sigma * (after - sigma)
        else:
            t, u, s = (-math.log(each) for each in (sigma, after, before))
            h, c2 = u - t, (s - t) / (u - t)
            phi1 = math.expm1(-h) / -h
            phi2 = (phi1 - 1) / -h
            x = math.exp(-h) * x + h * ((phi1 - phi2 / c2) * found + phi2 / c2 * old)
        old, before = found, sigma
    return x


def near(found, expected):
    assert found.shape == expected.shape
    assert float((found.double() - expected).abs().max()) < TOLERANCE


def test_euler_is_the_loop(mini, reference):
    sigmas = simple(STEPS)
    near(mini.sample_latents(planned(mini), Segment()), reference.raw(euler(reference.denoised, drawn(), sigmas)))
