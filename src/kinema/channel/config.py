"""The channel file (TOML): themes, models, stock, storage and outputs.

Every field has a default that works offline with the shipped miniature. Illegal values are refused when the file is
read, with the field, its value and the legal values. The file holds no secrets, only the names of the environment
variables that hold them.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..core.conditions import Value
from ..core.environ import check_database_url
from ..core.errors import RequestError
from ..core.outside import parse_toml, read_bytes
from ..core.renamed import making_fields
from ..core.request import Profile, Seed
from ..core.whole import write_text
from ..http.chat import Endpoint
from .day import DayPart, ZoneClock, check_day, part_at, zone
from .writing.shots import MAX_SHOTS, StyleBible, ThemeText, Title, parsed

TEMPLATE, MAX_BYTES = "config_template.toml", 2**20
SPACE = "space:"
Env = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _size(value: Any) -> Any:
    """Bytes from a number or a text such as "20 GB"."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)\s*", value, re.IGNORECASE | re.ASCII)
    if match is None:
        raise ValueError('must be a size such as "20 GB" or "500 MB", or a number of bytes')
    if len(match[1]) > 20:
        raise ValueError("has too many digits")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _path(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be a path without unprintable characters")
    return value


PathText = Annotated[str, Field(max_length=1000), AfterValidator(_path)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0, le=10**16)]


class DirectorConfig(Value):
    """The writer. shots: per episode. endpoint: a language model; the offline writer replaces it while it fails."""

    shots: Annotated[int, Field(ge=1, le=MAX_SHOTS)] = 6
    seed: Seed = 0
    blocklist: PathText = ""
    endpoint: Endpoint | None = None


class Making(Value):
    """How clips are generated. model: a name, folder or hub id, `toyland` (rule-based, no model), or `space:owner/name`
    (see Space). profile: used from stock.low clips on; draft_profile: below that. upscale: none (the clip is resampled
    when it is fitted to the picture), lanczos (resampled before interpolation), network (the super-resolution network),
    or a model that takes a clip. fit: how a clip of another aspect ratio fills the channel's picture. tries: attempts
    per step, with pauses of pause_s, doubled each time. slowest_s: the time limit of one clip. here: whether this
    machine generates clips, or only workers do. in_flight: the number of shots generated at once. worker_lost_s: the
    shots of a worker that sends no heartbeat for this long are requeued."""

    model: Annotated[str, Field(min_length=1, max_length=300)] = "kinema-mini-wan"
    profile: Profile = "balanced"
    draft_profile: Profile = "fast"
    device: str = ""
    upscale: Annotated[str, Field(min_length=1, max_length=300)] = "none"
    strength: Annotated[float, Field(ge=0.05, le=1)] = 0.7
    interpolate: Literal["none", "film", "mci"] = "film"
    fit: Literal["backdrop", "cover", "contain"] = "backdrop"
    tries: Annotated[int, Field(ge=1, le=20)] = 3
    pause_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    slowest_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    here: bool = True
    in_flight: Annotated[int, Field(ge=1, le=100)] = 2
    worker_lost_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, data: Any) -> Any:
        return making_fields(data) if isinstance(data, dict) else data


class Space(Value):
    """A Gradio Space that generates clips (`model = "space:owner/name"`, or an address). endpoint: the name of its
    function. inputs: the arguments in order; {prompt}, {negative_prompt}, {seed} and {seconds} are substituted.
    key_env: the variable that holds a Hugging Face token. timeout_s and key_env also apply to another Kinema
    (`kinema:http://...`)."""

    endpoint: Annotated[str, Field(pattern=r"^/[A-Za-z0-9_]+$")] = "/predict"
    inputs: tuple[str | int | float | bool, ...] = ("{prompt}",)
    timeout_s: Annotated[float, Field(gt=0, le=7200)] = 600.0
    key_env: Env | None = None


class Picture(Value):
    """The size, frame rate and quality that all clips of a channel are converted to."""

    width: Annotated[int, Field(ge=32, le=4096, multiple_of=2)] = 576
    height: Annotated[int, Field(ge=32, le=4096, multiple_of=2)] = 320
    fps: Annotated[int, Field(ge=1, le=60)] = 24
    crf: Annotated[int, Field(ge=1, le=51)] = 20


class Stock(Value):
    """Clips of a theme that have not aired. Below `low`, new clips are drafts; from `enough` on, none are generated."""

    low: Annotated[int, Field(ge=0, le=100_000)] = 8
    enough: Annotated[int, Field(ge=1, le=100_000)] = 40

    @model_validator(mode="after")
    def _in_order(self) -> Stock:
        if self.low > self.enough:
            raise ValueError(f"low = {self.low} is more than enough = {self.enough}; legal: 0 to {self.enough}")
        return self


class Disk(Value):
    """quota: total size of all clips; beyond it, the least recently aired are deleted, never one that is about to air.
    keep_free: with less free space than this, no clips are generated."""

    quota: Annotated[Size, Field(ge=10**6)] = 5 * 10**9
    keep_free: Size = 500 * 10**6


class Music(Value):
    """Music beds, composed once per theme and reused. words: added to the theme. beds: per theme; most: in total (the
    oldest are deleted). model: a MusicGen folder or hub id; empty: the built-in composer."""

    words: Annotated[str, Field(max_length=200)] = "calm"
    beds: Annotated[int, Field(ge=0, le=50)] = 2
    most: Annotated[int, Field(ge=1, le=1000)] = 24
    seconds: Annotated[float, Field(ge=5, le=600)] = 90.0
    model: str = ""


class Database(Value):
    """The database of the shots' jobs. url: `sqlite` (a file in the channel's folder) or a postgresql address without a
    password; password_env: the variable that holds the password. files: how clips travel between machines: `database`,
    or a folder that all of them share."""

    url: Annotated[str, Field(max_length=500)] = "sqlite"
    password_env: Env | None = None
    files: Annotated[PathText, Field(min_length=1)] = "database"

    @model_validator(mode="after")
    def _known_kind(self) -> Database:
        if self.url != "sqlite":
            check_database_url(self.url)
        return self

    @property
    def is_sqlite(self) -> bool:
        return self.url == "sqlite"


class Hls(Value):
    """HLS output, as files under FOLDER/on_air. segment_s: the duration of a segment."""

    segment_s: Annotated[int, Field(ge=1, le=10)] = 2


class Rtmp(Value):
    """An RTMP server. key_env: the variable that holds the stream key, which is appended to the address."""

    url: Annotated[str, Field(pattern=r"^rtmps?://[^\s@?]+$", max_length=500)]
    key_env: Env | None = None


class Viewers(Value):
    """Themes suggested by viewers. Every `every`-th episode uses one, if any are waiting. waiting: the maximum."""

    take: bool = True
    every: Annotated[int, Field(ge=1, le=1000)] = 3
    waiting: Annotated[int, Field(ge=1, le=10_000)] = 50


class PageSettings(Value):
    """The watch page and HLS over HTTP. port: 0 disables the page. names: accepted host names besides localhost and
    bare addresses. proxies: addresses of trusted proxies, whose forwarded client addresses are used. The owner's token
    is in the environment (KINEMA_CHANNEL_TOKEN)."""

    host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    names: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    proxies: Annotated[tuple[str, ...], Field(max_length=50)] = ()


class ChannelConfig(Value):
    """A channel. `folder`: its data folder, relative to the channel file unless absolute."""

    title: Title = "Kinema"
    folder: Annotated[PathText, Field(min_length=1)] = "channel"
    theme: ThemeText = "a calm day by the sea"
    timezone: Annotated[str, Field(max_length=100)] = ""
    part: Annotated[tuple[DayPart, ...], Field(max_length=48)] = ()
    bible: StyleBible = Field(default_factory=StyleBible)
    director: DirectorConfig = Field(default_factory=DirectorConfig)
    making: Making = Field(default_factory=Making)
    space: Space = Field(default_factory=Space)
    picture: Picture = Field(default_factory=Picture)
    stock: Stock = Field(default_factory=Stock)
    disk: Disk = Field(default_factory=Disk)
    music: Music = Field(default_factory=Music)
    database: Database = Field(default_factory=Database)
    hls: Hls = Field(default_factory=Hls)
    rtmp: Annotated[tuple[Rtmp, ...], Field(max_length=10)] = ()
    viewers: Viewers = Field(default_factory=Viewers)
    page: PageSettings = Field(default_factory=PageSettings)

    @model_validator(mode="after")
    def _holds_together(self) -> ChannelConfig:
        zone(self.timezone)
        check_day(self.part)
        if not self.making.here and self.database.is_sqlite:
            raise ValueError(
                'making.here = false requires workers, and workers require database.url = "postgresql://..."'
            )
        return self

    @property
    def blocklist(self) -> Path | None:
        """The owner's blocklist, or None."""
        return Path(self.director.blocklist) if self.director.blocklist else None

    @property
    def root(self) -> Path:
        return Path(self.folder)

    def theme_at(self, when: datetime) -> str:
        """The theme on air at `when` (aware, or in the channel's time zone)."""
        part = part_at(self.part, when)
        return part.theme if part is not None else self.theme

    @property
    def themes(self) -> list[str]:
        """All themes of the day, without duplicates."""
        return list(dict.fromkeys([part.theme for part in self.part] + [self.theme]))

    @property
    def clock(self) -> ZoneClock:
        return ZoneClock(self.timezone)


def read(path: str | os.PathLike[str]) -> ChannelConfig:
    """Read a channel file. The returned folder is absolute. RequestError names the file, the field and the problem."""
    path = Path(path)
    try:
        text = read_bytes(path, error=RequestError, max_bytes=MAX_BYTES)
    except FileNotFoundError:
        raise RequestError(
            f"No such file: {path}. `kinema channel init {path}` writes one.", field="config", value=str(path)
        ) from None
    data = parse_toml(text, str(path), error=RequestError)
    config = parsed(ChannelConfig, data, f"channel file ({path})")
    changes: dict[str, Any] = {"folder": str((path.resolve().parent / config.folder).resolve())}
    if config.director.blocklist:
        list_ = str((path.resolve().parent / config.director.blocklist).resolve())
        changes["director"] = config.director.model_copy(update={"blocklist": list_})
    if config.database.files != "database":
        files_ = str((path.resolve().parent / config.database.files).resolve())
        changes["database"] = config.database.model_copy(update={"files": files_})
    return config.model_copy(update=changes)


def write_template(path: str | os.PathLike[str]) -> Path:
    """Write a commented channel file with all defaults. RequestError if the file exists or cannot be written."""
    path = Path(path)
    if path.suffix != ".toml":
        raise RequestError(f"{path}: a channel file is TOML.", field="config", value=str(path), legal="NAME.toml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = template().replace('folder = "channel"', f'folder = "{path.stem}"')
        path.touch(exist_ok=False)
        try:
            write_text(path, text)
        except OSError:
            path.unlink()
            raise
    except FileExistsError:
        raise RequestError(f"{path} exists; nothing was written.", field="config", value=str(path)) from None
    except OSError as error:
        raise RequestError(f"Cannot write {path}: {error.strerror}.", field="config", value=str(path)) from None
    return path


def template() -> str:
    """The text of the commented channel file."""
    return files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
