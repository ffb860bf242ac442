"""Add music to a clip, under its own sound, without changing its pictures."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.apart import keep_apart
from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import RequestError
from ..core.events import OnEvent, ignore
from .composer import check_seconds
from .loudness import CEILING_DBTP, TARGET_LUFS, integrated, normalise
from .produce import make
from .track import Track

UNDER_LU = 10.0
"""Loudness of the music below the clip's own sound."""
DEFAULT_THEME = "calm, warm"


def put_under(
    clip: str | os.PathLike[str],
    path: str | os.PathLike[str],
    theme: str | None = None,
    seed: int | None = None,
    *,
    replace_sound: bool = False,
    under_lu: float = UNDER_LU,
    on_event: OnEvent = ignore,
    **how: Any,
) -> Track:
    """Write the clip with music, and return its sound as a Track.

    theme: defaults to the prompt in the clip's manifest, else "calm, warm". The music has the clip's duration and fades
    out at its end. It is mixed `under_lu` below the clip's own sound, or replaces it with replace_sound. The mix is
    normalised to -16 LUFS and at most -1.5 dBTP. how: model, melody, sound, device, as for `make`. Raises RequestError
    and MediaError before work starts if the clip or a value is not legal.
    """
    from ..media.manifest import carried, check_sidecar
    from ..media.read import probe
    from ..media.with_sound import check_video_name, with_sound

    if not 0 <= under_lu <= 40:
        raise RequestError(
            f"The offset {under_lu:g} LU is out of range.", field="under", value=under_lu, legal="0 to 40"
        )
    check_video_name(path)
    keep_apart({"output": path}, [clip, how.get("melody") if isinstance(how.get("melody"), str) else None])
    check_sidecar(Path(path))
    info = probe(clip)
    check_seconds(info.seconds)
    own_SC = _own_sound(clip, info.seconds) if info.has_audio and not replace_sound else None
    track = make(theme or theme_of(clip) or DEFAULT_THEME, info.seconds, seed, on_event=on_event, **how)
    if own_SC is not None:
        track = mix(track, own_SC, under_lu)
    music = {**track.details, "procedural": track.procedural}
    scored = {"clip": Path(clip).name, "own_sound": "kept" if own_SC is not None else "none", "music": music}
    if info.has_audio and replace_sound:
        scored["own_sound"] = "left out"
    with_sound(
        clip, track.samples, path, notes={"kinema_music": json.dumps(music)},
        manifest={**carried(clip), "scored": scored}, on_event=on_event,
    )  # fmt: skip
    return track


def mix(track: Track, own_SC: np.ndarray, under_lu: float = UNDER_LU) -> Track:
    """Mix the music `under_lu` below another sound of the same length, (S, 2). A silent sound leaves the music
    unchanged."""
    loud = integrated(own_SC)
    if not np.isfinite(loud):
        return track
    gain_db = loud - under_lu - integrated(track.samples)
    mixed_SC = own_SC + track.samples * np.float32(10 ** (gain_db / 20))
    samples_SC, level = normalise(mixed_SC, TARGET_LUFS, CEILING_DBTP)
    return replace(track, samples=samples_SC, level=level, details={**track.details, "under_lu": under_lu})


def theme_of(clip: str | os.PathLike[str]) -> str | None:
    """The prompt in a clip's manifest, or None."""
    from ..media.manifest import carried

    plan = carried(clip).get("plan")
    prompt = plan.get("prompt") if isinstance(plan, dict) else None
    return prompt if isinstance(prompt, str) and prompt.strip() else None


def _own_sound(clip: str | os.PathLike[str], seconds: float) -> np.ndarray | None:
    from ..media.audio import fit, stereo
    from ..media.read import read_audio

    own_SC = read_audio(clip, seconds=seconds)
    if own_SC is None:
        return None
    return fit(stereo(own_SC), round(seconds * AUDIO_RATE_HZ))
