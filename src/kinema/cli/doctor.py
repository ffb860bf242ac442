"""`kinema doctor`: list the installed and the missing components, with the commands that install them."""

from __future__ import annotations

import json
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from ..core.extras import EXTRAS, install_command, missing
from . import show
from .exits import FAILED, guarded
from .options import AsJson
from .say import say

PACKAGES = (
    "torch", "diffusers", "transformers", "safetensors", "huggingface_hub", "numpy", "pillow", "av",
    "pydantic", "typer", "rich", "pyyaml", "ftfy", "psutil", "peft", "accelerate",
)  # fmt: skip
OPTIONAL = {"peft": "lora"}
"""Packages that belong to an extra."""
ENCODERS = {"libx264": ".mp4", "libvpx-vp9": ".webm", "aac": "sound in .mp4", "libopus": "sound in .webm"}
DEFAULT_MODEL = "kinema-mini-wan"


@guarded
def doctor(as_json: AsJson = False) -> None:
    """Check the installation: versions, devices, codecs, disk, memory, extras, models, server, and what is missing."""
    found = examine()
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _print(found)
    if not found["ok"]:
        raise typer.Exit(FAILED)


def examine() -> dict[str, Any]:
    """Return the whole report, JSON-ready. `ok` is False if something essential is missing."""
    versions = {"python": platform.python_version(), "kinema": _own_version(), **_versions()}
    devices, codecs, places, models = _devices(), _codecs(), _places(), _models()
    problems = _problems(versions, devices, codecs, models)
    return {
        "ok": not any(problem["essential"] for problem in problems),
        "versions": versions,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "devices": devices,
        "codecs": codecs,
        "places": places,
        "extras": _extras(),
        "models": models,
        "server": _server(),
        "problems": problems,
    }


def _extras() -> list[dict[str, Any]]:
    """Return the optional extras: their purpose, whether they are installed, and the command that installs them."""
    return [
        {"extra": name, "for": purpose, "missing": list(lost := missing(name)), "here": not lost,
         "install": install_command(name)}
        for name, purpose in EXTRAS.items()
    ]  # fmt: skip


def _own_version() -> str:
    from .. import __version__

    return __version__


def _versions() -> dict[str, str | None]:
    def of(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {name: of(name) for name in PACKAGES}


def _devices() -> list[dict[str, Any]]:
    """Return the CPU, then every GPU that torch can use."""
    import psutil

    memory = psutil.virtual_memory()
    cpu: dict[str, Any] = {
        "device": "cpu",
        "name": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory.total / 1e9, 1),
        "free_gb": round(memory.available / 1e9, 1),
    }
    try:
        import torch
    except Exception:  # a broken torch raises whatever its loader raises; `problems` reports it
        return [cpu]
    cpu["bfloat16"] = _good_at_bfloat16(torch.device("cpu"))
    found = [cpu]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        found.append(
            {
                "device": f"cuda:{index}",
                "name": torch.cuda.get_device_name(index),
                "memory_gb": round(total / 1e9, 1),
                "free_gb": round(free / 1e9, 1),
                "bfloat16": _good_at_bfloat16(torch.device("cuda", index)),
            }
        )
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": "Apple GPU", "memory_gb": cpu["memory_gb"], "free_gb": cpu["free_gb"]})
    return found


def _good_at_bfloat16(device: Any) -> bool:
    from ..weights.device import good_at_bfloat16

    return bool(good_at_bfloat16(device))


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _codecs() -> dict[str, bool]:
    """Return the encoders, and whether PyAV has them."""
    try:
        import av
    except Exception:  # as with torch above
        return dict.fromkeys(ENCODERS, False)

    def exists(name: str) -> bool:
        try:
            av.codec.Codec(name, "w")
        except ValueError:
            return False
        return True

    return {name: exists(name) for name in ENCODERS}


def _places() -> dict[str, Any]:
    from huggingface_hub.constants import HF_HUB_CACHE

    from ..core.home import home

    return {
        "kinema_home": str(home()),
        "hf_cache": HF_HUB_CACHE,
        "free_disk_gb": _free_gb(Path(HF_HUB_CACHE)),
        "free_home_gb": _free_gb(home()),
    }


def _free_gb(path: Path) -> float:
    return round(shutil.disk_usage(_existing(path)).free / 1e9, 1)


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))


def _models() -> list[dict[str, Any]]:
    from ..weights import store

    return [{"id": card.id, "here": store.here(card), "hub": card.hub} for card in store.known_cards()]


def _server() -> dict[str, Any] | None:
    """Return the address and version of the server on this machine, and whether a worker is ready; None if no server
    runs."""
    from .connect import FOUND_S, on_this_machine

    running = on_this_machine()
    if running is None:
        return None
    ready = running.server.is_ready(FOUND_S)
    return {"url": running.server.url, "version": running.version, "ready": ready}


def _problems(
    versions: dict[str, Any],
    devices: list[dict[str, Any]],
    codecs: dict[str, bool],
    models: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the missing components: name, feature that needs it, command that installs it, whether it is essential."""
    found = []

    def add(name: str, needed_for: str, fix: str, essential: bool = False) -> None:
        found.append({"missing": name, "needed_for": needed_for, "fix": fix, "essential": essential})

    for name in PACKAGES:
        if versions[name] is None:
            needed_for, fix = "everything", f"pip install {name}"
            if name in OPTIONAL:
                needed_for, fix = EXTRAS[OPTIONAL[name]], install_command(OPTIONAL[name])
            add(name, needed_for, fix, essential=name not in OPTIONAL)
    if versions["torch"] is not None and "bfloat16" not in devices[0]:
        add("a torch that loads", "everything", "pip install --force-reinstall torch", essential=True)
    for name, needed_for in ENCODERS.items():
        if not codecs[name]:
            fix = "pip install --force-reinstall --only-binary :all: av"
            add(f"the encoder {name}", needed_for, fix, essential=name == "libx264")
    if not any(device["device"].startswith("cuda") for device in devices):
        driver = shutil.which("nvidia-smi") is not None
        fix = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128"
        add(
            "CUDA",
            "the 14B models, and the 1.3B models in minutes",
            fix if driver else "a machine with an NVIDIA GPU",
        )
    for model in models:
        if not model["here"]:
            builtin = model["id"] == DEFAULT_MODEL
            fix = f"kinema models pull {model['id']}" if model["hub"] else "pip install --force-reinstall kinema"
            add(
                f"weights of {model['id']}",
                "generating offline" if builtin else "that model",
                fix,
                builtin,
            )
    from ..weights import store

    for name, trouble in store.troubles().items():
        add(f"the added model {name}", "that model", f"{trouble} `kinema models add PATH` adds it again")
    return found


def _print(found: dict[str, Any]) -> None:
    screen = show.console()
    versions = [(name, value or "not installed") for name, value in found["versions"].items()]
    screen.print(show.facts([*versions, ("system", found["system"])], title="Versions"))
    screen.print()
    screen.print(show.facts([(device["device"], _device_words(device)) for device in found["devices"]], "Devices"))
    screen.print()
    codecs = [(name, "yes" if works else f"no ({ENCODERS[name]})") for name, works in found["codecs"].items()]
    screen.print(show.facts(codecs, title="Encoders"))
    screen.print()
    places = found["places"]
    rows = [
        ("kinema", f"{places['free_home_gb']} GB free at {places['kinema_home']}"),
        ("models", f"{places['free_disk_gb']} GB free at {places['hf_cache']}"),
    ]
    screen.print(show.facts(rows, title="Disk"))
    screen.print()
    cpu = found["devices"][0]
    memory = [("memory", f"{cpu['free_gb']} GB free of {cpu['memory_gb']} GB")]
    screen.print(show.facts(memory, title="Memory"))
    screen.print()
    screen.print(show.facts([(each["extra"], _extra_words(each)) for each in found["extras"]], title="Extras"))
    screen.print()
    screen.print(show.facts([("server", _server_words(found["server"]))], title="Server"))
    screen.print()
    here = [model["id"] for model in found["models"] if model["here"]]
    pullable = [model["id"] for model in found["models"] if not model["here"]]
    listed = [("installed", ", ".join(here) or "none"), ("not installed", ", ".join(pullable) or "none")]
    screen.print(show.facts(listed, title="Models (`kinema models pull NAME` downloads one)"))
    screen.print()
    absent = {f"weights of {model['id']}" for model in found["models"]}
    lines = [
        (
            problem["missing"] + (" (!)" if problem["essential"] else ""),
            f"for {problem['needed_for']}: {problem['fix']}",
        )
        for problem in found["problems"]
        if problem["essential"] or problem["missing"] not in absent
    ]
    screen.print(show.facts(lines, title="Missing") if lines else "Nothing is missing.")
    if not found["ok"]:
        say("Entries marked (!) are essential.", err=True, color=typer.colors.RED)


def _server_words(server: dict[str, Any] | None) -> str:
    if server is None:
        return "none runs; `kinema serve` starts one"
    return f"{server['url']}, version {server['version']}, {'ready' if server['ready'] else 'without a worker'}"


def _extra_words(extra: dict[str, Any]) -> str:
    if extra["here"]:
        return f"installed; {extra['for']}"
    return f"{', '.join(extra['missing'])} not installed; {extra['for']}: {extra['install']}"


def _device_words(device: dict[str, Any]) -> str:
    cores = f", {device['cores']} core{'s' * (device['cores'] > 1)}" if "cores" in device else ""
    good = {True: ", fast in bfloat16", False: ", slow in bfloat16"}.get(device.get("bfloat16", ""), "")
    return f"{device['name']}{cores}, {device['memory_gb']} GB, {device['free_gb']} GB free{good}"
