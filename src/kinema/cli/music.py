"""`kinema music` and `kinema score`: music from a text, and music for a clip."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from . import output
from .exits import guarded
from .options import OUTPUT, AsJson, Device, option
from .piping import writes
from .progress import reporter
from .say import say

if TYPE_CHECKING:
    from ..core.events import OnEvent
    from ..engine.timed import Work
    from ..music import Track

Seed = Annotated[
    int | None, option("--seed", metavar="N", help="The same seed makes the same music. Default: a new one.")
]
Model = Annotated[
    str | None,
    option(
        "--model", "-m", metavar="MODEL", help="A MusicGen folder, or a pulled hub id. Default: the built-in composer."
    ),
]
Melody = Annotated[
    str | None, option("--melody", metavar="FILE", help="A sound file with the melody, for MusicGen's melody models.")
]
Sound = Annotated[
    str,
    option("--sound", metavar="own|auto|FILE", help="Instruments of the composer: own (the built-in synthesizer), auto "
           "(FluidSynth if it and a soundfont are installed; the default) or a .sf2 file."),
]  # fmt: skip


@guarded
@writes(".m4a", (".wav", ".flac", ".ogg", ".mp3"))
def music(
    theme: Annotated[
        str, typer.Argument(metavar="THEME", help='Text: "calm, 90 bpm", "a waltz in D minor without drums".')
    ],
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Exact duration.")] = 60.0,
    seed: Seed = None,
    model: Model = None,
    melody: Melody = None,
    sound: Sound = "auto",
    device: Device = None,
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT,
               help="A .m4a, .wav, .flac, .mp3, .aac, .ogg or .opus file. Default: a new name from the theme."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Generate music from a text, with the built-in composer (procedural, offline) or with MusicGen."""
    from ..engine.timed import timed
    from ..media.write_audio import check_audio_name
    from ..music import check, make, save

    target = output_ or str(output.unused(Path(f"kinema-music-{_word(theme)}.m4a")))
    check_audio_name(target)
    output.check_parent(Path(target))
    keep_apart({"output": target}, [melody, sound, model])
    check(model, melody, sound)
    started = time.perf_counter()
    with reporter(as_json) as on_event, timed(expected_work("music", seconds, model, device), on_event) as report:
        track = make(theme, seconds, seed, model=model, melody=melody, sound=sound, device=device, on_event=report)
        save(track, target, on_event=report)
    _report(track, target, started, as_json)


@guarded
@writes(".mp4", (".mp4", ".webm", ".mkv"))
def score(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video file.", show_default=False)],
    theme: Annotated[
        str | None, option("--theme", metavar="TEXT", help="Text for the music. Default: the clip's own prompt.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the clip's sound. Default: mix the music under it.")
    ] = False,
    under: Annotated[
        float, option("--under", metavar="LU", help="How much quieter than the clip's own sound. Default: 10.")
    ] = 10.0,
    seed: Seed = None,
    model: Model = None,
    melody: Melody = None,
    sound: Sound = "auto",
    device: Device = None,
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT,
               help="A .mp4, .mov, .m4v, .mkv or .webm file. Default: CLIP-scored, in the clip's own format."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Add music to a clip, as long as the clip and under its own sound; the frames are copied."""
    from ..engine.timed import timed
    from ..media.read import probe
    from ..media.with_sound import check_video_name
    from ..music import check, put_under

    suffix = _video_suffix(clip)
    target = output_ or str(output.unused(Path(f"{output.stem(clip, 'clip')}-scored{suffix}")))
    check_video_name(target)
    output.check_parent(Path(target))
    keep_apart({"output": target}, [clip, melody, sound, model])
    check(model, melody, sound)
    started = time.perf_counter()
    with reporter(as_json) as on_event:
        with timed(expected_work("score", probe(clip).seconds, model, device), on_event) as report:
            track = put_under(
                clip, target, theme, seed, replace_sound=replace, under_lu=under, model=model, melody=melody,
                sound=sound, device=device, on_event=report,
            )  # fmt: skip
        _remember(target, on_event)
    _report(track, target, started, as_json)


def expected_work(verb: str, seconds: float, model: str | None, device: str | None) -> Work:
    """Return the expected work for some seconds of music: MusicGen is loaded first and takes longer than they last, the
    composer a part of them."""
    from ..engine.estimate import device_name
    from ..engine.timed import Work

    start_s, second_s = (10.0, 3.0) if model else (0.2, 0.05)
    place = device_name(device) if model else "cpu"
    by = model or "composer"
    stages = (("compose", 0.7), ("write", 0.3))
    return Work(f"{verb} {by}"[:200], stages, start_s, second_s * seconds, seconds, place, model is not None)


def _video_suffix(clip: str) -> str:
    """How the name of the scored clip ends. RequestError or MediaError for what holds no video."""
    from ..media.open import sniff
    from ..media.read import probe
    from ..media.with_sound import SOUND_CODECS

    kind, own = sniff(Path(clip)), Path(clip).suffix
    if kind != "container":
        raise RequestError(
            f"{clip}: a {kind}; music is put under a video file.", field="clip", value=clip,
            legal=", ".join(SOUND_CODECS) + " and others",
        )  # fmt: skip
    probe(clip)
    return own if own.lower() in SOUND_CODECS else ".mp4"


def _remember(target: str, on_event: OnEvent) -> None:
    from ..media.manifest import carried, prompt_of
    from ..media.read import probe
    from .clip_work import record

    info = probe(target)
    record(
        on_event, target, "scored", prompt=prompt_of(carried(target)), size=(info.width, info.height),
        frames=info.num_frames, fps=info.fps,
    )  # fmt: skip


def _word(theme: str) -> str:
    """Return the first significant word, for a file name."""
    words = "".join(each if each.isascii() and each.isalnum() else " " for each in theme.lower()).split()
    return next((word[:20] for word in words if word not in output.SMALL_WORDS), "bed")


def _report(track: Track, target: str, started: float, as_json: bool) -> None:
    level = track.level
    found: dict[str, Any] = {
        "path": target, "bytes": output.size_of(Path(target)), "length_s": round(track.seconds, 6),
        "lufs": _number(level.lufs if level else None), "peak_dbtp": _number(level.peak_dbtp if level else None),
        "procedural": track.procedural, "label": track.label, "made": track.details,
        "seconds": round(time.perf_counter() - started, 3),
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found))
        return
    made = track.details
    key = f", {made['key']} {made['mode']}, {made['bpm']:.0f} bpm" if "key" in made else ""
    say(
        f"{target}  ({track.seconds:.2f} s{key}, {found['lufs']} LUFS, peak {found['peak_dbtp']} dBTP, "
        f"seed {made.get('seed')}) in {found['seconds']:.1f} s",
        track.label,
    )


def _number(value: float | None) -> float | None:
    """Two digits; None for silence, which JSON cannot say."""
    return round(value, 2) if value is not None and abs(value) < float("inf") else None
