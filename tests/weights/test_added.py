"""The list of added models and the cache of digests: no content of either stops a command."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinema.core.errors import ModelError, WeightsMissing
from kinema.weights import store


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()


@pytest.fixture
def listed(tmp_path):
    return tmp_path / "home" / "models.json"


@pytest.fixture
def copy(tmp_path):
    """The configurations of the miniature, which is all that recognition reads."""
    place = store.locate(store.find("kinema-mini-wan"))
    for file in (place / "model_index.json", place / "transformer" / "config.json"):
        target = tmp_path / "mine" / file.relative_to(place)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return tmp_path / "mine"


def test_only_what_identifies_a_model_is_kept(copy, listed):
    card = store.add(copy)
    assert json.loads(listed.read_text()) == {"schema": 1, "models": [{"id": "mine", "path": str(copy)}]}
    assert store.find("mine") == store.complete(card)
    assert store.add(copy).id == "mine", "adding again replaces the entry"
    assert len(store.added_cards()) == 1


def test_lists_of_whole_cards_are_read_whatever_their_fields_are_called(copy, listed):
    """The former format, from a version whose cards had other fields."""
    card = store.recognise(copy).model_dump(mode="json") | {"id": "my-name", "a_field_of_old": 1}
    del card["network"], card["size"]
    listed.write_text(json.dumps([card]))
    assert [one.id for one in store.added_cards()] == ["my-name"]
    assert store.find("my-name").network == store.recognise(copy).network
    assert store.troubles() == {}


DAMAGED = [
    "", "{", "5", "null", "[" * 100_000, '{"schema": 1}', '{"schema": true, "models": []}', '{"models": {}}', "\x00",
    '{"schema": 1, "models": 3}', "[[]]", '[{"id": 5, "path": "x"}]', '[{"id": "x"}]', '[{"id": "x", "path": ["y"]}]',
    '[{"id": "x", "path": "a\\u0000b"}]', '[{"id": "\\ud800", "path": "x"}]',
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_list_stops_nothing_and_is_kept(text, listed, copy):
    listed.write_text(text)
    assert store.find("kinema-mini-wan").id == "kinema-mini-wan"
    assert "models.json" in store.troubles()
    assert "add" in store.troubles()["models.json"]
    store.add(copy)
    assert store.troubles() == {}
    assert store.find("mine").path == str(copy)
    assert next(listed.parent.glob("models.json.damaged-*")).read_text() == text


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=300), lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "path", "schema", "models"), inner))
    ))
)  # fmt: skip
def test_any_json_in_the_list_leaves_the_other_models(listed, value):
    listed.write_text(json.dumps(value))
    assert "kinema-mini-wan" in {card.id for card in store.known_cards()}
    assert all(isinstance(trouble, str) for trouble in store.troubles().values())


def test_models_whose_files_are_gone_or_broken_are_named(copy, listed, tmp_path):
    shutil.copytree(copy, tmp_path / "gone")
    store.add(copy)
    store.add(tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    (copy / "transformer" / "config.json").write_text("[5]")
    with pytest.raises(WeightsMissing, match=r"its files were at .*gone"):
        store.find("gone")
    with pytest.raises(ModelError, match="The added model mine cannot be read"):
        store.find("MINE")
    assert set(store.troubles()) == {"mine", "gone"}
    shutil.copytree(copy, tmp_path / "third")
    shutil.copy(
        store.locate(store.find("kinema-mini-wan")) / "transformer" / "config.json", tmp_path / "third" / "transformer"
    )
    store.add(tmp_path / "third")
    assert len(json.loads(listed.read_text())["models"]) == 3, "unreadable models stay in the list"


def test_a_list_of_a_later_version_is_not_written_over(copy, listed):
    listed.write_text('{"schema": 2, "models": [], "more": 1}')
    with pytest.raises(ModelError, match="later version"):
        store.add(copy)
    assert json.loads(listed.read_text())["more"] == 1


@pytest.mark.parametrize(
    "name", ["n" * 300, "n" * 5000, "a\0b", "a b/c?", "\ud800", "/dev/null", "-m", "../" * 900 + "x"]
)  # fmt: skip
def test_names_that_no_disk_has(name):
    with pytest.raises(ModelError):
        store.find(name)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 5}', "[" * 9999])
def test_a_damaged_memory_of_digests_is_written_again(text, tmp_path):
    file, memory = tmp_path / "a.safetensors", tmp_path / "home" / "digests.json"
    file.write_bytes(b"weights")
    right = store.digests(file)
    assert len(right["a.safetensors"]) == 64
    memory.write_text(text)
    assert store.digests(file) == right
    kept = json.loads(memory.read_text())["digests"]
    assert set(right.values()) <= set(kept.values())
    key = next(key for key, value in kept.items() if value in right.values())
    memory.write_text(json.dumps({"schema": 1, "digests": {key: 5}}))
    assert store.digests(file) == right, "an entry that is not a digest is ignored"


@pytest.mark.parametrize(
    "file, text",
    [
        ("model_index.json", "[]"),
        ("model_index.json", '{"_class_name": ["WanPipeline"]}'),
        ("model_index.json", "[" * 100_000),
        ("transformer/config.json", "[]"),
        ("transformer/config.json", "{}"),
        (
            "transformer/config.json",
            '{"num_attention_heads": "x", "attention_head_dim": 3, "num_layers": 1, "text_dim": 1}',
        ),
        (
            "transformer/config.json",
            '{"num_attention_heads": 2, "attention_head_dim": 3, "num_layers": 1, "text_dim": 1, "vace_layers": "x"}',
        ),
    ],
)
def test_configurations_of_another_shape_are_no_model(copy, file, text):
    (copy / file).write_text(text)
    with pytest.raises(ModelError, match="mine"):
        store.recognise(copy)
