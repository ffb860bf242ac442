"""Kinema against a plain diffusers script: same weights, size, steps, prompt, in the same run, as ratios.

    python benchmarks/generate.py            # warm and cold, the built-in miniature, this machine's CPU
    python benchmarks/generate.py --warm     # only the warm part
    python benchmarks/generate.py --model runs/mini_wan/model    # another folder of the same family

Warm: everything loaded, prompt to frames in memory; both run alternately, medians are compared. Cold: a new process
from start to a written .mp4. Memory: the peak of the cold process. PSNR: of each profile's frames to `exact`'s. First
preview: from a warm request to the frames of the preview after its first step. CPU: CPU time, which other processes
disturb less than wall-clock time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PROMPT = "a red ball rolls left over a green hill at sunset"
PROFILES = ("exact", "balanced", "fast")
PLAIN = """
import sys, torch
from diffusers import WanVACEPipeline
from diffusers.utils import export_to_video
pipe = WanVACEPipeline.from_pretrained(sys.argv[1], dtype=torch.float32, trust_remote_code=False)
frames = pipe(prompt={prompt!r}, negative_prompt="", height={height}, width={width}, num_frames={frames},
              num_inference_steps={steps}, guidance_scale={guidance}, max_sequence_length={length}).frames[0]
import av
with av.open(sys.argv[2], "w") as file:
    stream = file.add_stream("libx264", rate=8)
    stream.width, stream.height, stream.pix_fmt = {width}, {height}, "yuv420p"
    for frame in (frames * 255).round().astype("uint8"):
        file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
    file.mux(stream.encode())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm", action="store_true", help="only the warm part")
    parser.add_argument("--runs", type=int, default=7, help="runs of each, after a warm-up run")
    parser.add_argument("--model", default="kinema-mini-wan", help="name or folder of the model")
    args = parser.parse_args()
    rows = warm(args.model, args.runs)
    if not args.warm:
        rows += cold(args.model, max(3, args.runs // 2))
    width = max(len(name) for name, *_ in rows)
    for name, value, note in rows:
        print(f"{name:<{width}}  {value:>9}  {note}")


def request(card, profile: str) -> dict:
    """The same request for both. Motion words are not drawn, so that both do the same work."""
    options = {"motion_words": "text"} if "motion_words" in card.options else {}
    return {"prompt": PROMPT, "seed": 3, "profile": profile, "options": options}


def warm(model: str, runs: int) -> list[tuple[str, str, str]]:
    import numpy as np
    import torch
    from diffusers import WanVACEPipeline

    import kinema
    from kinema.core.errors import Cancelled
    from kinema.core.events import Event, Preview
    from kinema.core.request import Request
    from kinema.diffusion.noise import noise
    from kinema.engine.generate import sample

    engine = kinema.load(model, device="cpu", dtype="float32")
    card = engine.family.card
    plan = engine.plan(Request(**request(card, "exact")))
    pipe = WanVACEPipeline.from_pretrained(engine.location, dtype=torch.float32, trust_remote_code=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, flow_shift=plan.options["shift"])
    family = engine.family
    cond = family.encode(plan, family.prepare(plan))
    latents = noise(plan.seed, "init/0", family.latent_shape(cond, plan.spans[0]))

    def theirs(output_type: str = "np"):
        return pipe(
            prompt=PROMPT, negative_prompt=plan.negative_prompt, height=plan.height, width=plan.width,
            num_frames=plan.frames, num_inference_steps=plan.steps, guidance_scale=plan.guidance,
            max_sequence_length=plan.options["text_length"], latents=latents, output_type=output_type,
        ).frames  # fmt: skip

    def ours(profile: str) -> np.ndarray:
        family.prompts.clear()  # encode the prompt again, as in the plain script
        return engine.generate(Request(**request(card, profile))).frames()

    def first_preview(profile: str) -> tuple[float, float]:
        """Seconds and CPU seconds from a request to the frames of its first preview; then it is cancelled."""
        family.prompts.clear()
        started, busy = time.perf_counter(), time.process_time()

        def look(event: Event) -> None:
            if isinstance(event, Preview):
                event.frames()
                raise Cancelled("seen")

        with contextlib.suppress(Cancelled):
            engine.generate(Request(**request(card, profile)), on_event=look).frames()
        return time.perf_counter() - started, time.process_time() - busy

    jobs = {"diffusers": theirs, **{name: (lambda name=name: ours(name)) for name in PROFILES}}
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    looks: dict[str, list[tuple[float, float]]] = {name: [] for name in PROFILES}
    made = {name: job() for name, job in jobs.items()}
    for _ in range(runs):
        for name, job in jobs.items():
            started, busy = time.perf_counter(), time.process_time()
            job()
            seconds[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - busy)
        for name in PROFILES:
            looks[name].append(first_preview(name))
    base = statistics.median(seconds["diffusers"])
    difference = float((sample(plan, family, cond, plan.spans[0]) - theirs("latent")).abs().max())
    rows = [("warm diffusers", f"{base:.3f} s", f"{plan.steps} steps, guidance {plan.guidance}, median of {runs}")]
    for name in PROFILES:
        ratio = statistics.median(ours_s / theirs_s for ours_s, theirs_s in zip(seconds[name], seconds["diffusers"]))
        error = np.mean((made[name].astype(np.float64) - made["exact"]) ** 2)
        psnr = "same as diffusers to " + f"{difference:.1e}" if name == "exact" else f"{psnr_db(error):.1f} dB to exact"
        rows.append((f"warm {name}", f"{ratio:.3f} x", f"{statistics.median(seconds[name]):.3f} s, {psnr}"))
        cpu_ratio = statistics.median(ours_s / theirs_s for ours_s, theirs_s in zip(cpu[name], cpu["diffusers"]))
        rows.append((f"warm {name}, CPU", f"{cpu_ratio:.3f} x", f"{statistics.median(cpu[name]):.3f} s"))
        look_s, look_cpu_s = (statistics.median(look[index] for look in looks[name]) for index in (0, 1))
        rows.append((f"first preview {name}", f"{look_s:.3f} s", f"from a warm request; CPU {look_cpu_s:.3f} s"))
    return rows


def psnr_db(error: float) -> float:
    import math

    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def plain_command(model: str, out: Path) -> list[str]:
    """The command that generates with plain diffusers what `exact` does, and writes it to `out`."""
    from kinema.core.request import Request
    from kinema.engine.plan import plan as make_plan
    from kinema.weights import store

    card = store.find(model)
    plan = make_plan(Request(**request(card, "exact")), card, "cpu")
    script = PLAIN.format(
        prompt=PROMPT, height=plan.height, width=plan.width, frames=plan.frames, steps=plan.steps,
        guidance=plan.guidance, length=plan.options["text_length"],
    )  # fmt: skip
    return [sys.executable, "-c", script, str(store.locate(card)), str(out)]


def cold(model: str, runs: int) -> list[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mp4"
        kinema_command = [sys.executable, "-m", "kinema", "generate", PROMPT, "--model", model, "--seed", "3"]
        kinema_command += ["--server", "off", "-o", str(out)]
        commands = {"diffusers": plain_command(model, out)}
        commands.update({name: [*kinema_command, "--profile", name] for name in PROFILES})
        found = {name: [measured(command) for command in [*[commands[name]] * (runs + 1)]][1:] for name in commands}
    base_s, base_mb = (statistics.median(run[index] for run in found["diffusers"]) for index in (0, 1))
    rows = [
        (
            "cold diffusers",
            f"{base_s:.2f} s",
            f"process start to file, peak {base_mb:.0f} MB, median of {runs}",
        )
    ]
    for name in PROFILES:
        seconds, mb = (statistics.median(run[index] for run in found[name]) for index in (0, 1))
        rows.append((f"cold {name}", f"{seconds / base_s:.3f} x", f"{seconds:.2f} s"))
        rows.append((f"peak memory {name}", f"{mb / base_mb:.3f} x", f"{mb:.0f} MB"))
    return rows


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of a process."""
    code = (
        "import json, resource, subprocess, sys, time; t = time.perf_counter();"
        "r = subprocess.run(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True);"
        "sys.exit(r.stderr) if r.returncode else None;"
        "print(time.perf_counter() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(command)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stderr}")
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


if __name__ == "__main__":
    main()
