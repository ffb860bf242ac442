"""Log a training to TensorBoard: scalars by stage and step, and contact sheets.

Nothing is read back: the record of a run is `OUT/<stage>_run/events.jsonl`. Requires tensorboard (kinema[train]).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.extras import install_command

HIDDEN = ("step", "seconds", "minutes")


class TensorBoardLog:
    """Callable that logs each event to OUT/tensorboard. Raises ValueError if tensorboard is not installed."""

    def __init__(self, out: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ValueError(f"TensorBoard is not installed: {install_command('train')}")
        self.out, self.stage = out, ""
        self.writer: Any = None
        self.begun = {path: path.stat().st_mtime for path in self._sheets()}

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "stage":
            self.stage = str(event["stage"])
        if "step" not in event or event["event"] == "stage_done":
            return
        writer, step = self._writer(), int(event["step"])
        for name, value in numbers(event):
            writer.add_scalar(f"{self.stage}/{name}", value, step)
        for path in self._sheets():
            if self.begun.get(path) != path.stat().st_mtime:
                self.begun[path] = path.stat().st_mtime
                with Image.open(path) as picture:
                    kind = path.stem.rstrip("0123456789").rstrip("_") or path.stem
                    writer.add_image(
                        f"{self.stage}/{kind}", np.asarray(picture.convert("RGB")), step, dataformats="HWC"
                    )  # fmt: skip
        writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _sheets(self) -> list[Path]:
        return sorted((self.out / "sheets").glob("*.png"))

    def _writer(self) -> Any:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(self.out / "tensorboard"))
        return self.writer


def numbers(event: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Yield the names and values of all scalars of an event; nested tables become name/name."""
    for name, value in event.items():
        if isinstance(value, Mapping):
            yield from numbers(value, f"{before}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name not in HIDDEN:
            yield f"{before}{name}", float(value)
