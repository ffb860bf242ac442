"""Convert pickled checkpoints (.ckpt, .pth, .pt, .bin) to safetensors. A pickle can run any code when it is opened, so
a separate process reads it with torch's restricted unpickler, which accepts only tensors and plain values.

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
"""Keys under which trainers store the tensors."""
TIMEOUT_S = 1800
WITH_PARENT = "--with-parent"


def convert(source: Path, target: Path) -> int:
    """Write the tensors of a pickle as safetensors under the same names; return their number. ModelError if the source
    cannot be read or the target cannot be written."""
    if not source.is_file():
        raise ModelError(f"{source}: no such file.")
    if source.suffix.lower() not in PICKLES:
        raise ModelError(f"{source}: not a pickled checkpoint. Legal suffixes are {', '.join(PICKLES)}.")
    if target.suffix != ".safetensors":
        raise ModelError(f"{target}: the output's name must end with .safetensors.")
    try:
        with whole(target) as temporary:
            return _in_a_process(source, temporary)
    except subprocess.TimeoutExpired:
        raise ModelError(f"{source}: cannot be converted: timeout after {TIMEOUT_S:,} s.") from None
    except OSError as error:
        raise ModelError(f"{target}: cannot be written ({error.strerror or error}).") from None


def _in_a_process(source: Path, target: Path) -> int:
    command = [sys.executable, "-m", "kinema.weights.convert", str(source), str(target), WITH_PARENT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        # The child's stdin stays open while this process waits: the child exits when it closes.
        kept, child.stdin = child.stdin, None
        try:
            output, errors = child.communicate(timeout=TIMEOUT_S)
        except BaseException:
            child.kill()
            raise
        finally:
            if kept is not None:
                kept.close()
    if child.returncode:
        last = (errors.strip().splitlines() or ["unknown error"])[-1]
        raise ModelError(f"{source}: cannot be converted: {last.removeprefix('kinema: ')}")
    return int(output)


def tensors_in(loaded: Any) -> dict[str, Any]:
    """The named tensors of a loaded checkpoint, from the outermost table that has any; other values are dropped."""
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
    """Make this process exit when its parent does, which closes the pipe to stdin."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, which the interpreter waits for at exit
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main(source: Path, target: Path) -> None:
    """Write the tensors to a new file; the caller renames it into place. Runs in the child process."""
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        what = next((line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), "")
        sys.exit(f"kinema: it contains objects other than tensors and plain values. {what.strip()}")
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        sys.exit(f"kinema: {str(error).splitlines()[0]}")
    found = tensors_in(loaded)
    if not found:
        sys.exit("kinema: it contains no named tensors.")
    save_file({name: tensor.contiguous().clone() for name, tensor in found.items()}, target)
    sys.stdout.write(f"{len(found)}\n")


if __name__ == "__main__":
    if sys.argv[3:] == [WITH_PARENT]:
        end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
