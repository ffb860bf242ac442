"""Measure kinema-mini-easyanimate and write the figures of its pages: docs/mini_easyanimate.md (between its marks),
docs/mini_easyanimate_scorecard.md and docs/pictures/mini_easyanimate.png.

Run after a training, with its export in src/kinema/miniatures/mini_easyanimate (a quarter of an hour of a core):

    python recipes/mini_easyanimate_page.py --out runs/mini_easyanimate_page
    python recipes/mini_easyanimate_page.py --only training sheet --out OUT   # training, sheet, scorecard, long
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kinema
from kinema.core.whole import write_text
from kinema.families.easyanimate.paper.cards import MINI

ROOT = Path(__file__).parents[1]
PAGE, SCORES = ROOT / "docs" / "mini_easyanimate.md", ROOT / "docs" / "mini_easyanimate_scorecard.md"
SHEET = ROOT / "docs" / "pictures" / "mini_easyanimate.png"
STAGES = {
    "vae_images": "autoencoder, single frames", "vae_slices": "autoencoder, slices",
    "vae_decoder": "its decoder", "cache": "latents", "long": "latents of longer clips",
    "images": "transformer and text encoder, pictures", "motion": "motion modules", "video": "all, clips",
}  # fmt: skip
SEEN = {
    "text": ("text", ("object", "color", "background", "motion", "steadiness")),
    "picture": ("a single picture", ("object", "color", "background")),
    "first": ("first frame as image", ("object", "color", "background", "motion", "psnr_first")),
}
"""Tasks of the scorecard, their titles and measures on the page."""
MEASURES = {"object": "object", "color": "colour", "background": "place", "motion": "motion", "steadiness": "temporal "
            "consistency", "psnr_first": "first frame, dB"}  # fmt: skip


def training() -> str:
    """The table of stages, from the model's card.json."""
    folder = Path(kinema.__file__).parent / str(MINI.builtin)
    facts = json.loads((folder / "card.json").read_text(encoding="utf-8"))["training"]
    lines = [f"{facts['device']}, {facts['processes']} process, beside other work; no GPU:", ""]
    lines += ["| stage | minutes | result |", "|---|---|---|"]
    for name, title in STAGES.items():
        if name in facts["stages"]:
            found = facts["stages"][name]
            minutes = max(found["minutes"], found.get("train_seconds", 0) / 60)
            lines.append(f"| {title} | {minutes:.0f} | {result_of(found)} |")
    return "\n".join(lines)


def result_of(found: dict[str, Any]) -> str:
    parts = [f"{found['step']:,} steps"] if "step" in found else []
    if "samples" in found:
        parts.append(f"{found['samples']:,} clips or pictures")
    if "psnr_db" in found:
        parts.append(f"{found['psnr_db']:.1f} dB, {found['psnr_objects_db']:.1f} inside objects")
    if "seam_not_shared" in found:
        parts.append(f"seam {found['seam']}, without shared features {found['seam_not_shared']}")
    if "error_0.5" in found:
        parts.append("held-out error at 0.5 / 0.8 / 0.9: " + " / ".join(f"{found[f'error_{t}']:.3f}" for t in
                                                                        (0.5, 0.8, 0.9)))  # fmt: skip
    if "error_long_0.8" in found:
        parts.append(f"{found['error_long_0.8']:.3f} at 0.8 for 145 frames")
    if "clips" in found:
        parts.append(f"{found['clips']:,} clips")
    return "; ".join(parts)


def scores(found: dict[str, Any]) -> str:
    """A row for each task and profile, from scorecard.json."""
    columns = ["renders", "autoencoder", *found["settings"]["profiles"]]
    lines = [f"| | {' | '.join(MEASURES.values())} |", "|---" * (len(MEASURES) + 1) + "|"]
    for task, (title, names) in SEEN.items():
        for column in columns:
            table = found["table"].get(task, {})
            cells = [shown(table.get(name, {}).get(column), name) if name in names else "" for name in MEASURES]
            if any(cells):
                lines.append(f"| {title}, {column} | {' | '.join(cells)} |")
    pace = ", ".join(f"{name} {value:.1f} s" for name, value in found["seconds_a_clip"].items())
    count = found["settings"]["count"], found["settings"]["task_count"]
    last = f"{count[0]} held-out captions, {count[1]} for the other tasks; a clip takes: {pace}."
    return "\n".join([*lines, "", last + " Place and motion are scored where the caption states them."])


def shown(entry: dict[str, Any] | None, name: str) -> str:
    if entry is None:
        return ""
    return f"{entry['value']:.1f}" if name in ("steadiness", "psnr_first") else f"{entry['value']:.0f} %"


def scorecard(out: Path, given: argparse.Namespace) -> str:
    """Run the scorecard; writes its page and returns the page's table."""
    command = [sys.executable, "-m", "kinema", "evaluate", "miniature", "easyanimate", "--count", str(given.count)]
    command += ["--task-count", str(given.task_count), "--profile", "exact", "--profile", "fast"]
    subprocess.run([*command, "-o", str(out / "scorecard"), "--resume"], check=True)
    text = (out / "scorecard" / "scorecard.md").read_text(encoding="utf-8")
    text = re.sub(r"^!\[.*\n?", "", text, flags=re.MULTILINE).rstrip() + "\n"
    words = "What each number means: [scorecard.md](scorecard.md)."
    write_text(SCORES, text.replace("See docs/scorecard.md for the meaning of each number.", words))
    return scores(json.loads((out / "scorecard" / "scorecard.json").read_text(encoding="utf-8")))


def long(out: Path, given: argparse.Namespace) -> str:
    """Run the benchmark of long clips; returns its tables."""
    command = [sys.executable, str(ROOT / "benchmarks" / "easyanimate_long.py"), "--clips", str(given.long_clips)]
    subprocess.run([*command, "--out", str(out / "long")], check=True)
    return (out / "long" / "long.md").read_text(encoding="utf-8").strip()


def draw(out: Path, given: argparse.Namespace) -> None:
    subprocess.run([sys.executable, str(ROOT / "recipes" / "mini_easyanimate_sheet.py"), str(SHEET)], check=True)


def put_into_page(name: str, text: str) -> None:
    """Replace what is between the marks of a part."""
    page = PAGE.read_text(encoding="utf-8")
    first, last = f"<!-- {name}: written by recipes/mini_easyanimate_page.py -->", f"<!-- end of {name} -->"
    if first not in page or last not in page:
        raise SystemExit(f"{PAGE.name} has no marks of {name}.")
    before, after = page.split(first)[0], page.split(last)[1]
    write_text(PAGE, f"{before}{first}\n{text}\n{last}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/mini_easyanimate_page"))
    parser.add_argument("--only", nargs="+", choices=("training", "sheet", "scorecard", "long"))
    for name, default in (("count", 64), ("task-count", 24), ("long-clips", 16)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], str | None]] = {
        "training": training, "sheet": lambda: draw(given.out, given), "scorecard": lambda: scorecard(given.out, given),
        "long": lambda: long(given.out, given),
    }  # fmt: skip
    for name, work in parts.items():
        if (not given.only or name in given.only) and (text := work()):
            put_into_page(name, text)


if __name__ == "__main__":
    main()
