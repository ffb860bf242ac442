"""Many clips of one request: every prompt with every seed, each in its own file, by one loaded model.

    from kinema.workflow.many import make_many, plan_many, spread

    requests = spread(Request(upscale=4), ["a red ball rolls left", "a blue star"], seeds("1-8"))
    for made in make_many(plan_many(requests, "clips/"), kinema.load()):
        print(made.path, made.reused)

A clip is reused if its file carries the same plan, weights and inputs: an interrupted run resumes, and clips that
changed are generated again.
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
from ..engine.clip_file import ClipGenerator, write_clip
from .clips_done import ClipsDone
from .film_plan import numbered

MOST = 1000
"""Maximum number of clips of one run."""
MAX_SEED = 2**63 - 1
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml", ".xlsx", ".ods")
"""Suffixes of files that hold more than a prompt per line."""
NAME_WORDS, NAME_CHARS = 6, 48
FIELDS = ("prompt", "seed", "number")


@dataclass(frozen=True)
class ListedRequest:
    """A request of a list. number: of its prompt. place: where the prompt was read, for messages."""

    request: Request
    number: int
    place: str = ""


@dataclass(frozen=True)
class PlannedClip:
    """A clip to generate: its plan and its file."""

    plan: Plan
    target: Path


@dataclass(frozen=True)
class MadeClip:
    """A finished clip. reused: it existed already. facts: what `write` returned."""

    planned: PlannedClip
    reused: bool
    facts: dict[str, Any]

    @property
    def path(self) -> Path:
        return self.planned.target


def seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of "1-8,12", in order, without duplicates. Raises RequestError for other text, and for more than
    MOST."""
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:-\s*(\d{1,19})\s*)?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= MAX_SEED:
            raise RequestError(
                f"--seeds {text!r}: {part.strip()!r} is not a seed or a range of seeds.", field="seeds", value=text,
                legal="numbers and ranges from low to high, as 1-8 or 1-8,12",
            )  # fmt: skip
        if last - first >= MOST or len(found) + last - first >= MOST:
            raise RequestError(
                f"--seeds {text}: more than {MOST:,} seeds.", field="seeds", value=text,
                legal=f"at most {MOST:,} clips in one run",
            )  # fmt: skip
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(found)


def prompts(path: Path) -> tuple[list[tuple[int, str]], list[str]]:
    """Return (line, prompt) of each line of a text file that is not blank or a # comment, and notes: how its bytes were
    decoded, and duplicates that are skipped. Raises RequestError for a file without prompts."""
    from ..core.text_file import read_text

    try:
        text, note = read_text(path, error=MediaError)
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file.") from None
    notes = [f"{path}: {note}."] if note else []
    if path.suffix.lower() in TABLES:
        raise RequestError(
            f"{path}: a {path.suffix} file; its lines are not prompts.", field="prompts", value=str(path),
            legal="a text file with one prompt per line",
        )  # fmt: skip
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        prompt = line.strip()
        if not prompt or prompt.startswith("#"):
            continue
        if prompt in found:
            notes.append(f"{path}: line {number} repeats line {found[prompt]} and is skipped.")
            continue
        found[prompt] = number
        if len(found) > MOST:
            raise RequestError(
                f"{path}: more than {MOST:,} prompts.", field="prompts", value=str(path),
                legal=f"at most {MOST:,} clips in one run",
            )  # fmt: skip
    if not found:
        raise RequestError(
            f"{path}: holds no prompt.", field="prompts", value=str(path),
            legal="one prompt per line; blank lines and lines that begin with # are skipped",
        )  # fmt: skip
    return [(number, prompt) for prompt, number in found.items()], notes


def spread(
    base: Request, texts: Sequence[str] | Sequence[tuple[int, str]], all_seeds: Sequence[int], place: str = "prompt"
) -> list[ListedRequest]:
    """Return a request for every prompt (or line and prompt) with every seed. RequestError for more than MOST."""
    lines = [(at, each) if isinstance(each, str) else each for at, each in enumerate(texts, 1)]
    if len(lines) * len(all_seeds) > MOST:
        raise RequestError(
            f"{len(lines)} prompts with {len(all_seeds)} seeds each are {len(lines) * len(all_seeds):,} clips.",
            field="seeds", value=len(lines) * len(all_seeds), legal=f"at most {MOST:,} clips in one run",
        )  # fmt: skip
    requests: list[ListedRequest] = []
    for number, (line, prompt) in enumerate(lines, 1):
        at = f"{place} {line}"
        try:
            request = base.changed(prompt=prompt)
        except RequestError as error:
            raise numbered(error, at) from None
        requests += [ListedRequest(request.changed(seed=seed), number, at) for seed in all_seeds]
    return requests


def plan_many(
    requests: Sequence[ListedRequest], pattern: str, make_plan: Callable[[Request], Plan] | None = None
) -> list[PlannedClip]:
    """Return a plan and a file for each, before weights are loaded. pattern: see `names`. make_plan: None plans for
    this machine. RequestError, with the line, for what the model does not support and for two clips of one name."""
    from ..engine.plan import plan

    found: list[PlannedClip] = []
    for each, target in zip(requests, names(pattern, requests), strict=True):
        try:
            found.append(PlannedClip((make_plan or plan)(each.request), target))
        except RequestError as error:
            raise numbered(error, each.place) if len({one.number for one in requests}) > 1 else error from None
    return found


def names(pattern: str, requests: Sequence[ListedRequest]) -> list[Path]:
    """Return a file name for each: "clips/{prompt}-{seed}.mp4" with significant words of the prompt, the seed, and
    {number}, which counts the prompts. "clips/" is short for that, "ball.mp4" for "ball-{seed}.mp4", with several
    prompts for "ball-{prompt}-{seed}.mp4". Raises RequestError for equal names and for other {fields}."""
    several = len({each.number for each in requests}) > 1
    if pattern.endswith(("/", os.sep)):
        pattern += "{prompt}-{seed}.mp4"
    elif not Path(pattern).suffix:
        raise RequestError(
            f"{pattern}: neither a file name with a suffix nor a folder/.", field="output", value=pattern,
            legal="a folder/ with its slash, or a name as ball-{seed}.mp4", nearest=f"{pattern}/",
        )  # fmt: skip
    elif not (asked := re.findall(r"\{([^{}]*)\}", Path(pattern).name)):
        place = Path(pattern)
        pattern = str(place.with_name(f"{place.stem}-{'{prompt}-' if several else ''}{{seed}}{place.suffix}"))
    elif unknown := [each for each in asked if each not in FIELDS]:
        raise RequestError(
            f"{pattern}: unknown field {{{unknown[0]}}}.", field="output", value=pattern,
            legal=", ".join(f"{{{each}}}" for each in FIELDS),
        )  # fmt: skip
    words = _words_of(requests)
    folder, name = Path(pattern).parent, Path(pattern).name
    made: dict[str, Path] = {}
    for each in requests:
        values = {"prompt": words[each.request.prompt], "seed": str(each.request.seed), "number": str(each.number)}
        path = folder / re.sub(r"\{([^{}]*)\}", lambda field: values[field[1]], name)  # noqa: B023
        check_name(path)
        if str(path).casefold() in made:
            raise RequestError(
                f"{path}: the name of several clips.", field="output", value=pattern,
                legal="a folder/, or a name with {seed}" + (" and {prompt}" if several else ""),
            )  # fmt: skip
        made[str(path).casefold()] = path
    return list(made.values())


def _words_of(requests: Sequence[ListedRequest]) -> dict[str, str]:
    """Return red-ball-rolls-left for each prompt, with a hash if two are alike or no word is left."""
    plain = {each.request.prompt: slug(each.request.prompt) for each in requests}
    alike = {words for words in plain.values() if list(plain.values()).count(words) > 1} | {""}
    return {
        prompt: "-".join(part for part in (words or "clip", _hash(prompt) if words in alike else "") if part)
        for prompt, words in plain.items()
    }


def slug(prompt: str) -> str:
    """Return the first significant words of a prompt, for a file name; empty without Latin letters."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain) if word not in ("a", "an", "the")]
    return "-".join(words[:NAME_WORDS])[:NAME_CHARS].strip("-")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]


def same_plan(planned: PlannedClip) -> Manifest | None:
    """Return the manifest of the existing file if it is a complete clip of this plan, else None."""
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
    """Whether the clip exists already, with the same plan, weights and inputs, by the same version of Kinema."""
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
