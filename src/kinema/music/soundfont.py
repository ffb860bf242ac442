"""Play scores with a soundfont: the command `fluidsynth`, if installed, renders MIDI to a sound file."""

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
    """An installed soundfont: $KINEMA_SOUNDFONT, else one in the system's folders; None if there is none."""
    if named := os.environ.get("KINEMA_SOUNDFONT"):
        return named if Path(named).is_file() else None
    files = [file for folder in _FOLDERS if Path(folder).is_dir() for file in sorted(Path(folder).glob("*.sf2"))]
    by_name = {file.name: str(file) for file in reversed(files)}
    return next((by_name[name] for name in _PREFERRED if name in by_name), str(files[0]) if files else None)


def choose(sound: str) -> str | None:
    """The soundfont to use; None for the built-in synthesiser. RequestError if the file is not a soundfont, or if
    `fluidsynth` is not installed."""
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
        legal = "own, or auto; `apt install fluidsynth` installs FluidSynth"
        raise RequestError("A soundfont requires FluidSynth.", field="sound", value=sound, legal=legal, nearest="own")
    return sound


def render(score: Score, font: str, on_event: OnEvent = ignore) -> np.ndarray:
    """Render the score with FluidSynth: float32 (S, 2), exactly `score.seconds`, faded out as in `synth.render`.
    MediaError if FluidSynth fails."""
    from ..media.audio import fit
    from ..media.read import read_audio

    on_event(Event("compose"))
    with temporary_folder("music") as folder:
        song, sound = folder / "song.mid", folder / "song.wav"
        song.write_bytes(to_midi(score))
        # -C 0: its chorus inverts the phase between left and right, so pads would vanish in mono
        settings = ["-ni", "-q", "-C", "0", "-g", "0.5", "-r", str(AUDIO_RATE_HZ)]
        command = ["fluidsynth", *settings, "-F", str(sound), font, str(song)]
        try:
            stderr = subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS).stderr
        except (OSError, subprocess.SubprocessError) as error:
            raise MediaError(f"fluidsynth failed: {error}. `--sound own` does not need it.") from None
        if b"Failed to load" in stderr:  # it continues with a default soundfont
            raise MediaError(f"{font}: fluidsynth cannot read this soundfont. `--sound own` does not need it.")
        samples_SC = read_audio(sound)
    if samples_SC is None or np.abs(samples_SC).max(initial=0) < 1e-3:  # only dither
        raise MediaError(f"fluidsynth produced silence with {font}. `--sound own` does not need it.")
    window_K = np.hanning(4801)  # some samples of FluidR3 have a DC offset: remove everything below 20 Hz
    for channel_S in samples_SC.T:
        channel_S -= centred(channel_S, window_K / window_K.sum())
    num = round(score.seconds * AUDIO_RATE_HZ)
    return fit(samples_SC, num) * fade_out(num, score)[:, None]
