"""An hour without the generator, on an accelerated clock: programme on air, and stalls of a model of a viewer.

    python benchmarks/channel_generator_gone.py

The generator stops after six clips. For 40 minutes the channel plays the library; then its clips are removed (as on a
full disk), and it has none for 20 minutes; then the generator returns with two new clips.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "channel"))
from channel_model_viewer import Model
from on_air import SMALL, fill, picture

from kinema.channel.airing.clock import FastClock
from kinema.channel.airing.playout import Playout, PlayoutSettings
from kinema.channel.conform import conform
from kinema.channel.library import Library, LibraryClip


class Watched(FastClock):
    """Runs the viewer whenever the playout waits."""

    model: Model | None = None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.model is not None:
            self.model.look(self.now)


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        folder, clock = Path(work) / "channel", Watched()
        fill(folder, 6)
        playout = Playout(folder, PlayoutSettings(name="Gone", encoding=SMALL), clock)

        def air(seconds: float) -> dict[str, int]:
            end, kinds = clock.steady() + seconds, Counter()
            while clock.steady() < end:
                playout.view.refresh()
                playout._air(playout.feed.take())
                kinds[playout.on_air.kind] += 1
            return dict(kinds)

        first = air(14)
        clock.model = Model(folder / "on_air", clock.steady())
        repeats = air(2400)
        with Library(folder) as library:
            for clip in library.ready():
                library.ban(clip.id, "taken out")
        filler = air(1200)
        with Library.open(folder) as library:
            for number in (6, 7):
                made = conform(picture(number, 2), library.clip_path(f"new{number}"), SMALL)
                library.add(LibraryClip.of(f"new{number}", made, "new"))
        back = air(20)
        with Library(folder) as library:
            lines = library.as_run(12)[::-1]
        playout.close()
        result = {
            "before": first, "40 min": repeats, "20 min": filler, "back": back,
            "then": [line.kind for line in lines if line.frame >= playout.frame - 20 * 24],
            "stalls": clock.model.stalls, "lost": clock.model.lost, "played": clock.model.played,
            "late": playout.late, "jumps": playout.jumps,
        }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
