"""What a request over the network may name: every text of every field has a rule, and paths and addresses have none."""

from __future__ import annotations

import typing

import pytest

from kinema.core.conditions import Condition
from kinema.core.errors import RequestError
from kinema.core.registry import built_in_cards
from kinema.core.request import Request
from kinema.core.upscale import Upscale
from kinema.http.media_policy import RULES, MediaPolicy, texts_of, words

HASH = "sha256:" + "0" * 64
KINDS = typing.get_args(typing.get_args(Condition)[0])
FOREIGN = [
    "/etc/passwd", "../x.png", "x.png", "~/x.png", "file:///etc/passwd", "http://10.0.0.1/x.png", "\\\\host\\x",
    "C:\\x.png", "concat:a|b", "sha256:../x", "SHA256:" + "0" * 64, HASH + "0", HASH.replace("0", "g"),
]  # fmt: skip


def holds_text(annotation: typing.Any) -> bool:
    """Whether a value of the annotation may hold text of any kind."""
    if annotation is str:
        return True
    return any(holds_text(each) or isinstance(each, str) for each in typing.get_args(annotation))


def fields_with_text():
    for kind in (Request, Upscale, *KINDS):
        name = kind.model_fields["kind"].default if "kind" in kind.model_fields else kind.__name__.lower()
        for field, facts in kind.model_fields.items():
            inner = typing.get_args(facts.annotation)
            nested = any(hasattr(each, "model_fields") for each in inner) or field in ("kind", "options", "conditions")
            if not nested and holds_text(facts.annotation):
                yield name, field, facts.annotation


def test_every_field_that_holds_text_has_a_rule():
    """A field that is added later has to be decided on here; until then it is refused."""
    found = {(name, field) for name, field, _ in fields_with_text()}
    assert found == set(RULES)
    assert len(found) > 20


def test_words_are_prompts_and_closed_sets_only():
    closed = {
        (name, field) for name, field, annotation in fields_with_text() if "Literal" in str(annotation)
    } | {("image", "at")}  # fmt: skip
    free = {place for place, rule in RULES.items() if rule is words} - closed
    assert free == {
        ("request", "prompt"), ("request", "negative_prompt"), ("mask", "object"), ("trajectory", "object")
    }  # fmt: skip


def test_options_with_free_text_take_only_names():
    """An option that holds free text names a model; none of its values may be a path."""
    free = {name for card in built_in_cards() for name, option in card.options.items()
            if option.kind == "str" and not option.choices}  # fmt: skip
    assert {"base", "controlnet"} <= free
    for name in free:
        for value in (*FOREIGN, "owner/name", ["/etc/passwd"], {"path": "/etc/passwd"}):
            refused(f"options.{name}", options={name: value})
            refused(f"upscale.0.options.{name}", upscale=[{"by": "xl", "options": {name: value}}])
        for card in built_in_cards():
            if name in card.options:
                MediaPolicy().check(Request(options={name: card.options[name].default}))


def refused(field: str, policy: MediaPolicy | None = None, **request: typing.Any) -> str:
    with pytest.raises(RequestError, match="over HTTP") as error:
        (policy or MediaPolicy()).check(Request.from_dict(request))
    assert error.value.field == field and error.value.legal
    return str(error.value)


MEDIA = [
    ({"kind": "image", "image": None}, "image"), ({"kind": "image", "image": None, "at": 3}, "image"),
    ({"kind": "reference", "images": [None]}, "images.0"), ({"kind": "reference", "images": [HASH, None]}, "images.1"),
    ({"kind": "source", "video": None}, "video"), ({"kind": "mask", "image": None}, "image"),
    ({"kind": "mask", "video": None}, "video"), ({"kind": "control", "control": "depth", "video": None}, "video"),
    ({"kind": "continue", "clip": None}, "clip"), ({"kind": "audio", "track": None}, "track"),
]  # fmt: skip


def filled(value: typing.Any, media: str) -> typing.Any:
    if value is None:
        return media
    if isinstance(value, dict):
        return {key: filled(each, media) for key, each in value.items()}
    return [filled(each, media) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("condition", "field"), MEDIA)
def test_media_are_hashes_or_inline(condition, field):
    for media in FOREIGN:
        refused(f"conditions.0.{field}", conditions=[filled(condition, media)])
    for media in (HASH, "data:image/png;base64,AAAA"):
        MediaPolicy().check(Request.from_dict({"conditions": [filled(condition, media)]}))


def test_short_forms_are_read_as_conditions():
    refused("conditions.0.image", image="/etc/passwd")
    refused("conditions.0.image", last="x.png")
    refused("conditions.0.images.0", references=["http://host/x.png"])


def test_models_are_known_names(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    for model in (*FOREIGN, "model", "./model", "owner/name"):
        assert "kinema-mini-wan" in refused("model", model=model)
        refused("upscale.0.by", upscale=[{"by": model}])
    for model in ("kinema-mini-wan", "KINEMA-mini-wan", "svd"):
        MediaPolicy().check(Request(model=model))
    refused("model", MediaPolicy(("kinema-mini-wan",)), model="svd")
    MediaPolicy().check(Request(upscale=[4, "nearest:2", "xl", "zeroscope-xl"]))


def test_styles_are_known_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini-pan-right").mkdir()  # a folder of this name would be found first
    for adapter in (*FOREIGN, "style.safetensors", "mini-pan-right", "no-such-style"):
        refused("conditions.0.adapter", conditions=[{"kind": "style", "adapter": adapter}])
    for adapter in ("mini-pan-left", HASH):
        MediaPolicy().check(Request.from_dict({"conditions": [{"kind": "style", "adapter": adapter}]}))


def test_a_field_without_a_rule_is_refused(monkeypatch):
    monkeypatch.delitem(RULES, ("mask", "object"))
    request = Request.from_dict({"conditions": [{"kind": "mask", "object": "cup"}]})
    assert [rule for field, _, rule in texts_of(request) if field == "conditions.0.object"] == [None]
    refused("conditions.0.object", conditions=[{"kind": "mask", "object": "cup"}])
