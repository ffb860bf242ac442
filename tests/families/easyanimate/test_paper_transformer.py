"""The transformer of EasyAnimate's paper: untrained motion modules and skips change nothing, and what they reach."""

import pytest
import torch
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from torch import nn

from kinema.families.easyanimate.paper.motion_module import MotionAttention, kinds_of, positions
from kinema.families.easyanimate.paper.transformer import PaperTransformer, initialize_transformer, is_motion

SMALL = {
    "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 4, "latent_channels": 4, "caption_channels": 12,
    "sample_size": 4, "motion_heads": 2, "motion_groups": 4,
}  # fmt: skip


def new(**changes):
    torch.manual_seed(0)
    return PaperTransformer(**{**SMALL, **changes}).eval().requires_grad_(False)


def inputs(frames=3, rows=4, columns=4, seed=1):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn((2, 4, frames, rows, columns), generator=g)
    return x, torch.randn((2, 5, 12), generator=g), torch.tensor([100.0, 900.0])


def trained(model):
    """With random weights where an untrained model has zeros."""
    g = torch.Generator().manual_seed(3)
    for p in model.parameters():
        if not p.any():
            p.copy_(torch.randn(p.shape, generator=g) * 0.2)
    return model


@pytest.mark.parametrize("form", ["grid", "hybrid"])
def test_untrained_modules_and_skips_change_nothing(form):
    image, video = new(motion=None, skips=False), new(motion=form)
    missing, unexpected = video.load_state_dict(image.state_dict(), strict=False)
    assert not unexpected and all(is_motion(name) or name.startswith("long_connect_fc.") for name in missing)
    assert torch.equal(video(*inputs()), image(*inputs()))


def test_without_motion_it_is_the_image_model_frame_by_frame():
    video = trained(new())
    image = new(motion=None)
    image.load_state_dict({name: value for name, value in video.state_dict().items() if not is_motion(name)})
    x, states, t = inputs()
    with video.with_motion(False):
        clip = video(x, states, t)
    for frame in range(3):
        alone = image(x[:, :, frame : frame + 1], states, t)
        assert (clip[:, :, frame : frame + 1] - alone).abs().max() < 1e-5
    assert (video(x, states, t) - clip).abs().max() > 1e-3, "and with it, another"


def reach(attention, at):
    """Which cells (T, h, w) of 4 x 4 x 4 the output at one cell depends on."""
    x = torch.randn((1, 4, 4, 4, 16), generator=torch.Generator().manual_seed(4)).requires_grad_()
    attention(x)[(0, *at)].sum().backward()
    return x.grad[0].abs().sum(-1) > 0


def test_the_attentions_reach_over_time_squares_or_everything():
    torch.manual_seed(0)
    temporal, grid, whole = (MotionAttention(16, 2, *kind) for kind in (
        ("Temporal_Self", 1), ("Temporal_Self", 2), ("Global_Self", 1),
    ))  # fmt: skip
    column, square = torch.zeros(4, 4, 4, dtype=torch.bool), torch.zeros(4, 4, 4, dtype=torch.bool)
    column[:, 1, 2] = True
    square[:, 0:2, 2:4] = True
    groups = reach(grid, (0, 1, 2))
    assert torch.equal(reach(temporal, (0, 1, 2)), column)
    assert groups.sum() == 16 and groups[:, 1, 2].all()
    assert torch.equal(groups, square)
    assert reach(whole, (0, 1, 2)).all()
    assert [kinds_of("hybrid", layer)[1] for layer in range(3)] == ["Temporal_Self", "Global_Self", "Temporal_Self"]
    assert {kind for layer in range(4) for kind in kinds_of("grid", layer)} == {"Temporal_Self"}


def test_skips_are_added_last_in_first_out():
    """With identity layers and blocks that add their number, the sums tell the order."""
    model = new(num_layers=5, motion=None)
    seen = []

    class Adds(nn.Module):
        attn_temporal = None

        def __init__(self, number):
            super().__init__()
            self.number = number

        def forward(self, x, states, six):
            seen.append(x.mean().item())
            return torch.full_like(x, 10.0**self.number)

    model.transformer_blocks = nn.ModuleList(Adds(number) for number in range(5))
    for layer in model.long_connect_fc:
        layer.weight.copy_(torch.eye(16))
    model(*inputs())
    assert seen[1:] == pytest.approx([1, 10, 100 + 10, 1000 + 1]), "block 3 gets block 1's, block 4 gets block 0's"
    assert len(new(num_layers=28).long_connect_fc) == 13, "as published"


def test_any_number_of_frames_rows_and_columns():
    model = trained(new())
    for frames, rows, columns in ((1, 4, 4), (5, 2, 6), (37, 8, 4)):
        x, states, t = inputs(frames, rows, columns)
        assert model(x, states, t).shape == x.shape
    with pytest.raises(ValueError, match="4096 positions"):
        positions(4097, 4, torch.zeros(1))


def test_positions_are_those_of_pixart():
    x = torch.zeros(1, 1, 16)
    for rows in (2, 4):
        expected = get_2d_sincos_pos_embed(16, rows, base_size=2, output_type="pt")
        assert torch.allclose(new()._places(rows, rows, x), expected.float(), atol=1e-6)


def test_a_given_frame_changes_the_prediction():
    model = trained(new())
    x, states, t = inputs()
    image = torch.zeros(2, 5, 3, 4, 4)
    none = model(x, states, t)
    assert torch.equal(model(x, states, t, image), none)
    image[:, :, 0] = 1.0
    assert (model(x, states, t, image) - none).abs().max() > 1e-3


def test_the_initialization_predicts_nearly_nothing():
    model = new()
    initialize_transformer(model)
    assert model(*inputs()).abs().max() < 0.5
