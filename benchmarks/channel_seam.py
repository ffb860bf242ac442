"""How continuous the seam of a shot that goes on is, beside the same shot made as a cut.

    python benchmarks/channel_seam.py [--pairs 8] [--profile fast] [--sheet seams.png]

Pairs of shots that the offline writer wrote with continuity "continue", through the channel's own steps and the shipped
miniature. PSNR in dB between the last frame of the first clip and the first one of the second, both as they go on to
the second pass, and, to compare, between the last two frames of the first clip. Seconds are those of a clip: cut, and
gone on. The sheet has a row for each: eight frames before the seam, eight after it; below it the same with the cut.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kinema.channel.config import ChannelConfig
from kinema.channel.making import steps
from kinema.channel.making.continuity import continues
from kinema.channel.making.ledger import Ledger, PlannedShot
from kinema.channel.making.planning import Planner, job_of
from kinema.core.chunk import Chunk
from kinema.media.read import read_video
from kinema.media.write import write

THEMES = ("a calm sea", "a race of green cars", "birds", "a storm at sea", "a ball on a meadow")
SHOWN = 8


def pairs_of(planner: Planner, num: int) -> list[tuple[PlannedShot, PlannedShot]]:
    """A shot and the next, which goes on from it; one pair an episode."""
    found: list[tuple[PlannedShot, PlannedShot]] = []
    for number in range(50 * num):
        shots = [planner.ledger.get(id) for id in planner.write(THEMES[number % len(THEMES)])]
        pair = next(((one, other) for one, other in pairwise(shots) if one and other and continues(other)), None)
        found += [pair] if pair else []
        if len(found) == num:
            break
    return found


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, float(((one.astype(float) - other) ** 2).mean()))))


class Bench:
    def __init__(self, root: Path, config: ChannelConfig) -> None:
        self.config, self.work, self.workspace = config, root / "work", steps.Workspace("", root / "scratch")

    def job(self, shot: PlannedShot, **more: Any) -> dict[str, Any]:
        made = job_of(self.config, "b", shot, str(self.work)) | {"profile": self.config.making.profile}
        return made | more

    def drawn(self, job: dict[str, Any]) -> tuple[np.ndarray, float]:
        """Frames, and the seconds that it took."""
        begun = time.perf_counter()
        step = steps.generate(self.workspace, job)["step"]
        seconds = time.perf_counter() - begun
        return read_video(self.work / job["id"] / f"{step}.mp4")[0], seconds


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=8)
    options.add_argument("--profile", default="fast")
    options.add_argument("--sheet", type=Path)
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder)) as ledger:
        config = ChannelConfig.model_validate({"folder": folder, "making": {"profile": told.profile}})
        bench, rows, found = Bench(Path(folder), config), [], []
        print("| shots | inside the first | seam, gone on | seam, cut | s cut | s gone on |\n|---|---|---|---|---|---|")
        for one, other in pairs_of(Planner(config, ledger), told.pairs):
            first = bench.job(one, keeps=True)
            old, _ = bench.drawn(first)
            steps.tail(bench.workspace, first, steps.GENERATE)
            new, new_s = bench.drawn(bench.job(other, before=first["id"]))
            cut, cut_s = bench.drawn(bench.job(other))
            values = (psnr(old[-2], old[-1]), psnr(old[-1], new[0]), psnr(old[-1], cut[0]), cut_s, new_s)
            print(f"| {one.id} {other.id} | " + " | ".join(f"{value:.1f}" for value in values) + " |", flush=True)
            found.append(values)
            rows += [np.concatenate([*old[-SHOWN:], *after[:SHOWN]], axis=1) for after in (new, cut)]
        mean = np.array(found).mean(axis=0)
        nearer = sum(gone > cut for _, gone, cut, _, _ in found)
        print("| mean | " + " | ".join(f"{value:.1f}" for value in mean) + " |")
        print(f"\ngone on nearer than cut: {nearer} of {len(found)}; seconds gone on / cut: {mean[4] / mean[3]:.2f}")
        if told.sheet:
            write([Chunk(np.concatenate(rows)[None], 0, 8.0)], told.sheet)


if __name__ == "__main__":
    main()
