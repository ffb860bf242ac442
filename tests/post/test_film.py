"""FILM's network: the published options, the names of its public conversion, and its file formats."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kinema.core.errors import ModelError
from kinema.post.film.between import FilmBetween, nearest_step
from kinema.post.film.config import MINI, PUBLISHED, FilmConfig
from kinema.post.film.network import FilmNetwork
from kinema.post.film.warp import best_match, compare, warp
from kinema.post.film.weights import from_published, open_film, published_name, to_published

SMALL = FilmConfig(filters=4, flow_convs=(2, 2, 2, 2), flow_filters=(4, 4, 6, 8), fusion_filters=(4, 6, 8, 8))


def film(config: FilmConfig, seed: int = 0) -> FilmNetwork:
    torch.manual_seed(seed)
    return FilmNetwork(config).eval().requires_grad_(False)


def expected() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the public conversion's state dict, from the paper's options: seven levels, 64 filters that
    double on four sub-levels, flow predictors of 32, 64, 128 and, shared by the coarse levels, 256 filters."""
    features = [64, 192, 448, 960]
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, inside: int, outside: int, side: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outside, inside, side, side), (outside,)

    inside = 3
    for k in range(4):
        conv(f"extract.extract_sublevels.convs.{k}.0.0", inside, 64 << k, 3)
        conv(f"extract.extract_sublevels.convs.{k}.1.0", 64 << k, 64 << k, 3)
        inside = 64 << k
    for name, width, filters in (("_predictor", 960, 256), ("_predictors.0", 448, 128), ("_predictors.1", 192, 64),
                                 ("_predictors.2", 64, 32)):  # fmt: skip
        for j, inside in enumerate((2 * width, filters, filters)):
            conv(f"predict_flow.{name}._convs.{j}.0", inside, filters, 3)
        conv(f"predict_flow.{name}._convs.3.0", filters, filters // 2, 1)
        conv(f"predict_flow.{name}._convs.4.0", filters // 2, 2, 1)
    aligned = [2 * (width + 5) for width in features]
    below = aligned[-1]
    for k, (width, beside) in enumerate(zip((512, 256, 128, 64), aligned[::-1], strict=True)):
        conv(f"fuse.convs.{k}.0.0", below, width, 2)
        conv(f"fuse.convs.{k}.1.0", beside + width, width, 3)
        conv(f"fuse.convs.{k}.2.0", width, width, 3)
        below = width
    conv("fuse.output_conv", 64, 3, 1)
    return shapes


def test_the_published_network_has_the_published_names_shapes_and_size():
    with torch.device("meta"):
        state = FilmNetwork(PUBLISHED).state_dict()
    found = {published_name(name, PUBLISHED): tuple(value.shape) for name, value in state.items()}
    assert found == expected()
    assert sum(value.numel() for value in state.values()) == 34_436_667


def test_the_small_one_is_small():
    with torch.device("meta"):
        assert sum(value.numel() for value in FilmNetwork(MINI).state_dict().values()) <= 1_500_000
    assert FilmConfig.from_dict(MINI.to_dict()) == MINI


@pytest.mark.parametrize("kind", ["safetensors", "state_dict", "half", "torchscript"])
def test_files_in_the_conversions_layout(tmp_path, kind):
    """Random weights saved and loaded: the same options and the same picture."""
    network = film(SMALL, seed=3)
    state = {name: value.contiguous() for name, value in to_published(network).items()}
    path = tmp_path / ("film.safetensors" if kind == "safetensors" else "film_net_fp32.pt")
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "torchscript":
        torch.jit.script(nested(state)).save(str(path))
    else:
        torch.save({n: v.half() for n, v in state.items()} if kind == "half" else state, path)
    found = open_film(path)
    assert found.config == SMALL
    a, b = torch.rand(2, 1, 3, 64, 128)
    same = (found(a, b, torch.tensor([0.5])) - network(a, b, torch.tensor([0.5]))).abs().max()
    assert same < (0.02 if kind == "half" else 1e-6)
    assert next(found.parameters()).dtype == torch.float32


def nested(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module whose parameters have these names."""

    class Part(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    whole = Part()
    for name, value in state.items():
        *path, last = name.split(".")
        at: torch.nn.Module = whole
        for step in path:
            if step not in dict(at.named_children()):
                at.add_module(step, Part())
            at = getattr(at, step)
        at.register_parameter(last, torch.nn.Parameter(value.clone()))
    return whole


def test_what_is_not_film_is_told(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        open_film(tmp_path / "nothing.pt")
    (tmp_path / "film.ckpt").write_bytes(b"x")
    with pytest.raises(ModelError, match="safetensors"):
        open_film(tmp_path / "film.ckpt")
    (tmp_path / "film.pt").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be read"):
        open_film(tmp_path / "film.pt")
    (tmp_path / "film.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(ModelError, match="cannot be read"):
        open_film(tmp_path / "film.safetensors")
    state = to_published(film(SMALL))
    torch.save({**state, "fuse.output_conv.weight": torch.zeros(3, 9, 1, 1)}, tmp_path / "film.pt")
    with pytest.raises(ModelError, match=r"output_conv|paint"):
        open_film(tmp_path / "film.pt")
    torch.save({name: value for name, value in state.items() if "output" not in name}, tmp_path / "film.pt")
    with pytest.raises(ModelError, match="paint"):
        open_film(tmp_path / "film.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "film.pt")
    with pytest.raises(ModelError, match=r"config\.json"):
        open_film(tmp_path / "film.pt")
    torch.save([1, 2], tmp_path / "film.pt")
    with pytest.raises(ModelError, match="state dict"):
        open_film(tmp_path / "film.pt")


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"weight": Harmful(str(tmp_path / "ran"))}, tmp_path / "film.pt")
    with pytest.raises(ModelError):
        open_film(tmp_path / "film.pt")
    assert not (tmp_path / "ran").exists()


class Harmful:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_names_that_film_has_not_are_kept():
    state = to_published(film(SMALL)) | {"more": torch.zeros(1)}
    assert "more" in from_published(state, SMALL)


def test_a_network_of_the_middle_is_asked_again_for_other_times():
    between = FilmBetween(film(SMALL), "cpu")
    asked = []
    between._at = lambda first, second, time: asked.append(time) or (first + second) / 2
    a, b = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 160, np.uint8)
    made = between(a, b, [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)])
    assert [int(frame[0, 0, 0]) for frame in made] == [40, 80, 120] and asked == [0.5] * 3
    assert [int(frame[0, 0, 0]) for frame in between(a, b, [Fraction(1, 3), Fraction(2, 3)])] == [50, 110]
    assert nearest_step(Fraction(1, 3)) == Fraction(5, 16) and nearest_step(Fraction(1, 100)) == Fraction(1, 16)


def test_warp_and_comparison():
    """The displacement of a picture moved by whole px is found, on the middle grid."""
    torch.manual_seed(0)
    x = torch.rand(1, 6, 24, 32)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 24, 32)
    assert torch.allclose(warp(x, flow)[..., 4:20, :24], x[..., 2:18, 3:27], atol=1e-5)
    moved = x.roll((2, -4), (2, 3))  # 2 px down, 4 px left
    found = best_match(compare(x.roll((1, -2), (2, 3)), moved.roll((-1, 2), (2, 3)), 2, 64), torch.tensor(60.0), 2)
    assert found[..., 8:16, 8:24].abs().max() < 0.1
    found = best_match(compare(x, moved, 2, 64), torch.tensor(60.0), 2)  # each is half the way off
    assert torch.allclose(found[..., 8:16, 8:24], torch.tensor([-2.0, 1.0]).view(1, 2, 1, 1), atol=0.1)
