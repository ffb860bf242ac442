"""Super-resolution networks: a clip in chunks and tiles, other architectures' files against spandrel, refusals."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from with_spandrel import spandrel

from kinema.core.chunk import Chunk
from kinema.core.errors import ModelError, RequestError, WeightsMissing
from kinema.post.super_resolution import files
from kinema.post.super_resolution.network import MINI, CompactConfig, CompactNetwork
from kinema.post.super_resolution.tiles import in_tiles, tiles_of
from kinema.post.super_resolution.upscale import upscaled_by
from kinema.post.super_resolution.weights import SuperResolution, open_network

SMALL = CompactConfig(frames=3, features=6, convs=2, scale=2)


def network(config: CompactConfig = SMALL) -> SuperResolution:
    torch.manual_seed(0)
    module = CompactNetwork(config).eval().requires_grad_(False)
    module.body[-1].weight.mul_(5)  # visible detail
    return SuperResolution(module, config.frames, config.scale, "compact")


def frames(count: int, height: int = 20, width: int = 28, seed: int = 0) -> np.ndarray:
    """A bright blob that moves over a gradient."""
    rows, columns = np.mgrid[:height, :width]
    made = []
    for k in range(count):
        blob = np.exp(-((rows - height / 2) ** 2 + (columns - 5 - 2 * k) ** 2) / 20)
        made.append(np.stack([200 * blob, 4 * rows, 100 + 4 * columns + seed], -1))
    return np.stack(made).clip(0, 255).astype(np.uint8)


def in_chunks(clip: np.ndarray, size: int, sound: bool = False):
    for start in range(0, len(clip), size):
        part = clip[start : start + size].copy()
        yield Chunk(part, start, 8.0, np.full((6000 * len(part), 1), start / 10, np.float32) if sound else None)


def upscaled(clip: np.ndarray, net: SuperResolution, size: int = 4, **how) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in upscaled_by(in_chunks(clip, size), net, device="cpu", **how)])


# A clip


def test_every_frame_is_upscaled_from_its_neighbours():
    """The network's own forward over frames k - 1, k, k + 1; the ends repeat. The size of chunks changes nothing."""
    clip, net = frames(7), network()
    padded = np.concatenate([clip[:1], clip, clip[-1:]])
    x = torch.from_numpy(np.stack([padded[k : k + 3] for k in range(7)])).permute(0, 1, 4, 2, 3).float() / 255
    expected = net.module(x).clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    for size in (1, 3, 7):
        assert np.abs(upscaled(clip, net, size).astype(int) - expected).max() <= 1
    alone = in_tiles(net, x[:, [1, 1, 1]]).numpy()
    assert np.abs(alone.astype(int) - expected).max() > 3, "the neighbours count"


def test_no_neighbour_from_across_a_cut():
    first, second = frames(3), 255 - frames(3, seed=40)[:, ::-1]
    net = network()
    together = upscaled(np.concatenate([first, second]), net, 4)
    assert np.abs(together.astype(int) - np.concatenate([upscaled(first, net), upscaled(second, net)])).max() <= 1


def test_start_rate_and_sound_stay_and_one_chunk_is_read_ahead():
    taken = []

    def source():
        try:
            for chunk in in_chunks(frames(6), 2, sound=True):
                taken.append(chunk.start)
                yield chunk
        finally:
            taken.append("closed")

    out = upscaled_by(source(), network(), device="cpu")
    one = next(out)
    assert taken == [0, 2] and (one.start, one.fps, one.frames.shape) == (0, 8.0, (2, 40, 56, 3))
    assert [float(chunk.audio[0, 0]) for chunk in (one, next(out))] == [0.0, pytest.approx(0.2)]
    out.close()
    assert taken == [0, 2, 4, "closed"]


def test_smaller_scales_and_illegal_ones():
    assert upscaled(frames(1), network(), scale=1.5).shape == (1, 30, 42, 3)
    assert upscaled(frames(1), network(), scale=1).shape == (1, 20, 28, 3)
    for scale, near in ((4, 2), (0.5, 1)):
        with pytest.raises(RequestError, match="upscales 2 times") as refused:
            upscaled_by((), network(), scale)
        assert refused.value.nearest == near


# Tiles


def test_tiled_equals_whole_and_memory_is_that_of_a_tile():
    net, clip, sides = network(), frames(2, 70, 100), []
    net.module.register_forward_pre_hook(lambda module, given: sides.append(given[0].shape[-2:]))
    whole = upscaled(clip, net)
    assert sides == [(70, 100)]
    sides.clear()
    tiled = upscaled(clip, net, tile=24, overlap=6)
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert len(sides) == 3 * 5 and max(max(side) for side in sides) <= 24 + 2 * 6
    apart = upscaled(clip, net, tile=24, overlap=0)
    assert np.abs(apart.astype(int) - whole).max() > 1, "without context, seams show"


@pytest.mark.parametrize(("length", "tile"), [(1, 5), (5, 5), (6, 5), (101, 16)])
def test_tiles_cover_an_axis_once(length, tile):
    tiles = list(tiles_of(length, tile, 3))
    assert [place for each in tiles for place in range(each.start, each.stop)] == list(range(length))
    assert all(0 <= each.first <= each.start < each.stop <= each.last <= length for each in tiles)
    assert max(each.stop - each.start for each in tiles) <= tile


# Files


def conv(state: dict, name: str, inside: int, outside: int, spread: float = 0.2) -> None:
    state[f"{name}.weight"] = torch.randn(outside, inside, 3, 3) * spread
    state[f"{name}.bias"] = torch.randn(outside) * 0.1


def esrgan(old: bool) -> dict:
    """Names of RRDBNet's files, of ESRGAN's first release (old) and of Real-ESRGAN: one block, 8 channels that
    grow by 32, x4."""
    state: dict[str, torch.Tensor] = {}
    block = "model.1.sub.0.RDB{}.conv{}.0" if old else "body.0.rdb{}.conv{}"
    conv(state, "model.0" if old else "conv_first", 3, 8)
    for part in (1, 2, 3):
        for k in range(5):
            conv(state, block.format(part, k + 1), 8 + 32 * k, 32 if k < 4 else 8, 0.05)
    names = ("model.1.sub.1", "model.3", "model.6", "model.8", "model.10")
    new = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
    for name in names if old else new:
        conv(state, name, 8, 3 if name in ("model.10", "conv_last") else 8)
    return state


def foreign(kind: str) -> dict:
    torch.manual_seed(1)
    if kind.startswith("ESRGAN"):
        return esrgan("old" in kind)
    if kind == "Compact":
        return dict(CompactNetwork(CompactConfig(frames=1, features=8, convs=2, bicubic=False)).state_dict())
    if kind == "SPAN":
        from spandrel.architectures.SPAN import SPAN

        return dict(SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval().state_dict())
    from spandrel.architectures.PLKSR import RealPLKSR

    return dict(RealPLKSR(dim=8, n_blocks=2, upscaling_factor=2).eval().state_dict())


@pytest.mark.parametrize(
    ("kind", "scale", "wrap", "suffix"),
    [
        ("ESRGAN", 4, "params_ema", ".pth"),
        ("ESRGAN (old)", 4, None, ".pth"),
        ("Compact", 4, "params", ".pth"),
        ("SPAN", 2, None, ".safetensors"),
        ("RealPLKSR", 2, None, ".safetensors"),
    ],
)
def test_other_architectures_equal_spandrels_own_forward(tmp_path, kind, scale, wrap, suffix):
    library = spandrel()
    state, path = foreign(kind), tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save({wrap: state} if wrap else state, path)
    else:
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    net = open_network(path)
    assert (net.scale, net.frames) == (scale, 1)
    clip = frames(2, 24, 28)
    x = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255
    own = library.ModelLoader().load_from_state_dict(library.canonicalize_state_dict({wrap: state} if wrap else state))
    expected = torch.cat([own.eval()(each[None]) for each in x]).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    assert expected.std() > 1, "a picture that can differ"
    assert np.array_equal(upscaled(clip, net), expected)


def test_the_compact_network_is_that_of_the_published_files(tmp_path):
    """spandrel's SRVGGNetCompact with the same tensors computes the same picture."""
    library = spandrel()
    ours = CompactNetwork(CompactConfig(frames=1, features=8, convs=3, bicubic=False)).eval()
    theirs = library.ModelLoader().load_from_state_dict(dict(ours.state_dict())).eval()
    x = torch.rand(1, 3, 12, 16)
    with torch.inference_mode():
        assert torch.allclose(ours(x[:, None]).clamp(0, 1), theirs(x), atol=1e-6)


def test_a_folder_of_our_own(tmp_path):
    net = network()
    save_file(dict(net.module.state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    for place in (tmp_path, tmp_path / "model.safetensors"):
        assert np.array_equal(upscaled(frames(2), open_network(place)), upscaled(frames(2), net))
    for text, told in (('{"frames": 2}', "1 or 3"), ('{"depth": 2}', "no option depth"), ('{"scale": "x"}', "whole")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelError, match=told):
            open_network(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(MINI.to_dict()))
    with pytest.raises(ModelError, match="not the weights of this network"):
        open_network(tmp_path)


class Harm:
    def __reduce__(self):
        return eval, ("__import__('os').environ.__setitem__('HARM', '1')",)


def test_refused_files(tmp_path, monkeypatch):
    monkeypatch.delenv("HARM", raising=False)
    path = tmp_path / "net.pth"
    torch.save({"params": {"conv_first.weight": Harm()}}, path)
    with pytest.raises(ModelError, match="cannot be read as tensors"):
        open_network(path)
    path.write_bytes(pickle.dumps({"a": Harm()}))
    with pytest.raises(ModelError, match="cannot be read as tensors"):
        open_network(path)
    torch.jit.script(nn.Conv2d(3, 3, 3)).save(path)
    with pytest.raises(ModelError, match="cannot be read as tensors"):
        open_network(path)
    path.write_bytes(b"not a file of tensors")
    with pytest.raises(ModelError, match="cannot be read"):
        open_network(path)
    import os

    assert "HARM" not in os.environ
    with pytest.raises(ModelError, match="no such file"):
        open_network(tmp_path / "none.pth")
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="unknown type"):
        open_network(tmp_path / "net.onnx")
    monkeypatch.setattr(files, "mini_folder", lambda: tmp_path / "mini_upscale")
    with pytest.raises(WeightsMissing, match="kinema-mini-upscale"):
        open_network()


def test_refused_networks(tmp_path):
    spandrel()
    path = tmp_path / "net.pth"
    torch.save({"some.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ModelError, match="recognizes no architecture"):
        open_network(path)
    gray: dict[str, torch.Tensor] = esrgan(old=False)
    gray["conv_first.weight"], gray["conv_last.weight"] = torch.zeros(8, 1, 3, 3), torch.zeros(1, 8, 3, 3)
    gray["conv_last.bias"] = torch.zeros(1)
    torch.save(gray, path)
    with pytest.raises(ModelError, match="1 channels in, 1 out"):
        open_network(path)
    less = esrgan(old=False)
    del less["conv_hr.weight"]
    torch.save(less, path)
    with pytest.raises(ModelError):
        open_network(path)


def test_without_spandrel_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    path = tmp_path / "net.pth"
    torch.save(esrgan(old=False), path)
    with pytest.raises(ModelError, match=r"requires spandrel, .*\[upscale\]"):
        open_network(path)
