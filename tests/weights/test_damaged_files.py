"""Untrusted headers and configurations: for any content, every reader returns a value or raises a KinemaError,
soon."""

from __future__ import annotations

import copy
import json
import struct
import time
from pathlib import Path

import pytest
from hollow_files import keys, typed, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinema.core.errors import KinemaError, ModelError
from kinema.core.registry import family_module, family_names
from kinema.sd import bases
from kinema.weights import quantised, store
from kinema.weights.adapter_files import describe_file, read
from kinema.weights.complete import missing_files
from kinema.weights.headers import header

MINIATURES = Path(store.own_place(store.find("kinema-mini-wan"))).parent
SECONDS = 1.0

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["../../x", "WanPipeline", "blocks.9999999999.x", "\ud800", 2**63, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip

RELAXED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def places(value, path=()):
    """Every position in a JSON value, as a path of keys."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


@st.composite
def mutated(draw, value):
    """The value with one to three places replaced by junk, removed, or renamed."""
    made = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(made) if path] or [()]))
        if not path:
            return draw(JUNK)
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        if how == "replace":
            holder[path[-1]] = draw(JUNK)
        elif how == "remove":
            del holder[path[-1]]
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=12))] = holder.pop(path[-1])
    return made


def ends(call, *given):
    """Check that a call returns or raises a KinemaError within SECONDS of process time."""
    began = time.process_time()
    try:
        call(*given)
    except KinemaError as error:
        assert str(error)
    assert time.process_time() - began < SECONDS, call


def families():
    return [family_module(name) for name in family_names()]


def readers(path: Path):
    for family in families():
        yield family.recognise
        if hasattr(family, "missing"):
            yield family.missing
        if hasattr(family, "complete"):
            yield lambda place, look=family.complete, card=family.CARDS[0]: look(card, place)
    yield from (store.recognise, quantised.refuse)
    if path.is_dir():
        yield from (missing_files, bases.layers_in, lambda place: bases.find(str(place)))
    else:
        yield from (header, describe_file, lambda file: read(file, {"blocks.0.attn1.to_q.weight": (4, 4)}))


def small(shapes):
    """The same names with all sizes 2, so that the shapes can be wrong too."""
    return {name: ("F16", (2,) * len(shape)) for name, (_, shape) in shapes.items()}


VIDEO = "model.diffusion_model.input_blocks.1.1.time_stack.0.attn1.to_q.weight"
MOTION = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
LORA = {f"diffusion_model.blocks.0.self_attn.q.lora_{side}.weight": ("F16", (4, 4)) for side in ("down", "up")}
HEADERS = {
    "wan": {name: value for name, value in typed(keys("1.3B", vace=2)).items() if ".self_attn" not in name},
    "small": dict(list(small(typed(keys("1.3B", clip=True))).items())[:12]),
    "svd": {VIDEO: ("F16", (2, 2))},
    "motion": {MOTION: ("F16", (2, 2)), MOTION.replace("proj_in.weight", "x.pos_encoder.pe"): ("F16", (1, 24, 2))},
    "lora": LORA | {"diffusion_model.blocks.0.self_attn.q.alpha": ("F16", ())},
    "fp8": {"a.weight": ("F8_E4M3", (2, 2)), "a.weight_scale": ("F32", ()), "a.comfy_quant": ("U8", (4,))},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_mutated_headers(kind, tmp_path):
    good = write(tmp_path / "good.safetensors", HEADERS[kind], {"format": "pt", "_quantization_metadata": "{}"})
    raw = good.read_bytes()[: 2**20]
    length = struct.unpack("<Q", raw[:8])[0]
    table = json.loads(raw[8 : 8 + length])
    file = tmp_path / "x.safetensors"

    @RELAXED
    @given(mutated(table), st.sampled_from([0, 0, 0, 1, -1, 40]))
    def check(changed, longer):
        text = json.dumps(changed).encode("utf-8", "surrogatepass")
        with file.open("wb") as stream:
            stream.write(struct.pack("<Q", max(len(text) + longer, 0)) + text)
            stream.truncate(8 + len(text) + 4096)
        for reader in readers(file):
            ends(reader, file)

    check()


@pytest.mark.parametrize("text", [
    b"[" * 100_000, b'{"a":' * 50_000, b"{" + b'"a":1,' * 200_000 + b'"b":2}', b"[]", b"null", b"1e999", b"\xff\xfe{}",
    b'{"a":{"dtype":"F32","shape":[1e3],"data_offsets":[0,4]}}', b'{"a":[1]}', b'{"a":{"data_offsets":[]}}',
    b'{"__metadata__":[]}', b'{"__metadata__":{"a":1}}', b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}',
    b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}', b'{"a":' + b"9" * 5000 + b"}", b'{"a":NaN}',
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
    b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
])  # fmt: skip
def test_headers_that_are_none(tmp_path, text):
    file = tmp_path / "x.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))
    for reader in readers(file):
        ends(reader, file)
    for reader in (header, store.recognise, describe_file):
        with pytest.raises(ModelError, match=r"x\.safetensors"):
            reader(file)


def test_what_is_no_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("pipe.safetensors", "folder.safetensors", "none.safetensors"):
        with pytest.raises(ModelError):
            header(tmp_path / name)


FOLDERS = ("mini_wan", "mini_svd", "mini_image", "mini_zeroscope", "mini_animatediff")


@pytest.mark.parametrize("name", FOLDERS)
def test_mutated_configurations(tmp_path, name):
    """Each configuration of a built-in model, mutated in a copy without weights."""
    source, place = MINIATURES / name, tmp_path / "model"
    texts = {file.relative_to(source): file.read_text() for file in source.rglob("*config.json")}
    texts |= {file.relative_to(source): file.read_text() for file in source.rglob("few_step.json")}
    texts |= {file.relative_to(source): file.read_text() for file in source.glob("model_index.json")}
    for inner, text in texts.items():
        (place / inner).parent.mkdir(parents=True, exist_ok=True)
        (place / inner).write_text(text)
    (place / "tokenizer").mkdir(exist_ok=True)

    @RELAXED
    @given(st.data())
    def check(data):
        inner = data.draw(st.sampled_from(sorted(texts)))
        changed = data.draw(mutated(json.loads(texts[inner])))
        (place / inner).write_bytes(json.dumps(changed).encode("utf-8", "surrogatepass"))
        for reader in readers(place):
            ends(reader, place)
        (place / inner).write_text(texts[inner])

    check()


@pytest.mark.parametrize("inner", ["model_index.json", "transformer/config.json", "config.json", "unet/config.json"])
@pytest.mark.parametrize("text", [b"[" * 100_000, b"{", b"[]", b"\xff", b'{"_class_name": []}', b'{"_class_name": {}}'])
def test_configurations_that_are_none(tmp_path, inner, text):
    index = {"_class_name": "WanPipeline", "scheduler": ["diffusers", "x"]}
    for name, value in (("model_index.json", index), ("unet/config.json", {}), ("vae/config.json", {})):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    (tmp_path / inner).parent.mkdir(exist_ok=True)
    (tmp_path / inner).write_bytes(text)
    for reader in readers(tmp_path):
        ends(reader, tmp_path)
    with pytest.raises(ModelError):
        store.recognise(tmp_path)
