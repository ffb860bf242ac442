"""Published layouts of versions 1 to 3: every tensor finds its place, and unknown ones are refused by name."""

import pytest
import torch

from kinema.core.errors import ModelError
from kinema.families.easyanimate.paper import layouts
from kinema.families.easyanimate.paper.motion_module import positions
from kinema.families.easyanimate.paper.transformer import PaperTransformer

HOW = {"heads": 4, "motion_heads": 2, "form": "hybrid", "sample_size": 8}


def source(**changes):
    """A transformer of the published shape in small: 28 layers, 13 skips, two blocks in a module."""
    torch.manual_seed(0)
    found = PaperTransformer(
        **{"num_attention_heads": 4, "attention_head_dim": 8, "num_layers": 28, "latent_channels": 4,
           "image_input": False, "sample_size": 8, "caption_channels": 12, "motion_heads": 2, "motion_blocks": 2,
           "motion_ratio": 4.0, "motion_groups": 32, **changes}
    )  # fmt: skip
    for p in found.parameters():
        p.data.add_(torch.randn(p.shape) * 0.05)
    return found.eval()


def published(transformer, variances=False):
    """Its tensors as the authors store them: with tables, and with variances after the means of each cell."""
    state = dict(transformer.state_dict())
    for layer in range(28):
        for block in range(2):
            for attention in range(2):
                where = f"transformer_blocks.{layer}.attn_temporal.temporal_transformer.transformer_blocks.{block}"
                table = positions(64, 32, torch.zeros(1))[None]
                state[f"{where}.attention_blocks.{attention}.pos_encoder.pe"] = table
    state["pos_embed.pos_embed"] = torch.zeros(1, 16, 32)
    if variances:
        for name in ("proj_out.weight", "proj_out.bias"):
            means = state[name].unflatten(0, (4, -1))
            state[name] = torch.cat([means, torch.full_like(means, 9.0)], 1).flatten(0, 1)
    return state


@pytest.mark.parametrize("variances", [False, True])
def test_a_full_set_of_tensors_gives_the_same_network(variances):
    own = source()
    read = layouts.read(published(own, variances), **HOW)
    given = torch.randn(1, 4, 3, 8, 8), torch.randn(1, 5, 12), torch.tensor([500.0])
    with torch.no_grad():
        assert torch.equal(read.eval()(*given), own(*given))
    assert read.config.num_layers == 28 and read.config.motion_blocks == 2 and len(read.long_connect_fc) == 13


def test_an_inpainting_model_and_an_image_model():
    image = layouts.read(source(num_layers=2, motion=None, skips=False).state_dict(), **HOW)
    assert image.config.motion is None and image.pairs == 0
    assert layouts.read(source(num_layers=2, image_input=True, skips=False).state_dict(), **HOW).config.image_input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"adaln_single.emb.resolution_embedder.linear_1.weight": 2}, "resolution_embedder.*size conditions"),
        ({"unpatch1d.conv.weight": 2}, "unpatch1d.*patches over time"),
        ({"transformer_blocks.0.something.weight": 2}, "unknown tensors: transformer_blocks.0.something.weight"),
        ({"long_connect_fc.0.bias": None}, "missing tensors: long_connect_fc.0.bias"),
        ({"caption_projection.linear_1.weight": None}, "caption_projection.linear_1.weight: missing"),
        ({"scale_shift_table": 2}, "scale_shift_table: shape"),
    ],
)
def test_what_is_not_known_is_refused_by_name(change, words):
    state = source(num_layers=3).state_dict()
    for name, size in change.items():
        if size is None:
            del state[name]
        else:
            state[name] = torch.zeros(size, size)
    with pytest.raises(ModelError, match=words):
        layouts.read(state, **HOW)
