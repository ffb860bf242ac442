"""Peak memory of AnimateDiff by clip length; with windows it should be constant.

    python benchmarks/long_clips.py [--model kinema-mini-animatediff] [--frames 16,64] [--size 128x128]

Each length runs in a separate process. Prints the resident memory above that of the loaded model, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys


def one(model: str, frames: int, size: str) -> None:
    import kinema

    engine = kinema.load(model, device="cpu")
    fields = {"size": size, "seed": 1, "steps": 2, "profile": "exact"}
    for _ in engine.stream("a red ball", frames=2, **{**fields, "size": "64x64"}):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in engine.stream("a red ball", frames=frames, **fields):
        pass
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"frames": frames, "whole_mib": after // 1024, "more_mib": (after - before) // 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="kinema-mini-animatediff")
    parser.add_argument("--frames", default="16,64")
    parser.add_argument("--size", default="128x128")
    parser.add_argument("--one", type=int)
    args = parser.parse_args()
    if args.one:
        one(args.model, args.one, args.size)
        return
    found = []
    for frames in args.frames.split(","):
        command = [sys.executable, __file__, "--model", args.model, "--size", args.size, "--one", frames]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(text.splitlines()[-1]))
        print(found[-1], flush=True)
    ratio = [each["more_mib"] / max(1, found[0]["more_mib"]) for each in found]
    whole = [each["whole_mib"] / found[0]["whole_mib"] for each in found]
    print(
        json.dumps(
            {"ratio_of_all": [round(r, 3) for r in whole], "ratio_beside_the_model": [round(r, 3) for r in ratio]}
        )
    )


if __name__ == "__main__":
    main()
