"""`--preview`, `--keep-state`, `--keep-every`, `--resume`: how the making of one clip is watched, kept and resumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ..core.apart import keep_apart
from ..core.errors import RequestError
from . import output
from .arguments import OUTPUT, option

if TYPE_CHECKING:
    from ..engine.resume import SamplingState
    from .work import ClipWork

KEEP_EVERY = 5
Preview = Annotated[
    str | None,
    option(
        "--preview",
        metavar="FILE",
        panel=OUTPUT,
        help="Show what is coming, as it comes: a .gif, .mp4 or .png that is replaced as the work goes on, or a "
        "folder/ that gets a picture of each look.",
    ),
]
KeepState = Annotated[
    Path | None,
    option("--keep-state", metavar="FILE", panel=OUTPUT, help="Save the state of the sampling here as it goes."),
]
KeepEvery = Annotated[
    int | None,
    option("--keep-every", metavar="K", panel=OUTPUT, help="Save it every K steps. Default: 5."),
]


@dataclass(frozen=True)
class KeptState:
    """What was typed of these, but for `--resume`."""

    preview: str | None = None
    keep_state: Path | None = None
    keep_every: int | None = None

    def check(self) -> None:
        """Refuse what could not be written. RequestError or MediaError."""
        from .preview import check

        if self.preview is not None:
            check(self.preview)
        if self.keep_state is not None:
            output.check_state(self.keep_state)
        if self.keep_every is not None and (self.keep_state is None or self.keep_every < 1):
            raise RequestError(
                f"--keep-every {self.keep_every}.",
                field="keep_every",
                value=self.keep_every,
                legal="1 or more, with --keep-state FILE",
            )

    def settle(self, job: ClipWork, reads: Iterable[str | Path | None], resume: Path | None) -> None:
        """Into a job with its target and sheet. reads: every file that the command reads. RequestError where something
        would be written over one of them, or the state is of another plan."""
        from ..engine.load import check_keeping

        written = {"output": job.target, "sheet": job.sheet, "preview": self.preview}
        keep_apart({**written, "keep_state": self.keep_state}, list(reads))
        keep_apart(written, [resume])  # the state itself may go on in its file
        job.preview, job.keep_state = self.preview, self.keep_state
        job.keep_every = (self.keep_every or KEEP_EVERY) if self.keep_state is not None else 0
        check_keeping(job.plan, job.resume, self.keep_state, job.keep_every)


def read_state(path: Path) -> SamplingState:
    """A saved state. MediaError where it is none; no torch before that is known."""
    from ..engine import state_file

    state_file.check(path)
    from ..engine.resume import SamplingState

    return SamplingState.read(path)
