"""Pickled checkpoints (.ckpt, .pth, .pt, .bin) to safetensors. A pickle can run any code when it is opened: it is read
by a process of its own, with torch's restricted reader, which knows tensors and plain values only.

    python -m kinema.weights.convert IN OUT      # what `convert` runs
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from ..core.whole import whole

PICKLES = (".ckpt", ".pth", ".pt", ".bin")
INSIDE = ("state_dict", "model", "module", "params_ema", "params")
"""Where trainers put the tensors."""
TIMEOUT_S = 1800
WITH_PARENT = "--with-parent"


def convert(source: Path, target: Path) -> int:
    """Write the tensors of a pickle as safetensors, names kept; returns how many. ModelError says what is wrong."""
    if not source.is_file():
        raise ModelError(f"{source}: there is no such file.")
    if source.suffix.lower() not in PICKLES:
        raise ModelError(f"{source}: not a pickled checkpoint; those end with {', '.join(PICKLES)}.")
    if target.suffix != ".safetensors":
        raise ModelError(f"{target}: the result ends with .safetensors.")
    try:
        with whole(target) as beside:
            return _in_a_process(source, beside)
    except subprocess.TimeoutExpired:
        raise ModelError(f"{source}: cannot be converted: it took longer than {TIMEOUT_S:,} s.") from None
    except OSError as error:
        raise ModelError(f"{target}: cannot be written ({error.strerror or error}).") from None


def _in_a_process(source: Path, target: Path) -> int:
    command = [sys.executable, "-m", "kinema.weights.convert", str(source), str(target), WITH_PARENT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        # Its stdin stays open while it works: that it closes tells the child that nobody waits any more.
        kept, child.stdin = child.stdin, None
        try:
            told, reasons = child.communicate(timeout=TIMEOUT_S)
        except BaseException:
            child.kill()
            raise
        finally:
            if kept is not None:
                kept.close()
    if child.returncode:
        last = (reasons.strip().splitlines() or ["no reason was given"])[-1]
        raise ModelError(f"{source}: cannot be converted: {last.removeprefix('kinema: ')}")
    return int(told)


def tensors_in(loaded: Any) -> dict[str, Any]:
    """Named tensors of a loaded checkpoint, the deepest table that has some; plain values beside them are left out."""
    import torch

    while isinstance(loaded, dict):
        found = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        if found:
            return found
        inner = next((loaded[name] for name in INSIDE if isinstance(loaded.get(name), dict)), None)
        if inner is None:
            break
        loaded = inner
    return {}


def end_with_parent() -> None:
    """From now on this process ends when the one that began it does, however that ends: its end of the pipe closes."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, which the interpreter waits for when it ends
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(source: Path, target: Path) -> None:
    """Write the tensors to a new file, which has to be made whole by who asks for it."""
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        what = next((line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), "")
        sys.exit(f"kinema: it holds more than tensors and plain values, and is not opened. {what.strip()}")
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        sys.exit(f"kinema: {str(error).splitlines()[0]}")
    found = tensors_in(loaded)
    if not found:
        sys.exit("kinema: there are no named tensors in it.")
    save_file({name: tensor.contiguous().clone() for name, tensor in found.items()}, target)
    sys.stdout.write(f"{len(found)}\n")


if __name__ == "__main__":
    if sys.argv[3:] == [WITH_PARENT]:
        end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
