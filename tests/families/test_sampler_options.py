"""The options `sampler` and `schedule`: a clip equals one that a loop written here samples, and can be resumed."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from PIL import Image

import kinema
from kinema.core.request import Request
from kinema.diffusion.latents import drawn, initial
from kinema.diffusion.sigma_schedules import flow_levels, sigmas_of
from kinema.engine.estimate import evaluations

FIELDS = {"prompt": "a red ball rolls left", "seed": 4, "frames": 5, "steps": 5, "guidance": 3.0, "profile": "exact"}


def made(mini, **options):
    return mini.generate(Request(**FIELDS, options=options)).frames()


def test_euler_on_simple_sigmas_is_the_loop_of_the_book(mini):
    """x moves along (x - denoised) / sigma, denoised = x - sigma * (uncond + scale * (cond - uncond))."""
    family, plan = mini.family, mini.plan(Request(**FIELDS, options={"sampler": "euler", "schedule": "simple"}))
    span = plan.spans[0]
    cond = family.encode(plan, family.prepare(plan))
    predict, x = family.predict(cond, span), drawn(plan.seed, "init/0", family.latent_shape(cond, span))
    sigmas = sigmas_of("simple", flow_levels(plan.options["shift"]), plan.steps)
    with torch.inference_mode():
        for sigma, after in itertools.pairwise(sigmas):
            out = predict(x, torch.tensor(1000 * sigma), ("cond", "uncond"))
            guided = out["uncond"] + plan.guidance * (out["cond"] - out["uncond"])
            x = x + (x - (x - sigma * guided)) / sigma * (after - sigma)
        chunks = list(family.decode(x, plan, span))
    expected = np.concatenate([chunk.frames for chunk in chunks])
    assert np.abs(expected.astype(int) - made(mini, sampler="euler", schedule="simple")).max() <= 1


def test_torch_noise_is_that_of_comfyui(mini):
    plan = mini.plan(Request(**FIELDS, options={"noise": "torch"}))
    generator = torch.Generator().manual_seed(plan.seed)
    expected = torch.randn((1, 16, 2, 8, 8), generator=generator)
    assert torch.equal(initial(plan, "init/0", (1, 16, 2, 8, 8)), expected)
    assert not np.array_equal(made(mini), made(mini, noise="torch"))
    # where frames are a batch
    by_frame = torch.randn((3, 4, 8, 8), generator=torch.Generator().manual_seed(plan.seed)).transpose(0, 1)[None]
    assert torch.equal(initial(plan, "init/0", (1, 4, 3, 8, 8), frames_first=True), by_frame), (
        "where frames are a batch"
    )


def test_each_sampler_and_schedule_changes_the_clip_and_is_repeatable(mini):
    own = made(mini)
    found = {name: made(mini, **{kind: name}) for kind, name in
             (("sampler", "uni_pc"), ("sampler", "dpmpp_2m"), ("sampler", "lcm"), ("schedule", "beta"))}  # fmt: skip
    for name, frames in found.items():
        assert frames.shape == own.shape and not np.array_equal(frames, own), name
    assert np.array_equal(found["lcm"], made(mini, sampler="lcm"))
    near = np.abs(found["dpmpp_2m"].astype(float) - own).mean()
    assert near < np.abs(found["lcm"].astype(float) - own).mean(), "a solver of the same path is near the checkpoint's"


def test_a_state_goes_on_with_the_sampler(mini):
    plan = mini.plan(Request(**FIELDS, options={"sampler": "uni_pc", "schedule": "sgm_uniform"}))
    states = []
    whole = [chunk.frames for chunk in mini.stream(plan, keep=states.append, keep_every=2)]
    assert [state.step for state in states] == [2, 4]
    for state in states:
        again = [chunk.frames for chunk in mini.stream(plan, state=state)]
        assert np.array_equal(np.concatenate(again), np.concatenate(whole))


def test_a_sampler_with_two_evaluations_a_step(mini):
    """Its last step has one. It can be resumed between the two, and is estimated to cost twice as much."""
    options = {"sampler": "dpmpp_2s_ancestral", "schedule": "simple", "noise": "torch"}
    plan = mini.plan(Request(**FIELDS, options=options))
    states, steps = [], []
    whole = [chunk.frames for chunk in mini.stream(plan, keep=states.append, keep_every=3, on_event=lambda event: (
        steps.append((event.done, event.total)) if event.stage == "sample" and hasattr(event, "done") else None
    ))]  # fmt: skip
    assert steps == [(done, 9) for done in range(1, 10)]
    again = [chunk.frames for chunk in mini.stream(plan, state=states[0])]
    assert np.array_equal(np.concatenate(again), np.concatenate(whole))
    one = mini.plan(Request(**FIELDS, options=options | {"sampler": "euler"}))
    assert evaluations(plan) == 2 * evaluations(one)


def test_stable_video_diffusion_takes_them_too(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64)).save(
        tmp_path / "a.png"
    )
    engine = kinema.load("kinema-mini-svd", device="cpu")
    fields = {"image": str(tmp_path / "a.png"), "seed": 1, "frames": 4, "steps": 6, "profile": "exact"}

    def made(**options):
        return engine.generate(Request.from_dict(fields | {"options": options})).frames().astype(float)

    own = made()
    assert np.abs(own - made(sampler="euler", schedule="karras")).mean() < 2, "its own is Euler on Karras' sigmas"
    assert np.abs(own - made(sampler="euler_ancestral")).mean() > 2
