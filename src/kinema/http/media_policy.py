"""Media policy: what a request that came over the network may name.

A path that a person types at a terminal is theirs; a path that a client sends is not. A client names media by content
hash (`sha256:` and 64 hexadecimal digits, of an earlier upload) or sends them inline (`data:` URIs), and models, styles
and image models by the names under which this machine knows them. Paths and addresses are refused everywhere, whether
they exist or not, so that an answer never reveals which files a machine has.

RULES has one line for each field that holds text. A field without a line is refused: a new field of a request has to be
added here before clients can send it (tests/http/test_media_policy.py compares the table with the classes).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.by_hash import is_media
from ..core.conditions import Value
from ..core.errors import RequestError
from ..core.outside import exists, for_terminal
from ..core.registry import find_card
from ..core.request import Request
from ..core.upscale import AUTO, FRAME_METHODS, PARTNER
from ..weights import styles
from ..weights.hub import fetched
from ..weights.names import is_hub_id
from ..weights.store import known_cards


@dataclass(frozen=True)
class MediaPolicy:
    """models: the ids of the models that clients may use; None: all that this machine knows."""

    models: Collection[str] | None = None

    def check(self, request: Request) -> None:
        """RequestError, with the field and its legal values, for the first name that a client may not use."""
        for field, value, rule in texts_of(request):
            if (rule or _unlisted)(self, value):
                continue
            shown = for_terminal(value, 100)
            raise RequestError(
                f"{field} = {shown!r} is not legal over HTTP.", field=field, value=shown, legal=self._legal(rule)
            )

    def _legal(self, rule: Rule | None) -> str:
        if rule is _media:
            return "sha256:<hex> of an upload, or a data: URI"
        if rule in (_model, _upscaler):
            return ", ".join(
                ((AUTO, *FRAME_METHODS, PARTNER) if rule is _upscaler else ()) + tuple(self.legal_models())
            )
        if rule is _style:
            return ", ".join(style.name for style in styles.named()) or "no styles"
        return "names that this machine knows" if rule is not None else "not available over HTTP"

    def legal_models(self) -> list[str]:
        """The ids of the models that clients may use."""
        return [card.id for card in known_cards() if self.models is None or card.id in self.models]


def texts_of(value: Value, field: str = "") -> Iterator[tuple[str, str, Rule | None]]:
    """Each text in a request, a condition or an upscale step: the dotted field, the text, and the rule that it must
    meet (None: it has none). Texts with a closed set of values and those read as words are left out."""
    kind = getattr(value, "kind", "") or type(value).__name__.lower()
    for name in type(value).model_fields:
        found, where = getattr(value, name), f"{field}{name}"
        if name == "kind":
            continue
        if name == "options":
            yield from ((f"{where}.{key}", text, _option(key)) for key, each in found.items() for text in _leaves(each))
            continue
        for index, each in enumerate(found if isinstance(found, tuple) else (found,)):
            place = f"{where}.{index}" if isinstance(found, tuple) else where
            if isinstance(each, Value):
                yield from texts_of(each, f"{place}.")
            elif isinstance(each, str):
                rule = RULES.get((kind, name))
                if rule is not words:
                    yield place, each, rule


Rule = Callable[[MediaPolicy, str], bool]


def words(_policy: MediaPolicy, _value: str) -> bool:
    """Words for a model, or one of a closed set of values: they name no file."""
    return True


def _unlisted(_policy: MediaPolicy, _value: str) -> bool:
    return False


def _media(_policy: MediaPolicy, value: str) -> bool:
    return value.startswith("data:") or is_media(value)


def _model(policy: MediaPolicy, value: str) -> bool:
    card = find_card(value, known_cards())
    return card is not None and (policy.models is None or card.id in policy.models)


def _upscaler(policy: MediaPolicy, value: str) -> bool:
    return value in (AUTO, *FRAME_METHODS, PARTNER) or _model(policy, value)


def _style(_policy: MediaPolicy, value: str) -> bool:
    if is_media(value):
        return True
    return any(value == style.name for style in styles.named()) and not exists(value)


def _option(name: str) -> Rule:
    """The rule of an option's text: a choice or a default of some model's card, or a pulled hub id."""

    def rule(_policy: MediaPolicy, value: str) -> bool:
        options = [card.options[name] for card in known_cards() if name in card.options]
        if any(value == option.default or value in option.choices for option in options):
            return True
        return is_hub_id(value) and not exists(value) and fetched(value) is not None

    return rule


def _leaves(value: Any) -> Iterator[str]:
    """Every text in a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from _leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)


RULES: dict[tuple[str, str], Rule] = {
    ("request", "prompt"): words,
    ("request", "negative_prompt"): words,
    ("request", "model"): _model,
    ("request", "profile"): words,
    ("request", "fit"): words,
    ("request", "canvas"): words,
    ("request", "fill"): words,
    ("upscale", "by"): _upscaler,
    ("image", "image"): _media,
    ("image", "seen"): _media,
    ("image", "at"): words,
    ("reference", "images"): _media,
    ("source", "video"): _media,
    ("mask", "image"): _media,
    ("mask", "video"): _media,
    ("mask", "shape"): words,
    ("mask", "object"): words,
    ("mask", "fill"): words,
    ("mask", "tracker"): words,
    ("control", "control"): words,
    ("control", "video"): _media,
    ("trajectory", "object"): words,
    ("camera", "move"): words,
    ("continue", "clip"): _media,
    ("continue", "place"): words,
    ("style", "adapter"): _style,
    ("audio", "track"): _media,
}
"""(kind of condition, "request" or "upscale"; field) -> rule."""
