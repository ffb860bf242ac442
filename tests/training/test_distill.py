"""Few-step distillation of a flow with an exact velocity, a mixture of four Gaussians in the plane.

The last tests use a video network, from teacher paths to the student's file.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from kinema.training.core.loop import LoopConfig, train
from kinema.training.tasks.distill import (
    Batch,
    Distillation,
    DistillTask,
    draw_positions,
    student_scores,
    swapped_parameters,
    teacher_sample,
    write_paths,
)
from kinema.training.tasks.flow import apply_shift, guided, integrate, like, sample, sigmas

CENTRES = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
SPREAD = 0.3
SETTING = Distillation(segments=4, shift=3.0, guidance=4.0, substeps=4, fine=4)


def exact(x, sigma_B, odds_B4):
    """E[noise - data | x] for data from the four Gaussians with these weights."""
    sigma = like(sigma_B.float(), x)
    away = x[:, None] - (1 - sigma)[..., None] * CENTRES
    variance = ((1 - sigma) * SPREAD) ** 2 + sigma**2
    logits = odds_B4.log() - away.square().sum(-1) / (2 * variance)
    means = CENTRES + ((1 - sigma) * SPREAD**2 / variance)[..., None] * away
    clean = (logits.softmax(1)[..., None] * means).sum(1)
    return (x - clean) / sigma.clamp_min(1e-3)


class Student(nn.Module):
    """The exact velocity plus a correction that starts at zero, so that the student starts as the teacher."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(7, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x, sigma_B, odds_B4):
        return exact(x, sigma_B, odds_B4) + self.net(torch.cat([x, sigma_B.float()[:, None], odds_B4], 1))


def draw(generator, size=128):
    which = torch.randint(4, (size,), generator=generator)
    clean = CENTRES[which] + SPREAD * torch.randn(size, 2, generator=generator)
    odds = torch.eye(4)[which]
    return Batch(clean, odds, torch.full((size, 4), 0.25), torch.ones(size, 1))


def task(setting=SETTING, paths=None):
    student = Student()
    held_out = [draw(torch.Generator().manual_seed(99))]
    return DistillTask(exact, student, student, draw, setting, paths=paths, held_out=held_out, names_for_adam=())


def settings(folder, steps, **changes):
    return LoopConfig(out=folder, max_steps=steps, warmup_steps=5, lr_muon=4e-2, lr_adam=4e-2, ema=0.98, **changes)


def test_segments_have_exact_boundaries():
    for shift in (1.0, 3.0, 16.0):
        found = sigmas(6, shift)
        assert found[0] == 1 and found[-1] == 0 and (found.diff() < 0).all()
    assert sigmas(4, 1.0).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert sigmas(2, 3.0).tolist() == [1, 0.75, 0]
    assert torch.equal(sigmas(4, 3.0), apply_shift(SETTING.boundaries, 3.0).float())
    with pytest.raises(ValueError, match="num_steps"):
        sigmas(0, 3.0)
    with pytest.raises(ValueError, match="substeps"):
        Distillation(substeps=5, fine=4)


def test_points_lie_in_their_segment_and_half_at_its_start():
    u, stop = draw_positions(4000, SETTING, torch.Generator().manual_seed(0))
    start = stop + 0.25
    assert torch.isin(stop, SETTING.boundaries[1:]).all() and torch.isin(start, SETTING.boundaries[:-1]).all()
    assert (u <= start).all() and (u >= stop + 0.05 * 0.25 - 1e-9).all()
    assert 0.46 < (u == start).double().mean() < 0.54 and (u == 1).any()


def test_walking_in_pieces_is_walking():
    batch = draw(torch.Generator().manual_seed(1), 16)
    one = torch.ones(16, dtype=torch.float64)
    whole = sample(exact, batch.clean, batch.cond, 8, 3.0)
    x = batch.clean
    for start, stop in zip(SETTING.boundaries[:-1], SETTING.boundaries[1:], strict=True):
        x = integrate(exact, x, one * start, one * stop, batch.cond, num_steps=2, shift=3.0)
    assert torch.allclose(x, whole, atol=1e-5)
    fine = sample(exact, batch.clean, batch.cond, 400, 3.0)
    error = {heun: (sample(exact, batch.clean, batch.cond, 8, 3.0, heun) - fine).square().mean() for heun in (0, 1)}
    assert error[1] < error[0]


@pytest.mark.parametrize("kind", ["online", "paths", "bootstrap"])
def test_four_steps_land_where_the_guided_teacher_does(kind, tmp_path):
    """The undistilled model at four steps, even with guidance, is at least five times as far away."""
    setting = replace(SETTING, substeps=2) if kind == "bootstrap" else SETTING
    if kind == "paths":
        write_paths(tmp_path / "paths", exact, draw, setting, 8)
    made = task(setting, tmp_path / "paths" if kind == "paths" else None)
    train(made, settings(tmp_path / kind, 150))
    found = student_scores(exact, made.student, made.held_out, SETTING, steps=16)
    assert found["student"] * 5 < found["undistilled_guided"], found
    assert found["student"] * 20 < min(found["undistilled"], found["undistilled_guided_half_steps"]), found


def test_a_perfect_student_of_the_paths_is_the_teacher(tmp_path):
    """Stored points are the teacher's, and the target leads from each to the next."""
    write_paths(tmp_path, exact, draw, SETTING, 1, seed=5)
    path = torch.load(tmp_path / "00000.pt", weights_only=True)
    made = task(SETTING, tmp_path)
    x, x_end, now, end, cond, _ = made._on_path(torch.Generator().manual_seed(0))
    again = integrate(
        guided(exact, 4.0), path["states"][0], torch.ones(128).double(), torch.zeros(128).double(),
        (cond, torch.full((128, 4), 0.25)), num_steps=16, shift=3.0,
    )  # fmt: skip
    assert torch.allclose(path["states"][-1], again, atol=1e-4)
    first = now == 1
    assert torch.equal(x[first], path["states"][0][first]) and torch.equal(x_end[first], path["states"][1][first])
    assert (end < now).all()
    before = (tmp_path / "00000.pt").stat().st_mtime_ns
    write_paths(tmp_path, exact, draw, SETTING, 2, seed=5)
    assert (tmp_path / "00000.pt").stat().st_mtime_ns == before and (tmp_path / "00001.pt").exists()


def test_the_goal_is_the_many_step_result():
    batch = draw(torch.Generator().manual_seed(3), 64)
    near, far = teacher_sample(exact, batch, SETTING, 0, 60), teacher_sample(exact, batch, SETTING, 0, 240)
    assert (near - far).abs().max() < 0.1
    assert (far - CENTRES[batch.cond.argmax(1)]).norm(dim=1).median() < 2 * SPREAD


@pytest.mark.parametrize("substeps", [4, 2])
def test_a_resumed_run_takes_the_same_steps(substeps, tmp_path):
    """Also with the moving average, which the checkpoint contains."""
    setting = replace(SETTING, substeps=substeps)
    whole = task(setting)
    train(whole, settings(tmp_path / "whole", 20))

    class Killed(Exception):
        pass

    half = task(setting)
    own = half.loss

    def stops(step, progress, generator):
        if step == 12:
            raise Killed
        return own(step, progress, generator)

    half.loss = stops
    with pytest.raises(Killed):
        train(half, settings(tmp_path / "half", 20, checkpoint_minutes=0.0))
    again = task(setting)
    train(again, settings(tmp_path / "half", 20, resume=True))
    for name in whole.modules:
        for a, b in zip(whole.modules[name].parameters(), again.modules[name].parameters(), strict=True):
            assert torch.equal(a, b)


def test_exchanging_is_undone():
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    first, second = one.weight.clone(), two.weight.clone()
    with swapped_parameters(one, two):
        assert torch.equal(one.weight, second) and torch.equal(two.weight, first)
    assert torch.equal(one.weight, first)


def test_weights_of_the_loss_count():
    made = task()
    heavy = draw(torch.Generator().manual_seed(0))
    only_first = torch.zeros(128, 1)
    only_first[0] = 1
    made.draw = lambda generator: replace(heavy, weight=only_first)
    loss, _ = made.loss(0, 0.0, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss) and made.student.net[-1].bias.grad.abs().sum() > 0


def test_from_a_video_network_to_a_student_file(tmp_path):
    """From paths to file with a published architecture: conditions are (text states, control), the change is
    low-rank."""
    from diffusers import WanVACETransformer3DModel

    from kinema.training.tasks.extract_lora import extract_lora, write_lora
    from kinema.training.tasks.low_rank import add_low_rank
    from kinema.weights import adapters

    torch.manual_seed(0)
    teacher = WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16, freq_dim=16,
        ffn_dim=32, num_layers=2, vace_layers=[0], vace_in_channels=8,
    ).eval().requires_grad_(False)  # fmt: skip
    student = copy.deepcopy(teacher)
    add_low_rank(student, 4)

    def velocity(network):
        def run(x, sigma_B, cond):
            states, control = cond
            return network(
                hidden_states=x, timestep=sigma_B.float() * 1000, encoder_hidden_states=states,
                control_hidden_states=control, return_dict=False,
            )[0]  # fmt: skip

        return run

    def draw_clips(generator):
        clean, states, control = (
            torch.randn(shape, generator=generator) for shape in ((3, 4, 2, 4, 4), (3, 5, 16), (3, 8, 2, 4, 4))
        )
        return Batch(clean, (states, control), (torch.zeros_like(states), control), torch.ones(3, 1, 2, 4, 4))

    setting = replace(SETTING, segments=3, substeps=2, fine=2)
    write_paths(tmp_path / "paths", velocity(teacher), draw_clips, setting, 2)
    held_out = [draw_clips(torch.Generator().manual_seed(9))]
    made = DistillTask(
        velocity(teacher), velocity(student), student, draw_clips, setting, paths=tmp_path / "paths", held_out=held_out
    )
    scores = student_scores(velocity(teacher), velocity(teacher), held_out, setting)
    assert made.evaluate(0)["student"] == scores["undistilled"]
    train(made, LoopConfig(out=tmp_path / "run", max_steps=6, lr_muon=1e-2, lr_adam=1e-3, warmup_steps=1))
    change = extract_lora(teacher, student, rank=4)
    assert change.kept > 0.9999
    write_lora(tmp_path / "few.safetensors", change, base="m", dtype=torch.float32)
    batch = held_out[0]
    wanted = sample(velocity(student), batch.clean, batch.cond, 3, 3.0)
    assert (sample(velocity(teacher), batch.clean, batch.cond, 3, 3.0) - wanted).abs().max() > 1e-3
    adapters.use(teacher, ((str(tmp_path / "few.safetensors"), 1.0),))
    assert (sample(velocity(teacher), batch.clean, batch.cond, 3, 3.0) - wanted).abs().max() < 1e-4


def test_paths_may_be_shared_between_processes(tmp_path):
    for number in (1, 0):
        write_paths(tmp_path / "apart", exact, draw, SETTING, number + 1, first=number)
    write_paths(tmp_path / "whole", exact, draw, SETTING, 2)
    for name in ("00000.pt", "00001.pt"):
        apart, whole = (torch.load(tmp_path / folder / name, weights_only=True) for folder in ("apart", "whole"))
        assert torch.equal(apart["states"], whole["states"])
