"""FilmPlan: the content of a film as plain JSON that can be edited: titles, music, and a request for each shot.

    {"film": 1, "title": "A storm at sea", "ending": "The end", "music": "a storm at sea", "seed": 3,
     "shots": [{"request": {"prompt": "a red ball rolls left at sea", "seed": 7}, "join": "cut"}]}

The request of a shot is the same as for `kinema generate --request`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from ..core.conditions import Value
from ..core.errors import RequestError
from ..core.near import nearest
from ..core.outside import of_kind, parse_json, parse_yaml, read_bytes
from ..core.request import Request, Seed
from ..core.whole import write_text

MAX_SHOTS = 1000
Join = Literal["cut", "crossfade", "continue"]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("is one line of printable characters")
    return text


Line = Annotated[str, Field(max_length=200), AfterValidator(_printable)]


class FilmShot(Value):
    """One shot. join: how it follows the one before: "cut", "crossfade" (both overlap), or "continue" (it begins with
    the last frames of the one before, which are shown once). title: a card before it; after a card every join is a
    cut."""

    request: Request
    join: Join = "cut"
    title: Line = ""


class FilmPlan(Value):
    """A film. title, subtitle: the card at its beginning, ending: the one at its end; an empty one is left out.
    music: words for the composer, empty for a film without sound. seed: of the music, and of shots that name none
    (seed + their index). card_s, crossfade_s: seconds of a card and of a crossfade."""

    film: Literal[1] = 1
    title: Line = ""
    subtitle: Line = ""
    ending: Line = ""
    music: Line = ""
    seed: Seed = 0
    card_s: Annotated[float, Field(ge=0.5, le=30)] = 2.0
    crossfade_s: Annotated[float, Field(gt=0, le=10)] = 0.5
    shots: Annotated[tuple[FilmShot, ...], Field(min_length=1, max_length=MAX_SHOTS)]

    @classmethod
    def from_dict(cls, data: Any, name: str = "film plan", folder: Path | None = None) -> FilmPlan:
        """Return a plan from plain values. Relative media paths are resolved against `folder`. RequestError names the
        field, and the number of the shot, counted from 1."""
        data = of_kind(data, name, dict, error=RequestError)
        _known(data, cls, name)
        shots = of_kind(data.get("shots", []), f"{name}: shots", list, error=RequestError)
        if not shots:
            raise RequestError(f"{name}: has no shots.", field="shots", legal=f"1 to {MAX_SHOTS} shots")
        found = [_shot(shot, f"{name}: shot {number}", folder) for number, shot in enumerate(shots, 1)]
        if found[0]["join"] != "cut":
            raise RequestError(
                f"{name}: shot 1: join = {found[0]['join']!r}, but nothing comes before it.", field="shots.0.join",
                value=found[0]["join"], legal="cut", nearest="cut",
            )  # fmt: skip
        return _checked(cls, {**data, "shots": tuple(found)}, name)

    @classmethod
    def from_file(cls, path: str | Path) -> FilmPlan:
        """Read a .json, .yaml or .yml file. Raises RequestError if it does not exist or is not a film plan."""
        path = Path(path)
        try:
            text = read_bytes(path, error=RequestError)
        except FileNotFoundError:
            raise RequestError(
                f"{path}: no such film plan.", field="plan", value=str(path),
                legal="a file as `kinema direct THEME -o plan.json` writes it",
            ) from None  # fmt: skip
        is_yaml = path.suffix.lower() in (".yaml", ".yml")
        data = parse_yaml(text, str(path), error=RequestError) if is_yaml else _json(text, path)
        return cls.from_dict(data, str(path), path.parent)

    def to_json(self) -> str:
        """Return JSON text with the fields that differ from their defaults."""
        fields = self.model_dump(mode="json", exclude={"shots"}, exclude_defaults=True)
        shots = [
            {"request": json.loads(shot.request.to_json())}
            | shot.model_dump(mode="json", exclude={"request"}, exclude_defaults=True)
            for shot in self.shots
        ]
        return json.dumps({"film": self.film, **fields, "shots": shots}, indent=2, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the plan atomically; an older plan is replaced. RequestError: see `check_place`."""
        path = Path(path)
        check_place(path)
        write_text(path, self.to_json())

    def requests(self, **changes: Any) -> Iterator[Request]:
        """Yield the shots' requests, each with a seed, with some fields replaced in all of them."""
        for index, shot in enumerate(self.shots):
            seed = {"seed": (self.seed + index) % 2**63} if shot.request.seed is None else {}
            yield shot.request.changed(**seed, **changes) if seed or changes else shot.request


def check_place(path: Path) -> None:
    """Raise RequestError for a path that is not .json, or an existing file that is not a film plan."""
    if path.suffix.lower() != ".json":
        raise RequestError(
            f"{path}: a film plan is a .json file.", field="output", value=str(path), legal=".json",
            nearest=path.with_suffix(".json").name,
        )  # fmt: skip
    if path.exists():
        try:
            FilmPlan.from_file(path)
        except RequestError:
            raise RequestError(
                f"{path}: exists already and is not a film plan; nothing is replaced.", field="output", value=str(path),
                legal="another name",
            ) from None  # fmt: skip


def _json(text: bytes, path: Path) -> Any:
    return parse_json(text, str(path), error=RequestError)


def _shot(data: Any, name: str, folder: Path | None) -> dict[str, Any]:
    data = of_kind(data, name, dict, error=RequestError)
    _known(data, FilmShot, name)
    try:
        request = Request.from_dict(data.get("request"), folder)
    except RequestError as error:
        raise numbered(error, name) from None
    shot = _checked(FilmShot, {**data, "request": request}, name)
    return {"request": request, "join": shot.join, "title": shot.title}


def numbered(error: RequestError, place: str) -> RequestError:
    """Return the same error with its place in front: a shot, or a line of a file."""
    return type(error)(
        f"{place}: {error.message}", field=error.field, value=error.value, legal=error.legal, nearest=error.nearest,
        models=error.models,
    )  # fmt: skip


def _known(data: dict[str, Any], kind: type[Value], place: str) -> None:
    for name in data:
        if name in kind.model_fields:
            continue
        raise RequestError(
            f"{place}: unknown field {str(name)[:60]!r}.", field=str(name)[:60], legal=", ".join(kind.model_fields),
            nearest=nearest(str(name), kind.model_fields),
        )  # fmt: skip


def _checked(kind: type[Any], data: dict[str, Any], place: str) -> Any:
    try:
        return kind(**data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        value = repr(first.get("input"))[:80]
        message = first["msg"].removeprefix("Value error, ")
        raise RequestError(f"{place}: {field} = {value}: {message}.", field=field, value=value) from None
