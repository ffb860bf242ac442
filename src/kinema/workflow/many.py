"""Many clips of one request: every prompt with every seed, each in a file of its own, by one loaded model.

    from kinema.workflow.many import make_many, plan_many, spread

    wishes = spread(Request(upscale=4), ["a red ball rolls left", "a blue star"], seeds("1-8"))
    for made in make_many(plan_many(wishes, "clips/"), kinema.load()):
        print(made.path, made.reused)

A clip counts as made where its file carries the same plan, weights and inputs: so a run that was stopped goes on where
it was, and what has changed is made anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.apart import check_name
from ..core.errors import KinemaError, MediaError, RequestError
from ..core.events import OnEvent, ignore
from ..core.plan import Manifest, Plan
from ..core.request import Request
from .clip_file import ClipGenerator, write_clip
from .clips_done import ClipsDone
from .film_plan import numbered

MOST = 1000
"""Clips of one run."""
MAX_SEED = 2**63 - 1
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".xlsx", ".ods")
"""Files of more than a prompt a line."""
NAME_WORDS, NAME_CHARS = 6, 48
FIELDS = ("prompt", "seed", "number")


@dataclass(frozen=True)
class ListedRequest:
    """One clip that is wanted. place: where its prompt was read, for messages."""

    request: Request
    number: int
    place: str = ""


@dataclass(frozen=True)
class PlannedClip:
    """A clip to make: what, and where to."""

    plan: Plan
    target: Path


@dataclass(frozen=True)
class MadeClip:
    """A finished clip. reused: it was there already. facts: what making it told."""

    planned: PlannedClip
    reused: bool
    facts: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.planned.target


def seeds(text: str) -> tuple[int, ...]:
    """The seeds of "1-8,12", in order, none twice. RequestError for what is no such list, and for more than MOST."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= MAX_SEED:
            raise RequestError(
                f"--seeds {text!r}: {part.strip()!r} is no seed and no range of seeds.", field="seeds", value=text,
                legal="numbers and ranges from low to high, as 1-8 or 1-8,12",
            )  # fmt: skip
        if last - first >= MOST or len(found) + last - first >= MOST:
            raise RequestError(
                f"--seeds {text}: more than {MOST:,} seeds.", field="seeds", value=text,
                legal=f"{MOST:,} clips in one run at most",
            )  # fmt: skip
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


def prompts(path: Path) -> tuple[list[tuple[int, str]], list[str]]:
    """(line, prompt) of each line of a text file that is not blank and no # comment, and notes on what was read:
    how its bytes were understood, lines left out because they say the same again. RequestError where there is none."""
    from ..core.text_file import read_text

    try:
        text, note = read_text(path, error=MediaError)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file.") from None
    notes = [f"{path}: {note}."] if note else []
    if path.suffix.lower() in TABLES:
        raise RequestError(
            f"{path}: a {path.suffix} file; its lines would be taken for prompts as they are, names of columns, quotes "
            "and separators too.", field="prompts", value=str(path), legal="a text file with a prompt a line",
        )  # fmt: skip
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        prompt = line.strip()
        if not prompt or prompt.startswith("#"):
            continue
        if prompt in found:
            notes.append(f"{path}: line {number} says what line {found[prompt]} says; it is made once.")
            continue
        found[prompt] = number
        if len(found) > MOST:
            raise RequestError(
                f"{path}: more than {MOST:,} prompts.", field="prompts", value=str(path),
                legal=f"{MOST:,} clips in one run at most",
            )  # fmt: skip
    if not found:
        raise RequestError(
            f"{path}: holds no prompt.", field="prompts", value=str(path),
            legal="a prompt a line; blank lines and lines that begin with # are skipped",
        )  # fmt: skip
    return [(number, prompt) for prompt, number in found.items()], notes


def spread(
    base: Request, said: Sequence[str] | Sequence[tuple[int, str]], all_seeds: Sequence[int], place: str = "prompt"
) -> list[ListedRequest]:
    """Every prompt (or line and prompt) with every seed, prompts first. RequestError for more than MOST of them."""
    lines = [(at, each) if isinstance(each, str) else each for at, each in enumerate(said, 1)]
    if len(lines) * len(all_seeds) > MOST:
        raise RequestError(
            f"{len(lines)} prompts with {len(all_seeds)} seeds each are {len(lines) * len(all_seeds):,} clips.",
            field="seeds", value=len(lines) * len(all_seeds), legal=f"{MOST:,} clips in one run at most",
        )  # fmt: skip
    wishes: list[ListedRequest] = []
    for number, (line, prompt) in enumerate(lines, 1):
        at = f"{place} {line}"
        try:
            asked = base.changed(prompt=prompt)
        except RequestError as error:
            raise numbered(error, at) from None
        wishes += [ListedRequest(asked.changed(seed=seed), number, at) for seed in all_seeds]
    return wishes


def plan_many(
    wishes: Sequence[ListedRequest], pattern: str, make_plan: Callable[[Request], Plan] | None = None
) -> list[PlannedClip]:
    """A plan and a file for each, before weights load. pattern: see `names`. make_plan: None plans for this machine.
    RequestError, naming the line, for what the model cannot do, and where two clips would go to one file."""
    from ..engine.plan import plan

    found: list[PlannedClip] = []
    for wish, target in zip(wishes, names(pattern, wishes), strict=True):
        try:
            found.append(PlannedClip((make_plan or plan)(wish.request), target))
        except RequestError as error:
            raise numbered(error, wish.place) if len({each.number for each in wishes}) > 1 else error from None
    return found


def names(pattern: str, wishes: Sequence[ListedRequest]) -> list[Path]:
    """A file's name for each: of "clips/{prompt}-{seed}.mp4" with the telling words of the prompt, the seed, and
    {number}, which counts the prompts. "clips/" stands for just that, "ball.mp4" for "ball-{seed}.mp4", with several
    prompts for "ball-{prompt}-{seed}.mp4". RequestError where names would be the same, or hold other {fields}."""
    several = len({wish.number for wish in wishes}) > 1
    if pattern.endswith(("/", os.sep)):
        pattern += "{prompt}-{seed}.mp4"
    elif not Path(pattern).suffix:
        raise RequestError(
            f"{pattern}: names neither a kind of file nor a folder for the clips.", field="output", value=pattern,
            legal="a folder/ with its slash, or a name as ball-{seed}.mp4", nearest=f"{pattern}/",
        )  # fmt: skip
    elif not (asked := re.findall(r"\{([^{}]*)\}", Path(pattern).name)):
        place = Path(pattern)
        pattern = str(place.with_name(f"{place.stem}-{'{prompt}-' if several else ''}{{seed}}{place.suffix}"))
    elif unknown := [each for each in asked if each not in FIELDS]:
        raise RequestError(
            f"{pattern}: {{{unknown[0]}}} stands for nothing.", field="output", value=pattern,
            legal=", ".join(f"{{{each}}}" for each in FIELDS),
        )  # fmt: skip
    words = _words_of(wishes)
    folder, name = Path(pattern).parent, Path(pattern).name
    made: dict[str, Path] = {}
    for wish in wishes:
        values = {"prompt": words[wish.request.prompt], "seed": str(wish.request.seed), "number": str(wish.number)}
        path = folder / re.sub(r"\{([^{}]*)\}", lambda field: values[field[1]], name)  # noqa: B023
        check_name(path)
        if str(path).casefold() in made:
            raise RequestError(
                f"{path}: several clips would be written to it.", field="output", value=pattern,
                legal="a folder/, or a name with {seed}" + (" and {prompt}" if several else ""),
            )  # fmt: skip
        made[str(path).casefold()] = path
    return list(made.values())


def _words_of(wishes: Sequence[ListedRequest]) -> dict[str, str]:
    """red-ball-rolls-left for each prompt; where two would be alike, and where nothing is left, with a hash."""
    plain = {wish.request.prompt: slug(wish.request.prompt) for wish in wishes}
    alike = {words for words in plain.values() if list(plain.values()).count(words) > 1} | {""}
    return {
        prompt: "-".join(part for part in (words or "clip", _hash(prompt) if words in alike else "") if part)
        for prompt, words in plain.items()
    }


def slug(prompt: str) -> str:
    """The first telling words of a prompt, for a file's name; empty where it has no Latin letters."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain) if word not in ("a", "an", "the")]
    return "-".join(words[:NAME_WORDS])[:NAME_CHARS].strip("-")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]


def same_plan(planned: PlannedClip) -> Manifest | None:
    """The manifest of the file that is there, if it is a whole clip of this plan; else None."""
    from ..engine.manifest import own_version
    from ..media.manifest import carried
    from ..media.read import probe

    if not planned.target.exists():
        return None
    try:
        found = Manifest.from_dict(carried(planned.target))
        info = probe(planned.target)
    except KinemaError:
        return None
    alike = found.kinema == own_version() and found.plan.deciding() == planned.plan.deciding()
    whole = info.num_frames == planned.plan.frames and (info.width, info.height) == planned.plan.size
    return found if alike and whole else None


def is_made(planned: PlannedClip, generator: ClipGenerator) -> bool:
    """Is the clip there already: of the same plan, weights and inputs, by the same version of Kinema?"""
    from ..engine.manifest import verify

    found = same_plan(planned)
    if found is None:
        return False
    try:
        verify(found, generator.digests(planned.plan), planned.plan)
    except RequestError:
        return False
    return True


def make_many(
    clips: Sequence[PlannedClip],
    generator: ClipGenerator,
    write: Callable[[PlannedClip, OnEvent], dict[str, Any]] | None = None,
    *,
    on_event: OnEvent = ignore,
) -> Iterator[MadeClip]:
    """Generate the clips that do not exist yet, one after the other, and yield each when it is written. Stopping keeps
    the finished ones. write: writes one clip and returns its `facts`. Raises what generating raises."""
    done = ClipsDone(on_event, [each.plan for each in clips], "clip")
    for index, planned in enumerate(clips):
        if is_made(planned, generator):
            done.skip(index)
            yield MadeClip(planned, True, {})
            continue
        done.begin(index)
        facts: dict[str, Any] = {}
        if write is None:
            write_clip(generator, planned.plan, planned.target, on_event=done)
        else:
            facts = write(planned, done)
        yield MadeClip(planned, False, facts)
