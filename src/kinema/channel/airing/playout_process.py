"""The command line of a playout process: settings as JSON on the pipe or as plain options."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError, RequestError
from ..conform import Encoding
from ..lock import ChannelBusy
from .output_hls import HlsSettings
from .playout import PlayoutSettings, run
from .programme import Policy

BUSY, BAD = 3, 2
"""Exit codes: another playout is on air; the request is not legal. Neither is tried again."""


def settings_of(known: dict[str, Any]) -> PlayoutSettings:
    """Settings from plain JSON, as `plain` gives them. RequestError: a value or name that is not legal."""
    known = dict(known)
    try:
        encoding, policy = Encoding(**known.pop("encoding", {})), Policy(**known.pop("policy", {}))
        hls = known.pop("hls", {})
        hls = None if hls is None else HlsSettings(**hls)
        schedule, timezone = known.pop("schedule", None), known.pop("timezone", "")
        theme_at = None
        if schedule:
            from ..day_parts import DayParts

            theme_at = DayParts.parse(schedule, timezone).theme_at
        return PlayoutSettings(encoding=encoding, policy=policy, hls=hls, theme_at=theme_at, **known)
    except TypeError as error:
        raise RequestError(f"Settings of a playout: {error}.", field="settings") from None


def plain(settings: PlayoutSettings, schedule: list[list[str]] | None = None, timezone: str = "") -> dict[str, Any]:
    """As JSON for another process; a schedule goes as day parts, since a function cannot."""
    return {
        "name": settings.name, "encoding": asdict(settings.encoding), "policy": asdict(settings.policy),
        "hls": asdict(settings.hls) if settings.hls else None, "rtmp": list(settings.rtmp), "schedule": schedule,
        "rtmp_stall_s": settings.rtmp_stall_s, "timezone": timezone,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    reader = argparse.ArgumentParser(
        prog="python -m kinema.channel.airing.playout_process", description="Put a channel on air."
    )
    reader.add_argument("folder", type=Path)
    reader.add_argument("--name", default="Kinema")
    reader.add_argument("--size", default="576x320", help="WIDTHxHEIGHT of its clips")
    reader.add_argument("--fps", type=int, default=24)
    reader.add_argument(
        "--rtmp", action="append", default=[], metavar="@FILE", help="a file with addresses, one a line"
    )
    reader.add_argument("--settings", action="store_true", help="read settings as JSON from the pipe instead")
    options = reader.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        if options.settings:
            import av  # noqa: F401  a standby has all loaded before it is asked
            import PIL.Image  # noqa: F401

            line = sys.stdin.buffer.readline()
            if not line:
                return 0
            settings = settings_of(json.loads(line))
        else:
            settings = _from_options(options)
        run(options.folder, settings)
    except ChannelBusy as error:
        logging.getLogger("kinema.channel").error("%s", error)
        return BUSY
    except KinemaError as error:
        logging.getLogger("kinema.channel").error("%s", error)
        return BAD if isinstance(error, RequestError) else 1
    return 0


def _from_options(options: argparse.Namespace) -> PlayoutSettings:
    try:
        width, height = (int(part) for part in options.size.split("x"))
    except ValueError:
        raise RequestError(f"Size {options.size!r}.", field="size", value=options.size, legal="as 576x320") from None
    addresses: list[str] = []
    for named in options.rtmp:
        if not named.startswith("@"):
            legal = "@FILE that holds addresses: everybody on this machine can read a command line"
            raise RequestError("An RTMP address on the command line.", field="rtmp", legal=legal)
        addresses += [line.strip() for line in Path(named[1:]).read_text(encoding="utf-8").splitlines() if line.strip()]
    addresses += os.environ.get("KINEMA_RTMP", "").split()
    encoding = Encoding(width=width, height=height, fps=options.fps, gop=options.fps)
    return PlayoutSettings(name=options.name, encoding=encoding, rtmp=addresses)


if __name__ == "__main__":
    sys.exit(main())
