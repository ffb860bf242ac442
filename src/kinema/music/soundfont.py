"""FluidSynth and a soundfont, where both are installed: the command `fluidsynth` plays MIDI into a sound file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import MediaError, RequestError
from ..core.events import Event, OnEvent, ignore
from ..core.leftovers import temporary_folder
from .convolve import centred
from .midi import to_midi
from .score import Score
from .synth import fade_out

_FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
_PREFERRED = ("FluidR3_GM.sf2", "default-GM.sf2", "TimGM6mb.sf2")
_SECONDS = 600


def find() -> str | None:
    """A soundfont of this machine: $KINEMA_SOUNDFONT, else one in the usual folders; None where there is none."""
    if given := os.environ.get("KINEMA_SOUNDFONT"):
        return given if Path(given).is_file() else None
    files = [file for folder in _FOLDERS if Path(folder).is_dir() for file in sorted(Path(folder).glob("*.sf2"))]
    by_name = {file.name: str(file) for file in reversed(files)}
    return next((by_name[name] for name in _PREFERRED if name in by_name), str(files[0]) if files else None)


def choose(sound: str) -> str | None:
    """The soundfont to play with; None for the own synthesiser. RequestError for a file that is not there or no
    soundfont, and where `fluidsynth` is missing for it."""
    if sound == "own":
        return None
    installed = shutil.which("fluidsynth") is not None
    if sound == "auto":
        return find() if installed else None
    try:
        with Path(sound).open("rb") as file:
            head = file.read(12)
    except OSError:
        head = b""
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise RequestError(
            f"{sound}: not a soundfont.", field="sound", value=sound, legal="own, auto, or a .sf2 file", nearest="auto"
        )
    if not installed:
        legal = "own, or auto; `apt install fluidsynth` brings the player"
        raise RequestError("A soundfont needs FluidSynth.", field="sound", value=sound, legal=legal, nearest="own")
    return sound


def render(score: Score, font: str, on_event: OnEvent = ignore) -> np.ndarray:
    """The score as played by FluidSynth: float32 (S, 2), exactly `score.seconds`, faded out as `synth.render` does.
    MediaError where the player fails."""
    from ..media.audio import fit
    from ..media.read import read_audio

    on_event(Event("compose"))
    with temporary_folder("music") as folder:
        song, sound = folder / "song.mid", folder / "song.wav"
        song.write_bytes(to_midi(score))
        # -C 0: its chorus turns left and right against each other, and pads vanish where both become one
        settings = ["-ni", "-q", "-C", "0", "-g", "0.5", "-r", str(AUDIO_RATE_HZ)]
        command = ["fluidsynth", *settings, "-F", str(sound), font, str(song)]
        try:
            said = subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS).stderr
        except (OSError, subprocess.SubprocessError) as error:
            raise MediaError(f"fluidsynth failed: {error}. `--sound own` does without it.") from None
        if b"Failed to load" in said:  # it goes on with another soundfont of its own
            raise MediaError(f"{font}: fluidsynth cannot read this soundfont. `--sound own` does without it.")
        samples_SC = read_audio(sound)
    if samples_SC is None or np.abs(samples_SC).max(initial=0) < 1e-3:  # dither alone
        raise MediaError(f"fluidsynth made no sound with {font}. `--sound own` does without it.")
    window_K = np.hanning(4801)  # some samples of FluidR3 stand off zero: below 20 Hz everything goes
    for channel_S in samples_SC.T:
        channel_S -= centred(channel_S, window_K / window_K.sum())
    num = round(score.seconds * AUDIO_RATE_HZ)
    return fit(samples_SC, num) * fade_out(num, score)[:, None]
